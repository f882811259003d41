"""The watched folder: every file once, moved when its verdict is on record, also over a kill."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from contracts.frame import Decision
from edge_agent.agent import Agent
from edge_agent.settings import FolderSettings, InspectionSettings
from edge_agent.sources.folder import FolderSource
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.small_bundle import encoded, picture


def watched(folder: Path) -> FolderSettings:
    return FolderSettings(path=folder, camera="inbox", scan_seconds=0.02, settle_seconds=0.0)


def put(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_bytes(data)
    return file


def on_record(agent: Agent) -> dict[str, Decision]:
    return {e.verdict.frame.part_id: e.verdict.decision for e in agent.core.record.entries(limit=1000)}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_images_get_verdicts_and_move_to_done(tmp_path: Path, make_agent: MakeAgent) -> None:
    inbox = tmp_path / "inbox"
    put(inbox, "Nr 17.png", encoded(picture(180)))
    put(inbox, "p-18.jpg", encoded(picture(80), "JPEG"))
    agent = make_agent(folders=(watched(inbox),))
    wait_for(lambda: names(inbox) == {"done", "unreadable"})
    assert on_record(agent) == {"Nr-17": Decision.NG, "p-18": Decision.OK}
    assert names(inbox / "done") == {"Nr 17.png", "p-18.jpg"}


def test_what_is_no_image_moves_to_unreadable_with_its_reason_on_record(tmp_path: Path, make_agent: MakeAgent) -> None:
    inbox = tmp_path / "inbox"
    put(inbox, "notes.txt", b"not an image")
    agent = make_agent(folders=(watched(inbox),))
    wait_for(lambda: names(inbox / "unreadable") == {"notes.txt"})
    (entry,) = agent.core.record.entries(limit=9)
    assert entry.verdict.decision is Decision.NO_VERDICT
    assert "not an image" in (entry.verdict.reason or "")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, make_agent: MakeAgent) -> None:
    inbox = tmp_path / "inbox"
    put(inbox, "big.png", b"x" * 2000)
    agent = make_agent(folders=(watched(inbox),), inspection=InspectionSettings(max_image_bytes=1000))
    wait_for(lambda: names(inbox / "unreadable") == {"big.png"})
    assert on_record(agent) == {}


def test_a_file_that_still_grows_is_left_alone_until_it_is_whole(tmp_path: Path) -> None:
    data = encoded(picture(180))
    file = put(tmp_path / "inbox", "p-1.png", data[:100])
    source = bare(tmp_path / "inbox", recorded=set())
    looks = source.captures()
    assert next(looks) is None  # seen once
    file.write_bytes(data[:300])
    assert next(looks) is None  # it has grown
    file.write_bytes(data)
    assert next(looks) is None  # again
    capture = next(looks)
    assert capture is not None
    assert capture.image == data


def test_hidden_and_partial_files_links_and_folders_are_no_images(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    put(inbox, ".hidden.png", b"x")
    put(inbox, "p.png.part", b"x")
    (inbox / "link.png").symlink_to(put(tmp_path / "elsewhere", "secret.png", b"x"))
    (inbox / "folder.png").mkdir()
    looks = bare(inbox, recorded=set()).captures()
    assert [next(looks) for _ in range(3)] == [None] * 3


def test_a_file_whose_verdict_is_on_record_is_moved_without_a_second_verdict(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    file = put(inbox, "p-1.png", encoded(picture(180)))
    found = file.stat()
    reference = f"{file}:{found.st_mtime_ns}:{found.st_size}"  # killed between commit and move
    looks = bare(inbox, recorded={reference}).captures()
    assert [next(looks) for _ in range(2)] == [None] * 2
    assert names(inbox / "done") == {"p-1.png"}


def test_files_are_inspected_in_the_order_in_which_they_came(tmp_path: Path, make_agent: MakeAgent) -> None:
    inbox = tmp_path / "inbox"
    for number, name in enumerate(("c", "a", "b")):
        file = put(inbox, f"{name}.png", encoded(picture(100, number)))
        os.utime(file, (time.time() - 100 + number, time.time() - 100 + number))
    agent = make_agent(folders=(watched(inbox),))
    wait_for(lambda: len(on_record(agent)) == 3)
    assert list(on_record(agent)) == ["b", "a", "c"]


def test_a_second_file_of_the_same_name_replaces_nothing_in_done(tmp_path: Path, make_agent: MakeAgent) -> None:
    inbox = tmp_path / "inbox"
    make_agent(folders=(watched(inbox),))
    for count in (1, 2):
        put(inbox, "p.png", encoded(picture(100, count)))
        wait_for(lambda count=count: len(names(inbox / "done")) == count)
    assert names(inbox / "done") == {"p.png", "p-2.png"}


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("a file")
    with pytest.raises(ConfigurationError, match="inbox"):
        bare(tmp_path / "inbox", recorded=set())


def bare(path: Path, *, recorded: set[str]) -> FolderSource:
    """A source without an agent, looked at step by step."""
    return FolderSource(
        path,
        camera="inbox",
        product="cap",
        line="line-1",
        view="top",
        scan_seconds=0.0,
        settle_seconds=0.0,
        max_bytes=10**6,
        next_sequence=lambda camera: 0,
        on_record=recorded.__contains__,
    )
