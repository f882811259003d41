"""Settings: unknown keys are errors, doors beyond this machine are locked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.access import secret
from contracts.errors import ConfigurationError
from contracts.settings import parse_settings, read_settings
from monitor.settings import MonitorSettings

LEAST = {"state_folder": "/var/lib/lineside", "sites": ["mono"]}


def parse(**more: object) -> MonitorSettings:
    return parse_settings({**LEAST, **more}, MonitorSettings, source="monitor.toml")


def test_defaults_are_productions() -> None:
    settings = parse()
    assert settings.registry == Path("/var/lib/lineside/registry")
    assert settings.rules.commissioning_windows == 300
    assert settings.labels.audit_per_camera_day == 50
    assert settings.rollout.approval_for("mono", "cap") == "person"


def test_one_site_may_have_other_rules_than_the_rest() -> None:
    settings = parse(
        sites=("mono", "poly"),
        rules={"cool_down_hours": 48, "windows_over": 2},
        site={"poly": {"rules": {"cool_down_hours": 6, "maintenance": [{"from_": "22:00", "to": "06:00"}]}}},
    )
    mono, poly = settings.rules_of("mono"), settings.rules_of("poly")
    assert (mono.cool_down_hours, poly.cool_down_hours) == (48, 6)
    assert (mono.windows_over, poly.windows_over) == (2, 2)
    assert len(poly.maintenance) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"site": {"poly": {"rules": {"level": 0.02}}}}, "settings for site poly, which is not among sites"),
        ({"rollout": {"approvals": {"mon/cap": "person"}}}, "settings for site mon, which is not among sites"),
        ({"site": {"mono": {"rules": {"cool_down_hour": 6}}}}, "did you mean 'cool_down_hours'?"),
        ({"site": {"mono": {"rules": {"cool_down_hours": -6}}}}, "cool_down_hours"),
        ({"site": {"mono": {"rule": {}}}}, "did you mean 'rules'?"),
    ],
)
def test_a_site_or_key_that_is_not_known_is_named(more: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        parse(**more)


def test_approval_is_set_per_site_and_product() -> None:
    settings = parse(
        rollout={"approvals": {"mono": "two-people", "mono/cap": "automatic-after-shadow"}, "approval": "person"}
    )
    assert settings.rollout.approval_for("mono", "cap") == "automatic-after-shadow"
    assert settings.rollout.approval_for("mono", "lid") == "two-people"
    assert settings.rollout.approval_for("poly", "cap") == "person"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"sites": []}, "sites"),
        ({"sites": ["Mono"]}, "sites"),
        ({"broker": {"hots": "x"}}, "did you mean 'host'"),
        ({"rules": {"commissioning_windows": 5}}, "greater than or equal to 20"),
        ({"broker": {"host": "plant-broker"}}, "set user and password_file"),
        ({"web": {"host": "192.0.2.7"}}, "set password_file"),
        ({"web": {"host": "192.0.2.7", "password": "x"}}, "set agent_token_file"),
        ({"rollout": {"approval": "nobody"}}, "approval"),
    ],
)
def test_wrong_key_or_open_door_is_named(more: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse(**more)


def test_open_to_the_network_with_password_and_token() -> None:
    settings = parse(web={"host": "192.0.2.7", "password": "x", "agent_token": "y"})
    assert "x" not in repr(settings.web.password)
    assert secret(settings.web.password, None) == "x"


@pytest.mark.parametrize(
    ("names", "password", "complaint"),
    [
        (("ann",), None, "nobody is asked who they are"),
        (("ann", "ann"), "x", "two people are called 'ann'"),
        (("operator",), "x", "two people are called 'operator'"),
        (("Ann Example",), "x", "web.raters.0.name"),
    ],
)
def test_raters_are_told_apart_by_name_and_key(names: tuple[str, ...], password: str | None, complaint: str) -> None:
    raters = [{"name": name, "key_sha256": "a" * 64} for name in names]
    with pytest.raises(ConfigurationError, match=complaint):
        parse(web={"password": password, "raters": raters})


def test_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    assert secret(None, file) == "secret"
    file.write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        secret(None, file)
    with pytest.raises(ConfigurationError, match="nowhere"):
        secret(None, tmp_path / "nowhere")
    assert secret(None, None) is None


def test_toml_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "monitor.toml"
    file.write_text(
        'state_folder = "/tmp/m"\nsites = ["mono", "poly"]\n[web]\nport = 9000\n'
        "[[rules.maintenance]]\nweekdays = [6]\nfrom_ = 02:00:00\nto = 04:00:00\n"
    )
    settings = read_settings(file, MonitorSettings)
    assert (settings.web.port, settings.sites) == (9000, ("mono", "poly"))
    assert settings.rules.maintenance[0].weekdays == (6,)
