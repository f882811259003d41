"""A user's configuration: one wrong key is an error that says what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from contracts.errors import ConfigurationError
from contracts.settings import Settings, parse_settings, read_settings


class Inner(Settings):
    port: int = Field(default=1883, ge=1, le=65535)


class Outer(Settings):
    window_seconds: float = 60.0
    broker: Inner = Inner()
    users: tuple[Inner, ...] | None = None


def test_known_keys_are_read(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("window_seconds = 5\n[broker]\nport = 1884\n")
    assert read_settings(file, Outer) == Outer(window_seconds=5, broker=Inner(port=1884))


def test_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(
        ConfigurationError, match=r"agent\.toml: unknown key 'window_second'; did you mean 'window_seconds'"
    ):
        parse_settings({"window_second": 5}, Outer, source="agent.toml")


def test_unknown_key_that_resembles_none_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="unknown key 'zzz'; known keys: broker, users, window_seconds"):
        parse_settings({"zzz": 5}, Outer, source="agent.toml")


def test_unknown_key_of_a_table_names_the_nearest_known_one_of_that_table() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown key 'broker\.prot'; did you mean 'port'"):
        parse_settings({"broker": {"prot": 5}}, Outer, source="agent.toml")


def test_unknown_key_in_a_list_of_tables_is_explained_too() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown key 'users\.1\.prot'; did you mean 'port'"):
        parse_settings({"users": [{"port": 1}, {"prot": 5}]}, Outer, source="agent.toml")


def test_all_wrong_keys_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings({"zzz": 1, "broker": {"port": 0}}, Outer, source="agent.toml")
    assert "zzz" in str(caught.value)
    assert "broker.port" in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*nowhere\.toml"):
        read_settings(tmp_path / "nowhere.toml", Outer)


def test_broken_toml_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("window_seconds = \n")
    with pytest.raises(ConfigurationError, match=r"agent\.toml is not valid TOML.*line 1"):
        read_settings(file, Outer)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Outer().window_seconds = 3  # type: ignore[misc]
