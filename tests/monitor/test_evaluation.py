"""Evaluation in a process of its own: answers side by side, and a broken bundle that hurts nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import BundleError, LinkError
from contracts.frame import Decision
from monitor import evaluation
from monitor.evaluation import LabelledImage, Request, answer_all, evaluate
from monitor.evidence import decisions
from tests.simulators.monitored_plant import certified_bundle
from tests.simulators.small_bundle import encoded, picture


@pytest.fixture
def images(tmp_path: Path) -> tuple[LabelledImage, ...]:
    made = []
    for name, level in (("dark", 60), ("bright", 225)):
        path = tmp_path / f"{name}.png"
        path.write_bytes(encoded(picture(level)))
        made.append(LabelledImage(name=name, path=path, label="good" if level < 128 else "scratch"))
    return tuple(made)


def test_both_bundles_answer_on_the_same_images(tmp_path: Path, images: tuple[LabelledImage, ...]) -> None:
    active, candidate = certified_bundle(tmp_path / "active"), certified_bundle(tmp_path / "candidate", slope=-4.0)
    request = Request(bundles={"active": active.path, "candidate": candidate.path}, images=images)
    found = evaluate(request, folder=tmp_path / "scratch")
    assert decisions(found.answers["active"], active.manifest) == [Decision.OK, Decision.NG]
    assert decisions(found.answers["candidate"], candidate.manifest) == [Decision.NG, Decision.OK]


def test_image_that_cannot_be_read_is_no_verdict(tmp_path: Path, images: tuple[LabelledImage, ...]) -> None:
    images[0].path.write_bytes(b"no picture")
    bundle = certified_bundle(tmp_path / "active")
    found = answer_all(Request(bundles={"active": bundle.path}, images=images))
    assert decisions(found.answers["active"], bundle.manifest) == [Decision.NO_VERDICT, Decision.NG]
    assert "dark" in found.answers["active"].failures[0]


def test_bundle_that_does_not_load_is_named_and_the_other_one_answers(
    tmp_path: Path, images: tuple[LabelledImage, ...]
) -> None:
    good, broken = certified_bundle(tmp_path / "good"), certified_bundle(tmp_path / "broken")
    (broken.path / "model.onnx").write_bytes(b"no model")
    request = Request(bundles={"active": good.path, "candidate": broken.path}, images=images)
    found = evaluate(request, folder=tmp_path / "scratch")
    assert list(found.answers) == ["active"]
    assert "model.onnx" in found.errors["candidate"]


def test_process_that_dies_or_hangs_is_the_candidates_fault(
    tmp_path: Path, images: tuple[LabelledImage, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = certified_bundle(tmp_path / "active")
    request = Request(bundles={"candidate": bundle.path}, images=images)
    shell = tmp_path / "python"
    monkeypatch.setattr(evaluation.sys, "executable", str(shell))
    shell.write_text("#!/bin/sh\nkill -9 $$\n")
    shell.chmod(0o755)
    with pytest.raises(BundleError, match="ended with code -9"):
        evaluate(request, folder=tmp_path / "scratch")
    shell.write_text("#!/bin/sh\nsleep 1000\n")
    monkeypatch.setattr(evaluation, "START_SECONDS", 0.3)
    with pytest.raises(BundleError, match="took longer than"):
        evaluate(request, folder=tmp_path / "scratch", seconds_per_image=0.1)
    with pytest.raises(LinkError, match="the monitor stops"):
        evaluate(request, folder=tmp_path / "scratch", seconds_per_image=1000.0, stopping=lambda: True)
    shell.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(BundleError, match="no readable answer"):
        evaluate(request, folder=tmp_path / "scratch")
