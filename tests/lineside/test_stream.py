"""Streams with known truth: the control file steers them, and a restart goes on with the next part."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.errors import ConfigurationError
from lineside.line import Conditions
from lineside.stream.control import ControlFile, LineControl, write_control
from lineside.stream.pictures import Fault, PictureConditions, PictureLine, add_fault, draw_fault, read_pool
from lineside.stream.source import LineSource, StreamSettings
from lineside.stream.truth import TruthReader


@pytest.fixture
def settings(tmp_path: Path) -> StreamSettings:
    write_control(tmp_path / "control.json", LineControl(era="home", simulated=Conditions()))
    return StreamSettings(
        seed=5, cameras=("camera-1", "camera-2"), control=tmp_path / "control.json", truth=tmp_path / "truth.jsonl"
    )


def test_every_part_is_in_the_truth_log_before_it_is_inspected(settings: StreamSettings) -> None:
    source = LineSource(settings)
    captures = list(islice(source.captures(), 6))
    truths = list(TruthReader(settings.truth).new())
    assert [truth.part_id for truth in truths] == [capture.frame.part_id for capture in captures]
    assert [capture.frame.sequence for capture in captures] == [0, 0, 1, 1, 2, 2]


def test_a_restarted_stream_goes_on_with_the_next_part(settings: StreamSettings) -> None:
    first = list(islice(LineSource(settings).captures(), 4))
    second = list(islice(LineSource(settings).captures(), 2))
    assert [capture.frame.sequence for capture in second] == [2, 2]
    assert not {capture.frame.part_id for capture in first} & {capture.frame.part_id for capture in second}


def test_the_control_file_is_read_again_when_it_is_replaced(tmp_path: Path) -> None:
    file = ControlFile(tmp_path / "control.json")
    assert file.current().paused
    write_control(tmp_path / "control.json", LineControl(era="home"))
    assert file.current().era == "home"
    write_control(tmp_path / "control.json", LineControl(era="shifted"))
    assert file.current().era == "shifted"


def test_an_unknown_key_in_the_control_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "control.json").write_text('{"erra": "home"}')
    with pytest.raises(ConfigurationError, match="did you mean 'era'"):
        ControlFile(tmp_path / "control.json").current()


def test_a_truth_line_that_is_not_finished_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    line = '{"part_id": "a", "camera": "c", "sequence": 0, "label": "good", "severity": 0, "era": "home"}'
    path.write_text(line + "\n" + line[:20])
    reader = TruthReader(path)
    assert len(list(reader.new())) == 1
    with path.open("a") as file:
        file.write(line[20:] + "\n")
    assert len(list(reader.new())) == 1


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with (tmp_path / "pool.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        for number in range(4):
            Image.fromarray(rng.integers(60, 190, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"p{number}.png")
            writer.writerow((f"p{number}.png", "good" if number % 2 else "bad"))
    return tmp_path / "pool.csv"


def test_pictures_come_with_jitter_and_the_same_bytes_for_the_same_seed(pool: Path) -> None:
    lines = [PictureLine(3, ("camera-1",), {"home": read_pool(pool)}) for _ in range(2)]
    conditions = PictureConditions(pool="home")
    first, second = ([line.next_part("camera-1", conditions) for _ in range(30)] for line in lines)
    assert all(np.array_equal(one.image, other.image) for one, other in zip(first, second, strict=True))
    seen = [part.image for part in first if part.part_id == "p1"]
    assert len(seen) > 1
    assert not np.array_equal(seen[0], seen[1])


def test_a_fault_touches_one_camera_only(pool: Path) -> None:
    line = PictureLine(3, ("camera-1", "camera-2"), {"home": read_pool(pool)})
    clean = PictureLine(3, ("camera-1", "camera-2"), {"home": read_pool(pool)})
    dark = PictureConditions(pool="home", faults={"camera-1": Fault(kind="dark", strength=0.8)})
    usual = PictureConditions(pool="home")
    assert line.next_part("camera-1", dark).image.mean() < 0.7 * clean.next_part("camera-1", usual).image.mean()
    assert np.array_equal(line.next_part("camera-2", dark).image, clean.next_part("camera-2", usual).image)


def test_a_picture_that_comes_again_is_another_part_where_the_line_says_so(pool: Path) -> None:
    conditions = PictureConditions(pool="home")
    lines = [PictureLine(3, ("camera-1",), {"home": read_pool(pool)}, new_part_each_time=new) for new in (False, True)]
    known, fresh = ({line.next_part("camera-1", conditions).part_id for _ in range(30)} for line in lines)
    assert (len(known), len(fresh)) == (4, 30)


def test_every_drawn_fault_changes_the_picture() -> None:
    image = np.random.default_rng(1).integers(60, 190, (64, 64, 3), dtype=np.uint8)
    for seed in range(12):
        fault = draw_fault(np.random.default_rng(seed))
        assert np.abs(add_fault(image, fault).astype(int) - image).mean() > 5, fault
