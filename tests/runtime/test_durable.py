from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.durable import beside, write_durably, write_whole

Write = Callable[[Path, bytes], None]


@pytest.mark.parametrize("write", [write_durably, write_whole])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "made" / "state.json"
    write(path, b"old")
    beside(path).write_bytes(b"what a killed writer left, longer than what follows")
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir()] == ["state.json"]


def test_a_write_that_fails_keeps_the_old_content_and_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(taken, "text")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_the_mode_holds_whatever_was_left_there(tmp_path: Path) -> None:
    path = tmp_path / "key"
    beside(path).write_bytes(b"")
    beside(path).chmod(0o666)
    write_durably(path, b"secret", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


def test_content_and_name_are_on_disk_before_the_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor: int) -> None:
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    write_durably(tmp_path / "state", b"x")
    assert calls == [str(beside(tmp_path / "state")), "rename", str(tmp_path)]
