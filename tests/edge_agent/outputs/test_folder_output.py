"""The folder output: whole files with safe names, a quota that touches nothing else, and a disk that says no."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.answer import Answer
from contracts.errors import LinkError
from contracts.frame import Decision
from edge_agent.outputs.folder import FolderOutput, file_name
from tests.simulators.answers import answer


def output(folder: Path, *, most_files: int = 100) -> tuple[FolderOutput, list[int]]:
    dropped: list[int] = []
    made = FolderOutput("files", folder, most_files=most_files, dropped=dropped.append)
    made.open()
    return made, dropped


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_answer_is_one_whole_file(tmp_path: Path) -> None:
    made, _ = output(tmp_path / "out")
    made.deliver(answer(3, Decision.REVIEW))
    assert names(tmp_path / "out") == ["cam-a-3.cam-a.3.answer.json"]
    found = Answer.model_validate_json((tmp_path / "out" / "cam-a-3.cam-a.3.answer.json").read_bytes())
    assert (found.decision, found.part_id) == (Decision.REVIEW, "cam-a-3")


@pytest.mark.parametrize(
    ("part_id", "name"),
    [("P:1", "P-1.cam-a.0.answer.json"), ("..", "part.cam-a.0.answer.json"), (".x", "x.cam-a.0.answer.json")],
)
def test_a_part_id_never_leaves_the_folder(part_id: str, name: str) -> None:
    assert file_name(answer().model_copy(update={"part_id": part_id})) == name


def test_the_oldest_go_at_the_quota_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "other.json").write_text("{}")
    made, dropped = output(tmp_path, most_files=20)
    for n in range(50):
        made.deliver(answer(n))
    kept = [name for name in names(tmp_path) if name.endswith(".answer.json")]
    assert len(kept) <= 20
    assert len(kept) + sum(dropped) == 50
    assert {int(name.split(".")[2]) for name in kept} == set(range(50 - len(kept), 50))
    assert {"notes.txt", "other.json"} <= set(names(tmp_path))


def test_what_a_reader_took_away_does_not_count(tmp_path: Path) -> None:
    made, dropped = output(tmp_path, most_files=10)
    for n in range(100):
        made.deliver(answer(n))
        next(tmp_path.glob("*.answer.json")).unlink()
    assert dropped == []


def test_files_of_an_earlier_run_are_under_the_quota_too(tmp_path: Path) -> None:
    first, _ = output(tmp_path)
    for n in range(30):
        first.deliver(answer(n))
    second, dropped = output(tmp_path, most_files=10)
    second.deliver(answer(30))
    assert len(names(tmp_path)) <= 10
    assert sum(dropped) == 31 - len(names(tmp_path))


def test_a_folder_that_cannot_be_used_is_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LinkError, match="cannot write answers into"):
        output(tmp_path / "file")
    made, _ = output(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    (tmp_path / "gone").write_text("now a file")
    with pytest.raises(LinkError, match="check rights and room"):
        made.deliver(answer())
