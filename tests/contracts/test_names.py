"""Names become topics and paths, so nothing that means something there gets through."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.channel import bundle_target, channel_target
from contracts.names import FilePath, Identifier, Moment, Name, Sha256
from contracts.telemetry import KINDS, parse_topic, topic

NAMES = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=64)


def accepts(kind: object, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "name", ["", "A", "camera_1", "a/b", "a+b", "#", "..", "a b", "ä", "a\n", "a" * 65, "camera.1", "\x00", None, 1]
)
def test_bad_name_is_rejected(name: object) -> None:
    assert not accepts(Name, name)


@given(NAMES)
def test_name_of_the_allowed_letters_is_accepted(name: str) -> None:
    assert accepts(Name, name)


@given(st.text(max_size=70))
def test_accepted_name_is_one_level_of_a_topic_and_one_part_of_a_path(name: str) -> None:
    if accepts(Name, name):
        assert name
        assert not set(name) & set("/+#.\\\0\n ")
        assert parse_topic(topic(name, name, "event")) == (name, name, "event")
        assert channel_target(name).count("/") == 1


@given(NAMES, NAMES, st.sampled_from(KINDS))
def test_topic_comes_back_as_it_was(site: str, agent: str, kind: str) -> None:
    assert parse_topic(topic(site, agent, kind)) == (site, agent, kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lineside/v2/a/b/ack",
        "lineside/v1/a/b",
        "lineside/v1/a/b/ack/c",
        "lineside/v1/A/b/ack",
        "lineside/v1/a/b/sink",
    ],
)
def test_foreign_topic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Lineside topic"):
        parse_topic(text)


def test_unknown_kind_of_topic_is_refused() -> None:
    with pytest.raises(ValueError, match="sink"):
        topic("a", "b", "sink")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../b", ".hidden", "a//b", "a/", "a\\b", "a/.b", "", "C:x", "a\n"]
)
def test_path_that_leaves_the_bundle_is_rejected(path: str) -> None:
    assert not accepts(FilePath, path)


@pytest.mark.parametrize("path", ["int8.onnx", "golden/0.png", "a/b/c-d_e.safetensors"])
def test_plain_path_is_accepted(path: str) -> None:
    assert accepts(FilePath, path)
    assert bundle_target("site", "a" * 64, path).endswith(path)


@pytest.mark.parametrize("value", ["a" * 63, "A" * 64, "g" * 64, "a" * 64 + "\n", ""])
def test_what_is_no_hash_is_rejected(value: str) -> None:
    assert not accepts(Sha256, value)


@pytest.mark.parametrize("value", ["", "a b", "a/b", "x" * 129, "part\n"])
def test_bad_part_id_is_rejected(value: str) -> None:
    assert not accepts(Identifier, value)


def test_moment_without_a_zone_is_rejected() -> None:
    with pytest.raises(ValidationError, match="needs a time zone"):
        TypeAdapter(Moment).validate_python(datetime(2026, 1, 31, 12))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(-12 * 60, 14 * 60))
def test_moment_is_kept_in_utc(local: datetime, minutes: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    kept = TypeAdapter(Moment).validate_python(moment)
    assert kept == moment
    assert kept.tzinfo is UTC
