"""A day whose labels are missing is named, and a day that truly differs is left in peace."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.preprocessing import Preprocessing
from lineside.models import chosen_base
from trainer.course import Course, Material
from trainer.dataset import Example, gather
from trainer.outset import set_out
from trainer.quality.days import Day, judged, measured, misfits, odd_days
from trainer.settings import TrainingSettings
from trainer.views import View

DAYS, IMAGES = 14, 40
Change = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]


def days(
    *, shares: tuple[float, ...] = (0.3,) * DAYS, images: int = IMAGES, apart: float = 4.0,
    labels: Change = lambda truth: truth, seed: int = 0,
) -> tuple[Day, ...]:  # fmt: skip
    """Days with these true shares of defects, whose scores lie `apart`; `labels` makes those of the last day."""
    rng = np.random.default_rng(seed)
    truth = [rng.random(images) < share for share in shares]
    scores = [apart * real + rng.normal(0, 1, images) + rng.normal(0, 0.2) for real in truth]
    given = [*truth[:-1], labels(truth[-1])]
    rows = {(f"2026-03-{day + 1:02}", ""): np.arange(day * images, (day + 1) * images) for day in range(len(shares))}
    return measured(rows, np.concatenate(given), np.concatenate(scores))


def wiped(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.zeros_like(truth)


def test_a_day_without_its_labels_is_named() -> None:
    (day,) = misfits(days(labels=wiped))
    assert day.name == ("2026-03-14", "")
    assert day.few
    assert day.chance.sum() == pytest.approx(0.3 * IMAGES, abs=6)


def test_a_day_on_which_everything_was_called_defective_is_named() -> None:
    (day,) = misfits(days(labels=lambda truth: ~wiped(truth)))
    assert day.name == ("2026-03-14", "")
    assert not day.few


@pytest.mark.parametrize("last", [0.0, 0.9])
@pytest.mark.parametrize("apart", [0.8, 4.0], ids=["weak", "strong"])
def test_a_day_with_truly_fewer_or_more_defects_is_no_finding(last: float, apart: float) -> None:
    for seed in range(5):
        shares = (*(0.3,) * (DAYS - 1), last)
        assert not misfits(days(shares=shares, images=200, apart=apart, seed=seed))


def test_a_rise_that_is_labelled_is_no_finding() -> None:
    rise = tuple(np.linspace(0.0, 0.95, DAYS))
    assert sum(bool(misfits(days(shares=rise, seed=seed))) for seed in range(20)) <= 1


def test_few_missing_labels_of_many_are_a_trifle() -> None:
    def a_third_is_lost(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return truth & (np.arange(len(truth)) % 3 > 0)

    assert not misfits(days(images=2000, apart=8.0, labels=a_third_is_lost))
    assert misfits(days(images=2000, apart=8.0, labels=wiped))


def example(number: int, *, day: int, site: str = "", label: str = "good", time: bool = True) -> Example:
    captured = {"captured_at": f"2026-03-{day:02}T08:00:00"} if time else {}
    return Example(Path(f"{number}.png"), label, site=site, attributes=captured)


def test_only_days_with_enough_images_of_one_site_are_judged() -> None:
    bad = np.arange(80) % 2 == 0
    sites = ["here"] * 40 + ["there"] * 40
    counted = [example(n, day=1 + n % 40 // 13, site=site) for n, site in enumerate(sites)]
    assert {(name, len(rows)) for name, rows in judged(counted, bad).items()} == {
        ((f"2026-03-0{day}", site), 13) for day in (1, 2, 3) for site in ("here", "there")
    }
    assert not judged([example(n, day=1 + n // 9) for n in range(80)], bad)
    assert not judged([example(n, day=1, time=False) for n in range(80)], bad)


def test_a_day_that_holds_nearly_all_defects_is_not_judged() -> None:
    bad = np.arange(80) < 40
    assert not judged([example(n, day=1 + n // 40) for n in range(80)], bad)


@pytest.fixture(scope="module")
def spindle(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Course, Material]:
    base = chosen_base(tmp_path_factory.mktemp("workspace"))
    spec = Preprocessing(width=base.width, height=base.height, mean=base.mean, std=base.std)
    course, stem, _ = set_out(base, ("healthy", "pitting"), ("healthy",), TrainingSettings(), spec)
    examples = gather(data_folder / "bsdata" / "manifest.csv").examples
    return course, Material(examples, stem.features(examples, (View(0),)))


def test_the_spindles_last_day_lacks_its_labels_and_its_pitting_truly_rose(spindle: tuple[Course, Material]) -> None:
    course, material = spindle
    (finding,) = odd_days(course, material)
    assert finding.kind == "defects-unlabelled"
    assert finding.weight == "warning"
    assert "on 2020-09-16 4 of 15 images" in finding.text
    labels = {e.path: (e.label, captured_on(e)) for e in material.examples}
    assert {labels[path] for (path,) in finding.images} == {("healthy", "2020-09-16")}
    assert not odd_days(course, before_the_last(material))


def test_a_day_without_labels_puts_no_blame_on_the_days_like_it(spindle: tuple[Course, Material]) -> None:
    course, material = spindle
    known = before_the_last(material)
    examples = tuple(replace(e, label="healthy") if captured_on(e) == "2020-09-06" else e for e in known.examples)
    (finding,) = odd_days(course, Material(examples, known.features))
    assert "on 2020-09-06 0 of 45 images" in finding.text


def before_the_last(material: Material) -> Material:
    return material.without([row for row, e in enumerate(material.examples) if captured_on(e) >= "2020-09-10"])


def captured_on(example: Example) -> str:
    return example.attributes["captured_at"][:10]
