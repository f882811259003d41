"""Short runs on a planted line: alarm-free runs, shifts found, right diagnoses.

Only the line is planted (`drift.evaluate.PlantedLine`), so that its truth is known. Windows are of 100 images and
commissioning is as short as in a demo, so the memories of the wander are of images, not of hours.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.harness import Measured
from contracts.frame import Decision
from contracts.report import Figure
from contracts.telemetry import CONFIDENCE_EDGES, LATENCY_EDGES_SECONDS, Histogram, Window
from drift.evaluate import PlantedLine
from drift.hotelling import HotellingT2
from drift.profile import Commissioning, Profile, ProfileKey
from drift.vector import group_of
from drift.window import WindowMean
from monitor.rules.action import Kind, OpenIncident
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import ReleaseServed, WindowSeen
from monitor.rules.model import ModelState, step
from monitor.rules.settings import RuleSettings
from runtime.metrics import wilson_interval

_START = datetime(2026, 1, 1, tzinfo=UTC)
_KEY = ProfileKey(bundle_hash="0" * 64, camera="agent/camera", product="cap", runtime="planted")
_DEMO_WINDOWS, _DAY_WINDOWS = 60, 24 * 60


def measure(options: argparse.Namespace) -> Measured:
    """All figures; `--quick` repeats a tenth as often."""
    scale = 0.1 if options.quick else 1.0
    rng = np.random.default_rng(options.seed)
    return Measured(
        figures=[
            *[_alarm_free(rng, memory, round(1000 * scale)) for memory in (10, 20, 100, 300, 1000)],
            _month(rng, round(100 * scale)),
            *_detection(rng, round(500 * scale)),
            *_diagnoses(rng, round(200 * scale)),
        ]
    )


def _profile(line: PlantedLine, windows: int) -> Profile:
    """Of at least so many windows; of more where the line's wander asks for them."""
    commissioning = Commissioning(key=_KEY, windows_needed=windows, windows_most=20 * windows)
    while not commissioning.complete:
        means = line.means(commissioning.asked - commissioning.seen)
        commissioning = commissioning.add_all(line.names, means, line.spread(), line.images)
    return commissioning.profile()


def _three_in_a_row(over: np.ndarray) -> int:
    """How often three windows in a row are over, counting each run once."""
    starts = over[2:] & over[1:-1] & over[:-2]
    return int(starts[0]) + int((starts[1:] & ~starts[:-1]).sum())


def _share(name: str, hits: int, tries: int, note: str) -> Figure:
    low, high = wilson_interval(hits, tries)
    return Figure(name=name, value=hits / tries, unit="share", interval=(low, high), note=note)


def _alarm_free(rng: np.random.Generator, memory: int, runs: int) -> Figure:
    free = 0
    for _ in range(runs):
        lines = [PlantedLine(rng, memory_images=memory) for _ in range(2)]
        detectors = [HotellingT2(_profile(line, _DEMO_WINDOWS)) for line in lines]
        alarms = [
            _three_in_a_row(detector.ratios(line.means(200)) > 1.0)
            for line, detector in zip(lines, detectors, strict=True)
        ]
        free += sum(alarms) == 0
    note = f"wander with a memory of {memory} images, windows of 100; 60 or more to learn, 200 watched, 2 cameras, "
    note += f"{runs} runs"
    return _share(f"alarm_free_runs_memory_{memory}", free, runs, note)


def _month(rng: np.random.Generator, cameras: int) -> Figure:
    alarms = 0
    for _ in range(cameras):
        line = PlantedLine(rng, components=16, memory_images=20, images=600)
        detector = HotellingT2(_profile(line, 300))
        alarms += _three_in_a_row(detector.ratios(line.means(30 * _DAY_WINDOWS)) > 1.0)
    note = f"{cameras} cameras, 10 images a second, windows of 60 s, 300 to learn; wander with a memory of 20 images"
    return Figure(name="false_drifts_30_days_100_cameras", value=alarms, unit="drifts", note=note)


def _detection(rng: np.random.Generator, runs: int) -> list[Figure]:
    plants = {
        "image_3_sigma": ("image", 3.0),
        "embedding_3_sigma": ("embedding", 3.0),
        "one_entry_3_sigma": ("one", 3.0),
        "one_entry_5_sigma": ("one", 5.0),
    }
    found = dict.fromkeys(plants, 0)
    for _ in range(runs):
        line = PlantedLine(rng)
        detector = HotellingT2(_profile(line, _DEMO_WINDOWS))
        sigma = np.sqrt(np.diag(np.array(detector.profile.covariance)))
        for name, (group, size) in plants.items():
            shift = size * sigma * _signs(rng, line.names, group)
            found[name] += _three_in_a_row(detector.ratios(line.means(4) + shift) > 1.0) > 0
    note = f"3 of 3 within the first 4 full windows after the shift, 60 windows to learn, {runs} runs"
    return [_share(f"detected_in_4_windows_{name}", hits, runs, note) for name, hits in found.items()]


def _signs(rng: np.random.Generator, names: tuple[str, ...], group: str) -> np.ndarray:
    signs = rng.choice([-1.0, 1.0], size=len(names))
    if group == "one":
        chosen = np.arange(len(names)) == rng.integers(len(names) - 1)
    else:
        chosen = np.array([group_of(name) == group for name in names])
    return np.where(chosen, signs, 0.0)


def _diagnoses(rng: np.random.Generator, runs: int) -> list[Figure]:
    right = {Kind.SENSOR: 0, Kind.PRODUCT: 0}
    for kind in right:
        for _ in range(runs):
            right[kind] += _story(rng, both=kind is Kind.PRODUCT) is kind
    note = f"first diagnosis of two cameras of one line, shift of 4 standard deviations, {runs} runs"
    return [
        _share("diagnosed_sensor", right[Kind.SENSOR], runs, "one camera's image statistics move; " + note),
        _share("diagnosed_product", right[Kind.PRODUCT], runs, "both cameras' embeddings move; " + note),
    ]


def _story(rng: np.random.Generator, *, both: bool) -> Kind | None:
    """The first diagnosis after a planted drift; None when none came within ten windows."""
    settings = RuleSettings(
        commissioning_windows=_DEMO_WINDOWS, commissioning_most_windows=_DEMO_WINDOWS, commissioning_cycle_hours=0
    )
    state = ModelState(site="site", product="cap")
    state, _ = step(state, ReleaseServed(at=_START, facts=_facts()), settings)
    lines = {"agent/cam-a": PlantedLine(rng), "agent/cam-b": PlantedLine(rng)}
    for number in range(_DEMO_WINDOWS + 10):
        for camera, line in lines.items():
            shift = np.zeros(len(line.names))
            if number >= _DEMO_WINDOWS and (both or camera == "agent/cam-a"):
                profile = state.cameras[camera].profile
                assert profile is not None  # noqa: S101  60 windows were seen
                sigma = np.sqrt(np.diag(np.array(profile.covariance)))
                shift = 4.0 * sigma * _signs(rng, line.names, "embedding" if both else "image")
            state, actions = step(state, _seen(camera, line.windows(1, shift)[0], number), settings)
            for action in actions:
                if isinstance(action, OpenIncident):
                    return action.diagnosis
    return None


def _facts() -> BundleFacts:
    return BundleFacts(
        bundle_hash="0" * 64,
        number=1,
        labels=("good", "defect"),
        good_labels=("good",),
        escapes_tolerated=0.1,
        false_rejects_tolerated=0.1,
        defect_share=0.3,
        activated_at=_START,
    )


def _seen(camera: str, mean: WindowMean, number: int) -> WindowSeen:
    """The telemetry window whose mean this is."""
    start = _START + timedelta(minutes=number)
    total = np.array(mean.mean) * mean.images
    squares = (np.array(mean.spread) + np.array(mean.mean) ** 2) * mean.images
    window = Window(
        camera=camera.split("/")[1],
        product="cap",
        bundle_hash="0" * 64,
        runtime="planted",
        started_at=start,
        ended_at=start + timedelta(minutes=1),
        first_frame=number * mean.images,
        last_frame=(number + 1) * mean.images - 1,
        images=mean.images,
        vector_names=mean.names,
        vector_sum=tuple(total),
        vector_square_sum=tuple(squares),
        decisions={Decision.OK: mean.images},
        labels={"good": mean.images},
        confidence=Histogram(edges=CONFIDENCE_EDGES, counts=(0,) * 20),
        latency=Histogram(edges=LATENCY_EDGES_SECONDS, counts=(0,) * 11),
        latency_seconds_sum=0.0,
    )
    return WindowSeen(at=window.ended_at, camera=camera, window=window)
