"""A sample of the hostile bundles; `python -m benchmarks.hostile` opens a thousand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.hostile.caller import ACCEPTED, CRASHED, REFUSED, UNCLEAR, Caller
from benchmarks.hostile.cases import KINDS, RARE, Case, Maker, cases
from runtime.bundle import Bundle, open_bundle

VARIANT = "onnxruntime-cpu/fp32"
QUICK = [kind for kind in KINDS if kind not in RARE]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """The process under attack."""
    caller = Caller(tmp_path_factory.mktemp("caller"))
    yield caller
    caller.close()


def test_sound_bundle_is_accepted(caller: Caller, small_bundle: Bundle) -> None:
    assert caller.ask(small_bundle.path, VARIANT)["outcome"] == ACCEPTED


@pytest.mark.parametrize("kind", QUICK)
def test_hostile_bundle_is_refused_clearly(caller: Caller, small_bundle: Bundle, tmp_path: Path, kind: str) -> None:
    maker = Maker(small_bundle)
    for number in range(2):
        maker.write(Case(number, kind, VARIANT), tmp_path / "case")
        answer = caller.ask(tmp_path / "case", VARIANT)
        assert answer["outcome"] == REFUSED, answer


def test_tensor_whose_size_is_computed_harms_only_the_trial(
    caller: Caller, small_bundle: Bundle, tmp_path: Path
) -> None:
    Maker(small_bundle).write(Case(0, "computed", VARIANT), tmp_path / "case")
    answer = caller.ask(tmp_path / "case", VARIANT)
    assert answer["outcome"] == REFUSED
    assert answer["caller_bytes"] < 1_000_000_000


def test_a_case_is_the_same_wherever_it_is_made_and_leaves_the_sound_bundle_alone(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    for kind in QUICK:
        for name in ("one", "other"):
            Maker(small_bundle).write(Case(5, kind, VARIANT), tmp_path / name)
        one, other = ((tmp_path / name / "manifest.json").read_bytes() for name in ("one", "other"))
        assert one == other, kind
    assert open_bundle(small_bundle.path, expected_hash=small_bundle.hash).hash == small_bundle.hash


def test_every_kind_is_among_the_cases_and_the_dear_ones_are_rare() -> None:
    made = cases(1000, ["a", "b"])
    assert len({case.number for case in made}) == 1000
    assert {case.kind for case in made} == set(KINDS)
    assert all(sum(case.kind == kind for case in made) <= most for kind, most in RARE.items())


def test_caller_that_dies_is_a_crash_and_the_next_one_answers(small_bundle: Bundle, tmp_path: Path) -> None:
    caller = Caller(tmp_path)
    try:
        caller.ask(small_bundle.path, VARIANT)
        assert caller._process is not None
        caller._process.kill()
        caller._process.wait()
        assert caller.ask(small_bundle.path, VARIANT)["outcome"] == CRASHED
        assert caller.ask(small_bundle.path, VARIANT)["outcome"] == ACCEPTED
    finally:
        caller.close()


def test_folder_without_a_bundle_is_refused_and_another_error_is_unclear(caller: Caller, tmp_path: Path) -> None:
    assert caller.ask(tmp_path / "nothing", VARIANT)["outcome"] == REFUSED
    assert caller.ask(Path("a\0b"), VARIANT)["outcome"] == UNCLEAR
