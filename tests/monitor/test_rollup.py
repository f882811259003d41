"""Windows add up: over time, cameras, lines and sites."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitor.rollup import SPANS, Summed, rolled_up

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
DAY = [
    Summed(
        site=site,
        line=line,
        camera=camera,
        ended_at=MIDNIGHT + timedelta(minutes=minute),
        images=100,
        dropped_images=1,
        decisions={"OK": 90, "NG": 10},
        labels={"good": 90, "pit": 10},
        latency_seconds_sum=0.5,
        statistics={"mean": 40.0 + minute / 100},
    )
    for site, line, camera in (
        ("a", "l-1", "x/top"),
        ("a", "l-1", "x/side"),
        ("a", "l-2", "y/top"),
        ("b", "l-1", "z/top"),
    )
    for minute in range(1440)
]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("camera", ["a/x/side", "a/x/top", "a/y/top", "b/z/top"]),
        ("line", ["a/l-1", "a/l-2", "b/l-1"]),
        ("site", ["a", "b"]),
        ("fleet", [""]),
    ],
)
@pytest.mark.parametrize("span", ["10m", "hour", "day"])
def test_every_roll_up_holds_every_window_once(by: str, names: list[str], span: str) -> None:
    found = rolled_up(DAY, by=by, span=SPANS[span])  # type: ignore[arg-type]
    assert sorted({totals.about for totals in found}) == names
    assert len(found) == len(names) * (timedelta(days=1) // SPANS[span])
    assert sum(totals.windows for totals in found) == len(DAY)
    assert sum(totals.decisions["NG"] for totals in found) == 10 * len(DAY)


def test_means_are_over_images() -> None:
    first = rolled_up(DAY[:20], by="camera", span=SPANS["10m"])[0]
    assert first.windows == 10
    plain = first.plain()
    assert plain["started_at"] == MIDNIGHT.isoformat()
    assert plain["latency_seconds"] == pytest.approx(0.005)
    assert plain["statistics"]["mean"] == pytest.approx(0.40045)
