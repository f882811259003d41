"""Verdicts by command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lineside.inspection import run_inspect
from tests.simulators.small_bundle import encoded, picture, write_small_bundle
from tests.simulators.tasks_bundle import spotted, write_tasks_bundle


def test_a_defect_is_told_with_severity_and_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_tasks_bundle(tmp_path / "bundle")
    (tmp_path / "1.png").write_bytes(encoded(spotted(24, 12)))
    (tmp_path / "2.png").write_bytes(encoded(picture(80)))
    assert run_inspect(bundle.path, [tmp_path / "1.png", tmp_path / "2.png"], variant=None, as_json=True)
    defect, good = map(json.loads, capsys.readouterr().out.splitlines())
    assert (defect["severity"]["name"], defect["box"]) == ("up to 20", [24.0, 12.0, 36.0, 24.0])
    assert (good["severity"]["level"], good["box"]) == (0, None)
    run_inspect(bundle.path, [tmp_path / "1.png"], variant=None, as_json=False)
    assert "severity up to 20, at 24 12 36 24" in capsys.readouterr().out


def test_a_bundle_without_tasks_tells_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_small_bundle(tmp_path / "bundle")
    (tmp_path / "1.png").write_bytes(encoded(picture(180)))
    run_inspect(bundle.path, [tmp_path / "1.png"], variant=None, as_json=True)
    assert set(json.loads(capsys.readouterr().out)) == {"path", "decision", "label", "defect_score", "bundle_hash"}
