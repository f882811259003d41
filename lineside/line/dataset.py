"""A folder of pictures with a manifest, made by the simulated line in the form that the trainer reads."""

import csv
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from lineside.line.conditions import Conditions
from lineside.line.simulated import Part, SimulatedLine

COLUMNS = ("path", "label", "severity", "site", "group", "bbox_xyxy", "camera", "product", "part_id")
LOT = 10  # parts in a lot: neighbours share light, so a split must not part them


def write_dataset(
    folder: Path, line: SimulatedLine, cameras: Sequence[str], conditions: Conditions, count: int, site: str = "line"
) -> Path:
    """Write `count` parts as PNG, taken in turn from `cameras`, and `manifest.csv`; returns the manifest's path.

    `group` names the lot; `bbox_xyxy` is four numbers with blanks between, empty for a good part.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for index in range(count):
            camera = cameras[index % len(cameras)]
            part = line.next_part(camera, conditions)
            writer.writerow(_row(folder, part, site, f"{site}-{camera}-lot{index // len(cameras) // LOT:04d}"))
    return manifest


def _row(folder: Path, part: Part, site: str, group: str) -> list[str]:
    path = f"images/{part.part_id}.png"
    Image.fromarray(part.image).save(folder / path)
    box = " ".join(map(str, part.box)) if part.box else ""
    return [path, part.label, str(part.severity), site, group, box, part.camera, part.product, part.part_id]
