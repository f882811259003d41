"""Prometheus' own tool accepts the scrape configuration and the alert rules, and refuses planted broken ones."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PROMETHEUS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy to break, with the password file that the configuration names."""
    shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    config = tmp_path / "prometheus" / "prometheus.yml"
    (tmp_path / "web-password").write_text("secret")
    config.write_text(config.read_text().replace("/etc/prometheus/web-password", str(tmp_path / "web-password")))
    return tmp_path / "prometheus"


@pytest.fixture
def promtool(require_program: Callable[[str], str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    program = require_program("promtool")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    return run


def test_configuration_is_accepted(folder: Path, promtool: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    answer = promtool("check", "config", folder / "prometheus.yml")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "1 rule files found" in answer.stdout


@pytest.mark.parametrize(
    ("file", "good", "broken"),
    [
        ("prometheus.yml", "scrape_interval: 15s", "scrape_interval: 15"),
        ("prometheus.yml", "job_name: lineside-agent", "job_name: lineside-monitor"),
        ("prometheus.yml", "rules/*.yml", "rules/lineside.yml]"),
        ("rules/lineside.yml", "expr: lineside_monitor_camera_fault == 1", "expr: lineside_monitor_camera_fault == "),
        ("rules/lineside.yml", "severity: page", "severity-of-it: page"),
        ("rules/lineside.yml", "{{ $labels.camera }}", "{{ $labels.camera }"),
    ],
)
def test_planted_fault_is_refused(
    folder: Path, promtool: Callable[..., subprocess.CompletedProcess[str]], file: str, good: str, broken: str
) -> None:
    text = (folder / file).read_text()
    assert good in text
    (folder / file).write_text(text.replace(good, broken))
    answers = [
        promtool("check", "config", folder / "prometheus.yml"),
        promtool("test", "rules", folder / "rules_test.yml"),
    ]
    assert any(answer.returncode != 0 for answer in answers)


def test_alerts_come_when_they_should_and_stay_away_when_not(
    promtool: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    answer = promtool("test", "rules", PROMETHEUS / "rules_test.yml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_alert_that_never_comes_fails_the_rules_own_tests(
    folder: Path, promtool: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    rules = folder / "rules" / "lineside.yml"
    rules.write_text(rules.read_text().replace('up{job="lineside-monitor"} == 0', 'up{job="lineside-monitor"} == 2'))
    assert promtool("test", "rules", folder / "rules_test.yml").returncode != 0
