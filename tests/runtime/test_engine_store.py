"""Engines are found again only where nothing that they depend on has changed, and nobody else could have put them."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import BundleError
from runtime.engine_store import Device, EngineKey, EngineStore

DEVICE = Device(gpu="NVIDIA Orin", compute_capability="8.7", driver="540.3 CUDA 12.6", runtime="TensorRT 11.4.0")
KEY = EngineKey(DEVICE, "a" * 64, "int8")


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


def test_an_engine_is_found_again(store: EngineStore) -> None:
    assert not store.has(KEY)
    assert store.engine(KEY) is None
    store.keep(KEY, b"engine")
    assert store.has(KEY)
    assert store.engine(KEY) == b"engine"


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, device=replace(DEVICE, gpu="NVIDIA T4")),
        replace(KEY, device=replace(DEVICE, compute_capability="7.5")),
        replace(KEY, device=replace(DEVICE, driver="550.1 CUDA 12.6")),
        replace(KEY, device=replace(DEVICE, runtime="TensorRT 11.5.0")),
        replace(KEY, model_sha256="b" * 64),
        replace(KEY, precision="fp32"),
    ],
)
def test_any_change_makes_another_engine(store: EngineStore, other: EngineKey) -> None:
    store.keep(KEY, b"engine")
    assert not store.has(other)
    assert store.engine(other) is None


def test_engines_of_an_older_runtime_go_when_one_is_built(store: EngineStore, tmp_path: Path) -> None:
    store.keep(KEY, b"old")
    store.keep_timings(DEVICE, b"times")
    (tmp_path / "engines" / "README").touch()
    upgraded = replace(KEY, device=replace(DEVICE, runtime="TensorRT 11.5.0"))
    store.keep(upgraded, b"new")
    store.keep(replace(upgraded, precision="fp32"), b"another")
    assert store.engine(upgraded) == b"new"
    assert not store.has(KEY)
    assert store.timings(DEVICE) == b""
    assert sorted(path.suffix for path in (tmp_path / "engines").iterdir()) == ["", ".engine", ".engine"]


def test_a_damaged_engine_counts_as_none(store: EngineStore, tmp_path: Path) -> None:
    store.keep(KEY, b"engine")
    path = next((tmp_path / "engines").glob("*.engine"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert store.engine(KEY) is None
    assert not store.has(KEY)


def test_what_others_could_have_put_there_is_not_taken(store: EngineStore, tmp_path: Path) -> None:
    store.keep(KEY, b"engine")
    folder = tmp_path / "engines"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o770)
    assert not store.has(KEY)
    assert store.engine(KEY) is None
    with pytest.raises(BundleError, match="others may write to"):
        store.keep(KEY, b"engine")


def test_timings_are_kept_for_the_next_engine(store: EngineStore) -> None:
    assert store.timings(DEVICE) == b""
    store.keep_timings(DEVICE, b"times")
    assert store.timings(DEVICE) == b"times"


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    real = EngineStore(tmp_path / "real")
    real.keep(KEY, b"engine")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert EngineStore(tmp_path / "link").engine(KEY) is None
