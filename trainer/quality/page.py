"""The report as one HTML file that needs nothing else: the pictures are inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader

from contracts.quality import QualityReport
from trainer.thumbnail import thumbnail

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
        thumbnail=thumbnail,
        label_of=lambda path: labels.get(path, ""),
    )
