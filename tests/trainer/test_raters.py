"""Several raters of an image: the majority counts, and their agreement is said."""

from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score

from trainer.dataset import Example, gather, read_manifest
from trainer.quality.inspect import inspect
from trainer.raters import agreement, merge


def rating(image: str, rater: str, label: str) -> Example:
    return Example(Path(f"{image}.png"), label, attributes={"rater": rater}, sha256=image)


def test_label_of_most_raters_counts_and_ties_are_left_out() -> None:
    rows = [rating("a", "r1", "good"), rating("a", "r2", "dent"), rating("a", "r3", "dent"),
            rating("b", "r1", "good"), rating("b", "r2", "dent"), rating("c", "r1", "good")]  # fmt: skip
    kept, found = merge(rows)
    assert [(example.sha256, example.label) for example in kept] == [("a", "dent"), ("c", "good")]
    assert kept[0].attributes["ratings"] == "r1=good;r2=dent;r3=dent"
    assert found is not None
    assert [example.sha256 for example in found.disputed] == ["b"]
    assert (found.raters, found.images) == (3, 2)


def test_without_the_column_nothing_changes() -> None:
    rows = (Example(Path("a.png"), "good", sha256="a"),)
    assert merge(rows) == (rows, None)


def test_two_raters_have_cohens_kappa() -> None:
    first = ["good"] * 12 + ["dent"] * 8
    second = ["good"] * 10 + ["dent"] * 9 + ["good"]
    images = [
        (rating(str(n), "r1", a), rating(str(n), "r2", b)) for n, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    found = agreement(images)
    assert found.method == "Cohen"
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))


def test_several_raters_have_fleiss_kappa_of_the_paper() -> None:
    """The example of Fleiss (1971) as it is usually reprinted: 14 raters, 10 subjects, 5 classes, kappa 0.210."""
    table = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
             [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]  # fmt: skip
    images = []
    for number, row in enumerate(table):
        labels = [str(kind) for kind, count in enumerate(row) for _ in range(count)]
        images.append([rating(str(number), f"r{n}", label) for n, label in enumerate(labels)])
    found = agreement(images)
    assert found.method == "Fleiss"
    assert found.kappa == pytest.approx(0.210, abs=0.001)


def test_raters_who_know_one_class_only_have_no_kappa() -> None:
    assert agreement([(rating("a", "r1", "good"), rating("a", "r2", "good"))]).kappa is None


def test_manifest_with_raters_is_read_and_reported(tmp_path: Path) -> None:
    from tests.trainer.conftest import draw_plate

    rows = ["path,label,group,rater"]
    for number in range(24):
        draw_plate(tmp_path / f"{number}.png", spotted=number % 2 == 1, seed=number)
        label = "spot" if number % 2 else "good"
        rows += [f"{number}.png,{label},g{number},r1", f"{number}.png,{'spot' if number == 0 else label},g{number},r2"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    assert len(read_manifest(tmp_path / "manifest.csv").examples) == 23
    report = inspect(gather(tmp_path / "manifest.csv"))
    kinds = {finding.kind: finding for finding in report.findings}
    assert report.agreement is not None
    assert (report.agreement.images, report.agreement.kappa) == (24, pytest.approx(0.92, abs=0.01))
    assert "Cohen's kappa 0.92" in kinds["raters"].text
    assert kinds["disputed"].images == ((tmp_path / "0.png",),)
