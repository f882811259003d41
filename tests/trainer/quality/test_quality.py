"""Planted faults in a set of images are named, and a clean set is left in peace."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from typer.testing import CliRunner

from contracts.quality import Finding, QualityReport
from lineside.line import Conditions, SimulatedLine, write_dataset
from lineside.main import app
from trainer.dataset import Example, Gathered, gather
from trainer.quality import leaks
from trainer.quality.alike import clusters, near_duplicates
from trainer.quality.inspect import inspect
from trainer.quality.page import page
from trainer.quality.survey import survey
from trainer.split import split

Row = tuple[str, str, str]  # file, label, group
PLATES = 60


def draw(seed: int, *, spotted: bool, marks: float = 30.0) -> Image.Image:
    """A plate of 96 pixels with marks of its own, so that no two look alike."""
    rng = np.random.default_rng(seed)
    plate = np.kron(rng.normal(130, marks, (8, 8)), np.ones((12, 12))) + rng.normal(0, 6, (96, 96))
    if spotted:
        top, left = rng.integers(8, 64, 2)
        plate[top : top + 16, left : left + 16] = 20
    return Image.fromarray(np.clip(plate, 0, 255).astype(np.uint8))


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Sixty plates, a third of them spotted, each its own part."""
    found = []
    for number in range(PLATES):
        draw(number, spotted=number % 3 == 0).save(tmp_path / f"{number}.png")
        found.append((f"{number}.png", "spot" if number % 3 == 0 else "good", f"part-{number}"))
    return found


Inspect = Callable[[list[Row]], QualityReport]


@pytest.fixture
def look(tmp_path: Path) -> Inspect:
    def run(rows: list[Row]) -> QualityReport:
        lines = ["path,label,group", *(",".join(row) for row in rows)]
        (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
        return inspect(gather(tmp_path / "manifest.csv"))

    return run


def found(report: QualityReport, kind: str) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.kind == kind]
    return finding


def test_clean_images_leave_nothing_to_say(rows: list[Row], look: Inspect) -> None:
    report = look(rows)
    assert report.findings == ()
    assert report.worst() is None
    assert sum(sum(counts.values()) for counts in report.classes.values()) == PLATES


def test_one_unreadable_file_does_not_hide_the_others(rows: list[Row], look: Inspect, tmp_path: Path) -> None:
    (tmp_path / "5.png").write_bytes(b"\x89PNG not really")
    report = look([*rows, ("gone.png", "good", "part-99")])
    assert report.examples == PLATES - 1
    finding = found(report, "unreadable")
    assert finding.weight == "error"
    assert "5.png" in finding.text
    assert "gone.png" in finding.text


def test_the_same_image_under_two_labels_and_exact_copies(rows: list[Row], look: Inspect, tmp_path: Path) -> None:
    (tmp_path / "copy.png").write_bytes((tmp_path / "4.png").read_bytes())
    (tmp_path / "other.png").write_bytes((tmp_path / "7.png").read_bytes())
    report = look([*rows, ("copy.png", "good", "part-4"), ("other.png", "spot", "part-7")])
    assert found(report, "two-labels").weight == "error"
    assert {path.name for path in found(report, "two-labels").images[0]} == {"7.png", "other.png"}
    assert found(report, "copies").count == 1


def brighter(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(picture, dtype=np.float32) * 1.2 + 8, 0, 255).astype(np.uint8))


def test_another_exposure_of_the_same_part_in_another_group_is_a_leak(
    rows: list[Row], look: Inspect, tmp_path: Path
) -> None:
    again = []
    for name, label, group in rows:
        brighter(Image.open(tmp_path / name)).save(tmp_path / f"again-{name}")
        again.append((f"again-{name}", label, group))
    assert not [f for f in look([*rows, *again]).findings if f.kind == "leak"]
    parted = [(name, label, f"{group}-again") for name, label, group in again]
    report = look([*rows, *parted])
    assert found(report, "leak").weight == "error"
    assert found(report, "leak").count > 10
    assert found(report, "near-copies").count == 2 * PLATES


def test_dark_blurred_and_oddly_shaped_images_are_shown(rows: list[Row], look: Inspect, tmp_path: Path) -> None:
    Image.fromarray(np.asarray(draw(1, spotted=False)) // 20).save(tmp_path / "1.png")
    draw(2, spotted=False).filter(ImageFilter.GaussianBlur(8)).save(tmp_path / "2.png")
    draw(4, spotted=False).resize((192, 96)).save(tmp_path / "4.png")
    report = look(rows)
    assert found(report, "outlier-dark").images == ((tmp_path / "1.png",),)
    assert (tmp_path / "2.png",) in found(report, "outlier-blurred").images
    assert found(report, "resolutions").weight == "warning"


def test_missing_groups_and_small_classes(rows: list[Row], look: Inspect) -> None:
    some = [(name, label, "" if number < 3 else group) for number, (name, label, group) in enumerate(rows)]
    assert found(look(some), "missing-groups").count == 3
    none = [(name, label, "") for name, label, _ in rows]
    assert found(look(none), "no-groups").count == PLATES
    few = [row for row in rows if row[1] == "good" or int(row[0].split(".")[0]) < 30]
    assert "'spot' has 10 images" in found(look(few), "small-class").text


def test_a_split_that_parts_a_group_is_an_error(rows: list[Row], tmp_path: Path) -> None:
    examples = _gathered(rows, tmp_path).examples
    stated = [replace(example, split="test" if number % 2 else "train") for number, example in enumerate(examples)]
    assert not leaks.groups(stated)
    pairs = [replace(example, group=f"pair-{number // 2}") for number, example in enumerate(stated)]
    (finding,) = leaks.groups(pairs)
    assert finding.kind == "parted-groups"
    assert finding.count == PLATES // 2


def test_classes_that_come_from_different_days_are_told(rows: list[Row], tmp_path: Path) -> None:
    examples = _gathered(rows, tmp_path).examples

    def on(example: Example, day: int, hour: int) -> Example:
        return replace(example, attributes={"captured_at": f"2026-03-{day:02}T{hour:02}:00:00"})

    mixed = [on(example, 1 + number % 2, number % 24) for number, example in enumerate(examples)]
    assert not leaks.times(mixed)
    apart = [on(example, 2 if example.label == "good" else 9, n % 24) for n, example in enumerate(examples)]
    kinds = {finding.kind: finding for finding in leaks.times(apart)}
    assert set(kinds) == {"classes-apart-in-time", "time-gaps"}
    assert "6." in kinds["time-gaps"].text


def _gathered(rows: list[Row], folder: Path) -> Gathered:
    lines = ["path,label,group", *(",".join(row) for row in rows)]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return gather(folder / "manifest.csv")


def test_images_that_look_alike_throughout_are_not_called_copies() -> None:
    rng = np.random.default_rng(0)
    one_part = rng.random(256) < 0.5
    looks = [one_part ^ (rng.random(256) < 0.08) for _ in range(40)]
    strangers = [rng.random(256) < 0.5 for _ in range(40)]
    alike = near_duplicates([*looks, *strangers])
    assert alike.throughout
    assert not near_duplicates(strangers).pairs.size


def test_parts_in_the_same_place_are_no_copies_of_each_other(tmp_path: Path) -> None:
    line = SimulatedLine(5, ("camera-1", "camera-2"))
    manifest = write_dataset(tmp_path, line, line.cameras, Conditions(product="cap"), 120, site="plant-1")
    report = inspect(gather(manifest))
    assert not [finding for finding in report.findings if finding.kind == "leak" and finding.weight == "error"]


def test_clusters_hang_together_by_pairs() -> None:
    assert clusters(np.array([[0, 1], [4, 5], [1, 2]])) == [[0, 1, 2], [4, 5]]


def test_wrong_labels_are_found_by_the_command_and_the_page_shows_them(rows: list[Row], tmp_path: Path) -> None:
    for number in range(PLATES):
        draw(number, spotted=number % 3 == 0, marks=3.0).save(tmp_path / f"{number}.png")
    wrong = [(name, "spot" if name == "1.png" else label, group) for name, label, group in rows]
    _gathered(wrong, tmp_path)
    result = CliRunner().invoke(
        app, ["check", str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "out"), "--workspace", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    report = QualityReport.model_validate_json((tmp_path / "out" / "quality.json").read_text())
    shown = {path.name for images in found(report, "label-errors").images for path in images}
    assert "1.png" in shown
    assert len(shown) <= 3
    html = (tmp_path / "out" / "quality.html").read_text()
    assert html.count("data:image/jpeg;base64,") == len(shown)
    assert "1.png" in html


def test_strict_refuses_errors_and_only_them(rows: list[Row], tmp_path: Path) -> None:
    _gathered(rows, tmp_path)
    arguments = ["check", str(tmp_path / "manifest.csv"), "--strict", "--no-labels", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["examples"] == PLATES
    (tmp_path / "other.png").write_bytes((tmp_path / "7.png").read_bytes())
    _gathered([*rows, ("other.png", "spot", "part-7")], tmp_path)
    assert CliRunner().invoke(app, arguments).exit_code == 1


def test_page_cannot_be_broken_by_a_label(tmp_path: Path) -> None:
    finding = Finding(kind="x", weight="note", text="<script>alert(1)</script>", images=((tmp_path / "gone.png",),))
    report = QualityReport(source="x", examples=1, classes={}, findings=(finding,))
    html = page(report, {tmp_path / "gone.png": "<b>"})
    assert "<script>" not in html
    assert "&lt;b&gt;" in html


def test_magnetic_tiles_leak_when_split_at_random_and_not_when_split_by_tile(data_folder: Path) -> None:
    gathered = gather(data_folder / "magnetic_tile" / "manifest.csv")
    examples = gathered.sound()
    measured = survey(examples)
    alike = near_duplicates([item.looks for item in measured])

    def leak(chosen: tuple[Example, ...]) -> Finding:
        parted = split(chosen, seed=0)
        (finding,) = leaks.leak([replace(item, example=e) for item, e in zip(measured, parted, strict=True)], alike)
        return finding

    assert leak(examples).weight == "note"
    at_random = leak(tuple(replace(example, group="") for example in examples))
    assert at_random.weight == "error"
    assert at_random.count > 150
