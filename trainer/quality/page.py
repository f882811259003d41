"""The report as one HTML file that needs nothing else: the pictures are inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader
from PIL import Image

from runtime.preprocessing import ImageError, decode_plain
from trainer.quality.report import QualityReport

_SIDE = 160
_VERDICTS = {
    "error": "something makes figures untrue or labels wrong",
    "warning": "usable, with things to look at",
    "note": "fine",
    None: "fine",
}


def page(report: QualityReport, labels: Mapping[Path, str]) -> str:
    """HTML; `labels` says what each image is called."""
    environment = Environment(loader=PackageLoader("trainer.quality", "."), autoescape=True)
    classes = sorted({label for counts in report.classes.values() for label in counts})
    return environment.get_template("page.html.jinja").render(
        report=report,
        labels=classes,
        verdict=_VERDICTS[report.worst()],
        thumbnail=_thumbnail,
        label_of=lambda path: labels.get(path, ""),
    )


def _thumbnail(path: Path) -> str:
    """A small JPEG as a data address; empty where the file went away."""
    try:
        picture = Image.fromarray(decode_plain(path.read_bytes(), _SIDE))
    except (OSError, ImageError):
        return ""
    picture.thumbnail((_SIDE, _SIDE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
