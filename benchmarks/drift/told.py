"""What the rules are told of a planted plant: its minutes as telemetry, its releases as facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.plant import IMAGES, NAMES
from benchmarks.drift.watch import MONDAY
from contracts.frame import Decision
from contracts.telemetry import CONFIDENCE_EDGES, LATENCY_EDGES_SECONDS, Histogram, Window
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import WindowSeen
from monitor.rules.paired import PairedPart
from monitor.rules.shadowing import ShadowEvidence

Floats = NDArray[np.floating[Any]]
DEFECTS = 0.1


def moment(minute: int) -> datetime:
    """On the frames' clock."""
    return MONDAY + timedelta(minutes=int(minute))


def hash_of(number: int) -> str:
    """Of the bundle of release `number`."""
    return f"{number:064x}"


def facts(number: int, minute: int) -> BundleFacts:
    """A release that was certified with 3 % escapes and 2 % false rejects: upper bounds and the usual margin."""
    return BundleFacts(
        bundle_hash=hash_of(number),
        number=number,
        labels=("good", "defect"),
        good_labels=("good",),
        escapes_tolerated=0.09,
        false_rejects_tolerated=0.07,
        defect_share=DEFECTS,
        activated_at=moment(minute),
        previous=hash_of(number - 1) if number > 1 else None,
    )


def quiet_shadow(
    started_at: datetime,
    rejected: Sequence[int],
    labelled: tuple[PairedPart, ...],
    *,
    images: int,
    random_defects: int,
    random_labels: int,
) -> ShadowEvidence:
    """A shadow in which nothing failed and nothing was slower. `rejected`: by the active bundle and by the candidate,
    of `images`; `labelled`: parts that both judged."""
    active, shadow = ({Decision.OK: images - count, Decision.NG: count} for count in rejected)
    return ShadowEvidence(
        started_at=started_at,
        good_labels=("good",),
        replay_finished=True,
        replay_images=100,
        images=images,
        active_decisions=active,
        shadow_decisions=shadow,
        active_latency_seconds_sum=1.0,
        shadow_latency_seconds_sum=1.0,
        active_images=images,
        labelled=labelled,
        random_defects=random_defects,
        random_labels=random_labels,
    )


def window_seen(name: str, minute: int, mean: Floats, square_mean: Floats, bundle_hash: str) -> WindowSeen:
    """The telemetry of one minute: `mean` and `square_mean` [m] of the drift vectors."""
    defects = int(np.clip(round(IMAGES * float(mean[-1])), 0, IMAGES))
    window = Window(
        camera=name.split("/")[1],
        product="cap",
        bundle_hash=bundle_hash,
        runtime="planted",
        started_at=moment(minute),
        ended_at=moment(minute + 1),
        first_frame=minute * IMAGES,
        last_frame=(minute + 1) * IMAGES - 1,
        images=IMAGES,
        vector_names=NAMES,
        vector_sum=tuple(mean * IMAGES),
        vector_square_sum=tuple(square_mean * IMAGES),
        decisions={Decision.OK: IMAGES - defects, Decision.NG: defects},
        labels={"good": IMAGES - defects, "defect": defects},
        confidence=Histogram(edges=CONFIDENCE_EDGES, counts=(0,) * 20),
        latency=Histogram(edges=LATENCY_EDGES_SECONDS, counts=(0,) * 11),
        latency_seconds_sum=0.0,
    )
    return WindowSeen(at=window.ended_at, camera=name, window=window)
