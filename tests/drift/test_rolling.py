"""Windows that roll up."""

import pytest

from drift.profile import ROLL_UP
from drift.rolling import Rolling
from drift.window import WindowMean


def window(value: float, name: str = "a") -> WindowMean:
    return WindowMean(names=(name,), mean=(value,), spread=(1.0,), images=10)


def test_ten_windows_become_their_mean_also_through_a_restart() -> None:
    rolling, whole = Rolling(), None
    for number in range(ROLL_UP):
        assert whole is None
        rolling, whole = Rolling.model_validate_json(rolling.model_dump_json()).add(window(float(number)))
    assert whole is not None
    assert whole.mean == (pytest.approx(4.5),)
    assert whole.images == 100
    assert rolling == Rolling()


def test_windows_with_other_entries_start_anew() -> None:
    rolling, _ = Rolling().add(window(1.0))
    rolling, _ = rolling.add(window(1.0, "b"))
    assert len(rolling.windows) == 1
