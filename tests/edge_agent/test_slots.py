"""Bundle slots: what serves, what it goes back to, what never runs again."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from contracts import BundleError
from edge_agent.slots import Slots
from runtime.bundle import open_bundle
from tests.simulators import killed
from tests.simulators.paper_bundle import write_paper_bundle

ACTIVATE = """
import sys
from pathlib import Path
from edge_agent.slots import Slots
slots = Slots(Path(sys.argv[1]))
slots.stage(slots.incoming / sys.argv[2], sys.argv[2])
slots.switch(sys.argv[2])
slots.confirm()
slots.prune()
"""
GO_BACK = """
import sys
from pathlib import Path
from edge_agent.slots import Slots
slots = Slots(Path(sys.argv[1]))
slots.refuse(slots.active().name, "the probe failed")
slots.go_back()
slots.prune()
"""


def _arrive(slots: Slots, created: int) -> str:
    """A download that is complete; its hash."""
    arriving = slots.incoming / f"arriving-{created}"
    bundle_hash = write_paper_bundle(arriving, created=created)
    arriving.rename(slots.incoming / bundle_hash)
    return bundle_hash


def _activate(slots: Slots, created: int) -> str:
    bundle_hash = _arrive(slots, created)
    slots.stage(slots.incoming / bundle_hash, bundle_hash)
    slots.switch(bundle_hash)
    slots.confirm()
    return bundle_hash


def test_nothing_is_active_before_the_first_switch(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    bundle_hash = _arrive(slots, 1)
    slots.stage(slots.incoming / bundle_hash, bundle_hash)
    assert slots.active() is None
    assert slots.previous() is None
    assert slots.go_back() is None


def test_the_bundle_before_the_switch_becomes_the_previous_one(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    first, second = _activate(slots, 1), _activate(slots, 2)
    again = Slots(tmp_path)
    assert (again.active(), again.previous()) == (tmp_path / "bundles" / second, tmp_path / "bundles" / first)


def test_going_back_returns_to_the_last_confirmed_bundle_not_to_one_that_never_proved_itself(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    good = _activate(slots, 1)
    for created in (2, 3):
        unproven = _arrive(slots, created)
        slots.stage(slots.incoming / unproven, unproven)
        slots.switch(unproven)
    went_to = slots.go_back()
    assert went_to is not None
    assert went_to.name == good
    assert slots.previous() is None


def test_a_refused_bundle_neither_serves_nor_installs_again_even_after_a_restart(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    good, bad = _activate(slots, 1), _activate(slots, 2)
    slots.refuse(bad, "answers NaN")
    again = Slots(tmp_path)
    active = again.active()
    assert active is not None
    assert active.name == good
    write_paper_bundle(tmp_path / "copy", created=2)
    with pytest.raises(BundleError, match="refused on this device: answers NaN"):
        again.stage(tmp_path / "copy", bad)
    with pytest.raises(BundleError, match="refused"):
        again.switch(bad)


def test_the_first_reason_of_a_refusal_is_kept(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    slots.refuse("a" * 64, "too slow")
    slots.refuse("a" * 64, "another")
    assert slots.refused() == {"a" * 64: "too slow"}


def test_a_damaged_download_is_not_staged(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    bundle_hash = _arrive(slots, 1)
    (slots.incoming / bundle_hash / "int8.onnx").write_bytes(b"MODEL")
    with pytest.raises(BundleError, match=r"int8\.onnx"):
        slots.stage(slots.incoming / bundle_hash, bundle_hash)
    with pytest.raises(BundleError, match="not staged"):
        slots.switch(bundle_hash)


def test_staging_again_replaces_a_slot_that_has_rotted(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    bundle_hash = _activate(slots, 1)
    (tmp_path / "bundles" / bundle_hash / "int8.onnx").write_bytes(b"rot")
    _arrive(slots, 1)
    place = slots.stage(slots.incoming / bundle_hash, bundle_hash)
    assert open_bundle(place, expected_hash=bundle_hash).path == place


def test_staging_twice_is_harmless(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    bundle_hash = _activate(slots, 1)
    assert slots.stage(slots.incoming / "gone", bundle_hash) == tmp_path / "bundles" / bundle_hash


def test_starts_are_counted_only_until_the_bundle_is_confirmed(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    bundle_hash = _arrive(slots, 1)
    slots.stage(slots.incoming / bundle_hash, bundle_hash)
    slots.switch(bundle_hash)
    assert [Slots(tmp_path).note_start() for _ in range(3)] == [1, 2, 3]
    slots.confirm()
    assert slots.note_start() == 0


def test_a_start_after_an_orderly_end_says_nothing_against_the_bundle(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    slots.switch(_staged(slots, 1))
    for _ in range(3):
        slots.note_stop()
        assert slots.note_start() == 0
    assert slots.note_start() == 1


def test_a_start_after_the_machine_was_down_says_nothing_against_the_bundle(tmp_path: Path) -> None:
    Slots(tmp_path, machine="monday").switch(_staged(Slots(tmp_path), 1))
    assert Slots(tmp_path, machine="tuesday").note_start() == 0
    assert Slots(tmp_path, machine="wednesday").note_start() == 0
    assert Slots(tmp_path, machine="wednesday").note_start() == 1


def _staged(slots: Slots, created: int) -> str:
    bundle_hash = _arrive(slots, created)
    slots.stage(slots.incoming / bundle_hash, bundle_hash)
    return bundle_hash


def test_pruning_keeps_active_previous_and_the_shadow(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    hashes = [_activate(slots, created) for created in (1, 2, 3, 4)]
    slots.prune(keep=(hashes[0],))
    assert {path.name for path in (tmp_path / "bundles").iterdir()} == {hashes[0], hashes[2], hashes[3]}


def test_a_damaged_pointer_falls_back_to_the_newest_complete_bundle(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    _activate(slots, 1)
    second = _activate(slots, 2)
    (tmp_path / "slots.json").write_bytes(b"\0" * 100)
    active = Slots(tmp_path).active()
    assert active is not None
    assert active.name == second


def test_a_damaged_list_of_refusals_stops_rather_than_forgets(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    _activate(slots, 1)
    (tmp_path / "refused.json").write_bytes(b"{")
    with pytest.raises(BundleError, match=r"refused\.json is damaged"):
        slots.active()


@pytest.fixture
def two_bundles(tmp_path: Path) -> tuple[Path, str, str]:
    """A folder with one active bundle and a second that has arrived."""
    slots = Slots(tmp_path / "slots")
    first = _activate(slots, 1)
    _activate(slots, 3)
    slots.switch(first)
    slots.confirm()
    return tmp_path / "slots", first, _arrive(slots, 2)


@pytest.mark.skipif(not killed.AVAILABLE, reason="strace is missing or may not trace here")
def test_killed_at_any_system_call_of_an_activation_a_complete_bundle_serves(
    tmp_path: Path, two_bundles: tuple[Path, str, str]
) -> None:
    folder, old, new = two_bundles
    program = tmp_path / "activate.py"
    program.write_text(ACTIVATE)
    calls = _calls(program, folder, new, tmp_path)
    for call in range(len(calls)):
        trial = tmp_path / f"killed-{call}"
        shutil.copytree(folder, trial)
        killed.run_killed_at(call, calls, program, trial, new)
        slots = Slots(trial)
        active = slots.active()
        assert active is not None, call
        assert active.name in (old, new), call
        open_bundle(active, expected_hash=active.name)
        _finish(slots, new)
        assert slots.active() == trial / "bundles" / new, call
        assert slots.previous() == trial / "bundles" / old, call
        shutil.rmtree(trial)


@pytest.mark.skipif(not killed.AVAILABLE, reason="strace is missing or may not trace here")
def test_killed_at_any_system_call_while_going_back_the_good_bundle_serves(
    tmp_path: Path, two_bundles: tuple[Path, str, str]
) -> None:
    folder, good, bad = two_bundles
    _finish(Slots(folder), bad)
    program = tmp_path / "go_back.py"
    program.write_text(GO_BACK)
    calls = _calls(program, folder, bad, tmp_path)
    for call in range(len(calls)):
        trial = tmp_path / f"killed-{call}"
        shutil.copytree(folder, trial)
        killed.run_killed_at(call, calls, program, trial, bad)
        active = Slots(trial).active()
        assert active is not None, call
        open_bundle(active, expected_hash=active.name)
        assert active.name == (bad if not Slots(trial).refused() else good), call
        shutil.rmtree(trial)


@pytest.mark.skipif(not killed.AVAILABLE, reason="strace is missing or may not trace here")
def test_nothing_is_renamed_into_place_before_it_is_flushed_to_disk(
    tmp_path: Path, two_bundles: tuple[Path, str, str]
) -> None:
    folder, _, new = two_bundles
    program = tmp_path / "activate.py"
    program.write_text(ACTIVATE)
    calls = killed.traced_calls(program, folder, new, log=tmp_path / "log")
    for before, call in itertools.pairwise(calls):
        if call.startswith("rename(") and "discarded" not in call:
            assert before.startswith("fsync("), calls
    placed = next(number for number, call in enumerate(calls) if f"/bundles/{new}" in call)
    files_and_folders = 4 + 2
    assert sum(call.startswith("fsync(") for call in calls[:placed]) == files_and_folders


def _calls(program: Path, folder: Path, bundle_hash: str, tmp_path: Path) -> list[str]:
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    calls = killed.traced_calls(program, whole, bundle_hash, log=tmp_path / "log")
    assert len(calls) > 10
    return calls


def _finish(slots: Slots, bundle_hash: str) -> None:
    """What a restarted agent does: the same again."""
    slots.stage(slots.incoming / bundle_hash, bundle_hash)
    slots.switch(bundle_hash)
    slots.confirm()
