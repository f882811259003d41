"""From a model's further answers to a level, a box and a map in the source image."""

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.preprocessing import Preprocessing, Tiles
from contracts.tasks import LocationGrid, SeverityScale, Tasks
from runtime.preprocessing import inset, prepare
from runtime.session import Inference
from runtime.tasks import View, box_of, found, heat_map, level_of, overlap, peak_of, views

SIZE = (300, 200)
TILES = Tiles(columns=2, rows=2, overlap=0.2)


def spec(**changes: object) -> Preprocessing:
    version = 2 if "tiles" in changes else 1
    plain = {"schema_version": version, "width": 64, "height": 64, "mean": [0.0] * 3, "std": [1.0] * 3}
    return Preprocessing.model_validate({**plain, **changes})


def hot(cell: tuple[int, int, int], inputs: int = 1, side: int = 8) -> NDArray[np.float32]:
    heat = np.full((inputs, side, side), -6.0, np.float32)
    heat[cell] = 4.0
    return heat


LAYOUTS = [
    spec(),
    spec(resize="pad"),
    spec(region_of_interest=(40, 20, 290, 180)),
    spec(tiles=TILES.model_dump()),
    spec(tiles=TILES.model_dump(), resize="pad"),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_place_goes_into_an_input_and_back_to_where_it_was(layout: Preprocessing) -> None:
    for view in views(SIZE, layout):
        left, top, right, bottom = view.window
        box = (left + 0.2 * (right - left), top + 0.3 * (bottom - top), right - 3, bottom - 5)
        inside = view.to_input(box)
        assert (*view.to_source(*inside[:2]), *view.to_source(*inside[2:])) == pytest.approx(box)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_spot_lies_in_the_input_where_the_mapping_says(layout: Preprocessing) -> None:
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    spot = (130, 90, 160, 110)
    image[spot[1] : spot[3], spot[0] : spot[2]] = 255
    tensor = prepare(image, layout)
    for view, pixels in zip(views(SIZE, layout), tensor[:, 0], strict=True):
        if pixels.max() < 0.9:
            continue
        rows, columns = np.nonzero(pixels > 0.5)
        mean = (columns.mean() + 0.5) / layout.width, (rows.mean() + 0.5) / layout.height
        x, y = view.to_source(*mean)
        visible = [max(spot[0], view.window[0]), max(spot[1], view.window[1])]
        visible += [min(spot[2], view.window[2]), min(spot[3], view.window[3])]
        assert x == pytest.approx((visible[0] + visible[2]) / 2, abs=3)
        assert y == pytest.approx((visible[1] + visible[3]) / 2, abs=3)


def test_box_lies_around_the_hottest_cell_of_all_tiles() -> None:
    layout = spec(tiles=TILES.model_dump())
    heat, distances = hot((3, 4, 2), inputs=4), np.full((4, 4, 8, 8), 0.5, np.float32)
    window = views(SIZE, layout)[3].window
    wide, high = (window[2] - window[0]) / 8, (window[3] - window[1]) / 8
    left, top, right, bottom = box_of(heat, distances, SIZE, layout)
    assert (left, right) == pytest.approx((window[0] + 2 * wide, window[0] + 3 * wide), abs=0.06)
    assert (top, bottom) == pytest.approx((window[1] + 4 * high, window[1] + 5 * high), abs=0.06)
    assert peak_of(heat, SIZE, layout) == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=0.1)


def test_box_of_a_defect_that_lies_beside_the_centre_of_its_cell() -> None:
    distances = np.zeros((1, 4, 8, 8), np.float32)
    distances[0, :, 0, 0] = (-0.1, 0.2, 0.4, 0.2)  # from 0.1 cells right of the centre on
    left, _, right, _ = box_of(hot((0, 0, 0)), distances, SIZE, spec())
    assert (left, right) == pytest.approx((0.6 * 300 / 8, 0.9 * 300 / 8), abs=0.06)


def test_box_stays_inside_the_image() -> None:
    distances = np.full((1, 4, 8, 8), 50.0, np.float32)
    assert box_of(hot((0, 7, 7)), distances, SIZE, spec()) == (0.0, 0.0, 300.0, 200.0)


def test_map_is_warm_where_the_cell_lies_and_cold_elsewhere() -> None:
    layout = spec(tiles=TILES.model_dump())
    heat = hot((1, 6, 5), inputs=4)
    x, y = peak_of(heat, SIZE, layout)
    whole = heat_map(heat, SIZE, layout)
    assert whole.shape == (43, 64)
    assert whole[int(y / 200 * 43), int(x / 300 * 64)] > 0.8
    assert whole[:, :20].max() < 0.01


def test_map_is_empty_outside_the_region_of_interest() -> None:
    layout = spec(region_of_interest=(150, 0, 300, 200))
    whole = heat_map(np.full((1, 8, 8), 5.0, np.float32), SIZE, layout)
    assert whole[:, :31].max() == 0
    assert whole[:, 33:].min() > 0.9


def test_level_counts_the_steps_that_are_likely() -> None:
    assert [level_of(np.array(row)) for row in ([-1, -2, -3], [1, -1, -2], [3, 2, 1])] == [0, 1, 3]


def test_a_part_that_passes_has_neither_severity_nor_box() -> None:
    scale = SeverityScale(column="area", names=("none", "small", "large"), bounds=(5.0,))
    tasks = Tasks(severity=scale, location=LocationGrid(rows=8, columns=8))
    empty = np.zeros(2, np.float32)
    inference = Inference(
        empty, empty, empty, np.array([2.0, 1.0], np.float32), hot((0, 3, 3)), np.ones((1, 4, 8, 8), np.float32)
    )
    passed = found(inference, tasks, spec(), SIZE, stopped=False)
    assert (passed.severity, passed.box) == (scale.severity(0), None)
    assert passed.heat is not None
    stopped = found(inference, tasks, spec(), SIZE, stopped=True)
    assert stopped.severity == scale.severity(2)
    assert stopped.box is not None


def test_a_model_without_tasks_says_nothing_more() -> None:
    empty = np.zeros(2, np.float32)
    nothing = found(Inference(empty, empty, empty), None, spec(), SIZE, stopped=True)
    assert (nothing.severity, nothing.box, nothing.heat) == (None, None, None)


def test_padding_lies_around_a_wide_window() -> None:
    assert inset((0, 0, 200, 100), spec(resize="pad")) == (0, 16, 64, 32)
    assert View((0, 0, 200, 100), spec(resize="pad")).to_input((0, 0, 200, 100)) == (0.0, 0.25, 1.0, 0.75)


def test_boxes_that_do_not_meet_overlap_by_nothing() -> None:
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
