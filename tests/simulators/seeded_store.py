"""A monitor's store as it looks after a busy morning: for tests of the pages and for pictures of them.

Two agents of the site `mono`: a dirty lens that was cleaned, a new finish that harmed and was retrained for, a
candidate that waits for approval, one that was refused, figures of the active release on two devices, a camera to be
looked at, and images that wait for labels.
"""

# ruff: noqa: E501  tables of made-up facts read best one fact a line

from __future__ import annotations

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy.orm import Session

from contracts.channel import Channel
from contracts.orders import Benchmark
from contracts.scores import EDGES, Scores, bin_of
from contracts.telemetry import CONFIDENCE_EDGES
from lineside.line import Conditions, SimulatedLine
from monitor.blobs import Blobs
from monitor.changes import record
from monitor.rules.reason import because
from monitor.store import Store
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow
from monitor.store.rollout_tables import (
    BenchmarkRow,
    BundleRow,
    CandidateRow,
    ChannelRow,
    OrderRow,
    RefusedRow,
    ReleaseRow,
    RetrainRow,
    ScoresRow,
    ThresholdsRow,
)
from monitor.store.rule_tables import CameraRow, EventRow, FleetRow, IncidentRow
from monitor.store.telemetry_tables import AgentRow, MessageRow, WindowRow
from monitor.timeline import as_json
from tests.simulators.paper_bundle import paper_fields

SITE = "mono"
PRODUCT = "cap"
WINDOWS = 300
LABELS = ("good", "scratch", "pit", "stain")
HASHES = {number: f"{number}" * 6 + "c0ffee" * 9 + "0" * 4 for number in range(1, 6)}
RUNTIME = "onnxruntime-cpu 1.31.0"
_MEANS = {"mean": 0.52, "contrast": 0.18, "sharpness": 0.31}


def seed_store(store: Store, blobs: Blobs, *, now: datetime, images: int = 24) -> None:
    """Fill an empty store with the morning before `now`."""
    story = _Story(now.astimezone(UTC).replace(microsecond=0), random.Random(7))
    with store.write() as session:
        story.agents(session)
        story.releases(session)
        story.benchmarks(session)
        story.thresholds(session)
        for number, (agent, camera) in enumerate((("press-4", "cam-a"), ("press-4", "cam-b"), ("press-5", "cam-a"))):
            story.windows(session, agent, camera, first_id=1 + number * 1000)
        story.incidents(session)
        story.labels(session)
        story.queue(session, blobs, images)
        story.events(session)


class _Story:
    def __init__(self, now: datetime, rng: random.Random) -> None:
        self.now = now
        self.rng = rng

    def at(self, window: float) -> datetime:
        """End of that window; the last one ended half a minute ago."""
        return self.now - timedelta(minutes=WINDOWS - 1 - window, seconds=30)

    def agents(self, session: Session) -> None:
        for agent, online, cameras in (("press-4", True, ("cam-a", "cam-b")), ("press-5", False, ("cam-a",))):
            birth = {
                "kind": "birth",
                "runtime": RUNTIME,
                "production": True,
                "cameras": [{"camera": camera, "product": PRODUCT, "source": "line"} for camera in cameras],
            }
            session.add(
                AgentRow(
                    site=SITE,
                    agent=agent,
                    boot="b1",
                    online=online,
                    status_at=self.at(0),
                    last_seen_at=self.now if online else self.at(WINDOWS - 42),
                    birth=birth,
                    bundle_hash=HASHES[3],
                    release_number=3,
                    shadow_hash=HASHES[4] if online else None,
                    channel_sequence=6,
                )
            )

    def windows(self, session: Session, agent: str, camera: str, *, first_id: int) -> None:
        state, decisions, t2, limit = "LEARNING", {}, None, None
        last = WINDOWS - 42 if agent == "press-5" else WINDOWS
        for number in range(last):
            state, severity = self._state(agent, camera, number)
            decisions = self._decisions(severity)
            learning = state == "LEARNING"
            limit = None if learning else 31.4
            t2 = None if learning else max(3.0, self.rng.gauss(13, 4)) * (1 + 9 * severity)
            bundle = HASHES[1] if number < 60 else HASHES[2] if number < 215 else HASHES[3]
            body = self._body(severity if camera == "cam-b" or agent == "press-5" else severity / 4, severity)
            ended = self.at(number)
            session.add(self._message(first_id + number, agent, number, ended, body))
            session.add(
                WindowRow(
                    message_id=first_id + number,
                    site=SITE,
                    agent=agent,
                    camera=camera,
                    product=PRODUCT,
                    bundle_hash=bundle,
                    runtime=RUNTIME,
                    started_at=ended - timedelta(minutes=1),
                    ended_at=ended,
                    first_frame=number * 100,
                    last_frame=number * 100 + 99,
                    images=100,
                    decisions=decisions,
                    labels={"good": decisions["OK"], "scratch": decisions["NG"]},
                    latency_seconds_sum=0.9 + self.rng.random() * 0.2,
                    t2=t2,
                    limit=limit,
                    contributions=None if learning else {"image": 1.1 + 7 * severity, "embedding": 2.0, "class": 0.8},
                    state=state,
                    shadow=self._shadow() if number >= WINDOWS - 30 and agent == "press-4" else None,
                )
            )
        session.add(
            CameraRow(
                site=SITE,
                agent=agent,
                camera=camera,
                product=PRODUCT,
                bundle_hash=HASHES[3],
                runtime=RUNTIME,
                state=state,
                learned_windows=60,
                windows_needed=60,
                t2=t2,
                limit=limit,
                fault=None,
                incident_id="incident-3" if agent == "press-5" else None,
                windows=last,
                images=100 * last,
                decisions=decisions,
                last_window_at=self.at(last - 1),
            )
        )

    def _state(self, agent: str, camera: str, number: int) -> tuple[str, float]:
        """(phase, how far from normal 0..1)"""
        if number < 60 or 215 <= number < 235:
            return "LEARNING", 0.0
        if agent == "press-4" and camera == "cam-b" and 100 <= number < 124:
            return ("SUSPECT", 0.4) if number < 102 else ("SENSOR", 0.7)
        if agent == "press-4" and 160 <= number < 215:
            phases = ((162, "SUSPECT"), (165, "DRIFT"), (190, "LABELS"), (200, "HARMFUL"), (206, "RETRAIN"))
            return next((phase for end, phase in phases if number < end), "SHADOW"), 1.0
        if agent == "press-5" and number >= 240:
            return ("SUSPECT", 0.5) if number < 242 else ("SENSOR", 0.8)
        return "OK", 0.0

    def _decisions(self, severity: float) -> dict[str, int]:
        rejected = min(60, max(0, round(self.rng.gauss(9 + 22 * severity, 2.5))))
        review = min(20, max(0, round(self.rng.gauss(3 + 8 * severity, 1.5))))
        return {"OK": 100 - rejected - review, "NG": rejected, "REVIEW": review, "NO_VERDICT": 0}

    def _body(self, image: float, severity: float) -> dict[str, Any]:
        counts = [0] * (len(CONFIDENCE_EDGES) - 1)
        for _ in range(100):
            value = min(0.999, max(0.5, self.rng.betavariate(14 - 9 * severity, 1.2)))
            counts[int(value * 20)] += 1
        means = {
            "mean": _MEANS["mean"] * (1 - 0.25 * image) + self.rng.gauss(0, 0.004),
            "contrast": _MEANS["contrast"] * (1 - 0.4 * image) + self.rng.gauss(0, 0.002),
            "sharpness": _MEANS["sharpness"] * (1 - 0.5 * image) + self.rng.gauss(0, 0.003),
        }
        return {
            "kind": "window",
            "confidence": {"edges": CONFIDENCE_EDGES, "counts": counts},
            "vector_names": list(means),
            "vector_sum": [100 * value for value in means.values()],
        }

    def _message(self, number: int, agent: str, sequence: int, at: datetime, body: dict[str, Any]) -> MessageRow:
        return MessageRow(
            id=number,
            site=SITE,
            agent=agent,
            boot=f"b{number // 1000}",
            sequence=sequence + 1,
            kind="window",
            sent_at=at,
            received_at=at,
            body=body,
        )

    def _shadow(self) -> dict[str, Any]:
        return {"bundle_hash": HASHES[4], "images": 100, "agreements": 97, "failures": 0, "decisions": {}}

    def releases(self, session: Session) -> None:
        for number, bundle_hash in HASHES.items():
            manifest = _manifest(number)
            session.add(
                BundleRow(
                    bundle_hash=bundle_hash,
                    site=SITE,
                    product=PRODUCT,
                    manifest=manifest,
                    stored_at=self.at(number * 50),
                )
            )
        told = (
            (1, "superseded", "first model of the site", 0, 60),
            (2, "withdrawn", "34 of 120 random labels say that it is wrong (7.5 % tolerated)", 60, 215),
            (3, "active", "ran beside the active model on 1,200 images and 500 replayed ones without fault", 215, None),
            (4, "shadow", "retrain for incident-2", None, None),
        )
        for number, state, reason, start, end in told:
            session.add(
                ReleaseRow(
                    site=SITE,
                    number=number,
                    product=PRODUCT,
                    bundle_hash=HASHES[number],
                    candidate_id=f"candidate-{number}",
                    state=state,
                    reason=reason,
                    created_at=self.at((start or 255) - 6),
                    activated_at=None if start is None else self.at(start),
                    ended_at=None if end is None else self.at(end),
                )
            )
        for number in HASHES:
            session.add(self._candidate(number))
        session.add(
            RefusedRow(site=SITE, bundle_hash=HASHES[2], reason="withdrawn: wrong on the line", at=self.at(215))
        )
        session.add(RefusedRow(site=SITE, bundle_hash=HASHES[5], reason="worse on the gold set", at=self.at(290)))
        channel = {
            "site": SITE,
            "sequence": 6,
            "active": {"number": 3, "bundle_hash": HASHES[3]},
            "shadow": {"number": 4, "bundle_hash": HASHES[4]},
            "refused": [{"bundle_hash": HASHES[2], "reason": "withdrawn"}],
            "reason": "release 4 runs in the shadow",
            "issued_at": self.at(256).isoformat(),
        }
        session.add(ChannelRow(site=SITE, sequence=6, body=channel, created_at=self.at(256), published_at=self.at(256)))
        session.flush()
        left: Channel | None = None
        for number, _, reason, start, _ in told[:3]:
            served = Channel.model_validate(
                channel | {"sequence": 2 * number, "active": {"number": number, "bundle_hash": HASHES[number]}}
            )
            release = session.get_one(ReleaseRow, (SITE, number))
            session.get_one(CandidateRow, f"candidate-{number}").approvals = (
                [
                    {
                        "by": "person-3",
                        "approved": True,
                        "reason": "looked at 40 parts",
                        "at": self.at(start or 0).isoformat(),
                    }
                ]
                if number > 1
                else []
            )
            record(session, release, served, left=left, reason=reason, by=None)
            left = served
        session.add(
            RetrainRow(
                order_id="retrain-9",
                site=SITE,
                product=PRODUCT,
                incident_id="incident-3",
                parent_bundle=HASHES[3],
                body={},
                state="running",
                progress="epoch 7 of 20, validation balanced accuracy 0.914",
                requested_at=self.at(296),
                started_at=self.at(296),
                labels=214,
            )
        )

    def thresholds(self, session: Session) -> None:
        """A week of scores of one agent, and what a person chose three days ago."""
        own, chosen = {"ng": 0.5, "review_from": 0.5}, {"ng": 0.62, "review_from": 0.35}
        edges = tuple(sorted({*EDGES, *own.values(), *chosen.values()}))
        days, labels = {}, {"good": Counter[int](), "scratch": Counter[int]()}
        for day in range(7):
            scores = [self.rng.betavariate(0.35, 3.5) for _ in range(1800)] + [
                self.rng.betavariate(4, 0.4) for _ in range(200)
            ]
            days[(self.now - timedelta(days=day)).date()] = Counter(bin_of(score, edges) for score in scores)
            for score in scores:
                labels["good" if score < 0.5 else "scratch"][bin_of(score, edges)] += 1
        found = {bin_of(score, edges): 1 for score in (0.41, 0.47, 0.9, 0.97, 0.99)}
        told = Scores.model_validate(
            {"bundle_hash": HASHES[3], "product": PRODUCT, "since": self.now - timedelta(days=7), "until": self.now, "edges": edges,
             "days": days, "labels": labels, "outcomes": {"defect": found, "good": {bin_of(0.55, edges): 2, bin_of(0.71, edges): 1}}}
        )  # fmt: skip
        session.add(
            ScoresRow(
                order_id="count-scores-1",
                site=SITE,
                agent="press-4",
                bundle_hash=HASHES[3],
                product=PRODUCT,
                received_at=self.at(WINDOWS - 2),
                body=told.model_dump(mode="json"),
            )
        )
        session.add(
            ThresholdsRow(
                site=SITE,
                number=1,
                bundle_hash=HASHES[3],
                product=PRODUCT,
                thresholds=chosen,
                reason="two scratches were found at the end of the line",
                by="engineer-2",
                at=self.at(230),
                seen={"now": {"ok": 9, "review": 0, "ng": 1}, "then": {"ok": 8, "review": 1, "ng": 1}},
            )
        )

    def benchmarks(self, session: Session) -> None:
        for name, device_class, agent, by, window in (
            ("benchmark-1", "x86-vnni", "press-4", None, 220),
            ("hand-1", "aarch64", None, "rater-7", 230),
        ):
            session.add(
                BenchmarkRow(
                    benchmark_id=name,
                    site=SITE,
                    bundle_hash=HASHES[3],
                    device_class=device_class,
                    agent=agent,
                    by=by,
                    measured_at=self.at(window),
                    received_at=self.at(window),
                    figures=_figures(device_class, self.at(window)),
                )
            )
        order = Benchmark(
            order_id="benchmark-2",
            issued_at=self.at(298),
            expires_at=self.at(298) + timedelta(hours=72),
            reason="asked for on the page",
            bundle_hash=HASHES[3],
            runs=200,
        )
        session.add(
            OrderRow(
                order_id=order.order_id,
                site=SITE,
                agent="press-5",
                kind=order.kind,
                body=order.model_dump(mode="json"),
                state="open",
                issued_at=order.issued_at,
                expires_at=order.expires_at,
            )
        )

    def _candidate(self, number: int) -> CandidateRow:
        state = {1: "promoted", 2: "withdrawn", 3: "promoted", 4: "approving", 5: "refused"}[number]
        gate = None if number == 1 else _gate(refused=number == 5)
        shadow = {"replays": {"press-4": {"summary": {"images": 500, "agreements": 488, "failures": 0}}}}
        closing = {
            2: "34 of 120 random labels say that it is wrong",
            5: "worse on the gold set: defect parts right 93.1% before, 81.0% with the candidate (58 parts)",
        }
        return CandidateRow(
            candidate_id=f"candidate-{number}",
            site=SITE,
            product=PRODUCT,
            bundle_hash=HASHES[number],
            origin="first" if number == 1 else "hand" if number == 5 else "retrain",
            reason="first model of the site" if number == 1 else "learn the new finish",
            submitted_by="operator",
            submitted_at=self.at({1: 0, 2: 50, 3: 205, 4: 250, 5: 288}[number]),
            state=state,
            order_id=None,
            incident_id=None,
            parent_bundle=HASHES.get(number - 1),
            gate=gate,
            shadow=shadow if number in (3, 4) else None,
            approvals=[],
            release_number=number if number < 5 else None,
            closed_at=self.at(290) if number in closing else None,
            closing=closing.get(number),
        )

    def incidents(self, session: Session) -> None:
        told = (
            ("incident-1", "sensor", "closed", "CLOSED", ["press-4/cam-b"], "The picture of press-4/cam-b is hazy.", 102),
            ("incident-2", "product", "closed", "CLOSED", ["press-4/cam-a", "press-4/cam-b"], "Parts look different.", 163),
            ("incident-3", "sensor", "open", "SENSOR", ["press-5/cam-a"], "The picture is darker and blurred.", 242),
            ("incident-4", "product", "open", "HARMLESS", ["press-4/cam-b"], "200 labels show no harm.", 270),
        )  # fmt: skip
        for incident_id, diagnosis, state, phase, cameras, title, opened in told:
            session.add(
                IncidentRow(
                    incident_id=incident_id,
                    site=SITE,
                    bundle_hash=HASHES[3],
                    state=state,
                    phase=phase,
                    diagnosis=diagnosis,
                    title=title,
                    reason=_reason(incident_id, title),
                    cameras=cameras,
                    details=_details(incident_id),
                    opened_at=self.at(opened),
                    updated_at=self.at(opened + 3),
                    closed_at=self.at(opened + 22) if state == "closed" else None,
                    resolution="repaired, said by operator" if state == "closed" else None,
                )
            )

        why = {"product": PRODUCT, "count": 3, "sites": "mono, north, south", "lot": "L-7731"}
        together = because("fleet-lot", **why)
        session.add(
            FleetRow(
                fleet_id="fleet.incident-4",
                body={
                    "fleet_id": "fleet.incident-4",
                    "product": PRODUCT,
                    "lot": "L-7731",
                    "members": {"incident-4": SITE, "north.cap.2": "north", "south.cap.5": "south"},
                    "opened_at": self.at(275).isoformat(),
                },
                state="open",
                title=together.plain,
                reason=as_json(together),
                opened_at=self.at(275),
                updated_at=self.at(275),
            )
        )

    def labels(self, session: Session) -> None:
        for number in range(300):
            camera = "cam-a" if number % 2 else "cam-b"
            window = WINDOWS * number / 300
            wrong = self.rng.random() < (0.28 if 160 <= window < 215 else 0.03)
            truth = "scratch" if self.rng.random() < 0.25 else "good"
            says_good = (truth == "good") != wrong
            session.add(
                LabelRow(
                    site=SITE,
                    agent="press-4",
                    camera=camera,
                    product=PRODUCT,
                    part_id=f"old-{number}",
                    image_id=f"old-{number}",
                    incident_id="incident-2" if 163 <= window < 215 else None,
                    label=truth,
                    source="audit" if number % 3 else "drift-sample",
                    rater="rater-1",
                    use="train",
                    bundle_hash=HASHES[1] if window < 60 else HASHES[2] if window < 215 else HASHES[3],
                    decision="OK" if says_good else "NG",
                    predicted="good" if says_good else "scratch",
                    triggered_at=self.at(window),
                    decided_at=self.at(window + 2),
                    received_at=self.at(window + 2),
                )
            )
            other = "good" if truth == "scratch" and number % 40 == 0 else truth
            for rater, label in (("rater-1", truth), ("rater-2", other))[: 2 if number % 5 == 0 else 1]:
                session.add(
                    RatingRow(
                        site=SITE,
                        image_id=f"old-{number}",
                        incident_id="incident-2" if 163 <= window < 215 else None,
                        rater=rater,
                        label=label,
                        seconds=2.0 + number % 7 / 4,
                        via="page",
                        given_at=self.at(window + 2),
                    )
                )

    def queue(self, session: Session, blobs: Blobs, count: int) -> None:
        line = SimulatedLine(seed=3)
        for number in range(count):
            part = line.next_part("cam-b", Conditions(defect_rate=0.5))
            data = BytesIO()
            Image.fromarray(part.image).resize((640, 640)).save(data, "PNG")
            session.add(
                ImageRow(
                    image_id=f"image{number:03d}",
                    site=SITE,
                    agent="press-4",
                    camera="cam-b",
                    product=PRODUCT,
                    part_id=part.part_id,
                    order_id=None,
                    incident_id="incident-4",
                    source="drift-sample",
                    verdict={"decision": "NG", "label": "secret-verdict"},
                    bundle_hash=HASHES[3],
                    blob=blobs.write(data.getvalue()),
                    bytes=data.tell(),
                    media_type="image/png",
                    triggered_at=self.at(270 + number / 2),
                    received_at=self.at(271 + number / 2),
                    state="queued",
                    shown_at=None,
                )
            )

    def events(self, session: Session) -> None:
        told: tuple[tuple[float, str, str, str, str | None], ...] = (
            (60, "camera.told", "cam-b: learned the normal state from 60 windows", "cam-b", None),
            (102, "camera.told", "3 of 3 windows over the limit: drift of cam-b", "cam-b", "incident-1"),
            (103, "incident.opened", "The lens of press-4/cam-b seems dirty; please clean it. No retrain.", "cam-b", "incident-1"),
            (124, "incident.closed", "repaired, said by operator; watching goes on with the known profile", "cam-b", "incident-1"),
            (163, "incident.opened", "Both cameras drift together: the product looks different", "cam-a", "incident-2"),
            (166, "order.sample", "asked press-4 for 200 random and 60 atypical images", None, "incident-2"),
            (190, "incident.harmful", "e-value 1.3e4: 31 of 160 random labels say wrong, 7.5 % tolerated", None, "incident-2"),
            (191, "retrain.ordered", "retrain ordered with 214 labels", None, "incident-2"),
            (206, "candidate.shadow", "release 3 runs in the shadow", None, "incident-2"),
            (215, "candidate.promoted", "release 3 is active: clean shadow over 1,200 images", None, "incident-2"),
            (242, "incident.opened", "The picture of press-5/cam-a is darker and blurred", "cam-a", "incident-3"),
            (290, "candidate.refused", "worse on the gold set: defects right 93.1 % before, 81.0 % after", None, None),
        )  # fmt: skip
        for window, code, text, camera, incident_id in told:
            diagnosis = {"diagnosis": "product" if incident_id == "incident-2" else "sensor"}
            session.add(
                EventRow(
                    site=SITE,
                    at=self.at(window),
                    recorded_at=self.at(window),
                    kind=code.split(".")[0],
                    code=code,
                    parameters=diagnosis if code == "incident.opened" else {},
                    text=text,
                    agent=None if camera is None else "press-5" if incident_id == "incident-3" else "press-4",
                    camera=camera,
                    product=PRODUCT,
                    bundle_hash=HASHES[3],
                    incident_id=incident_id,
                    order_id=None,
                )
            )


def _details(incident_id: str) -> dict[str, Any]:
    if incident_id == "incident-3":
        ticket = {"symptoms": ["darker", "blurred"], "at": "2026-01-01T00:00:00+00:00", "code": "", "parameters": {}}
        return {"tickets": {"press-5/cam-a": ticket}, "answers": ["repaired", "permanent"]}
    if incident_id == "incident-4":
        return {"answers": ["adopt", "retrain", "close"], "labels": 200, "random": 200, "wrong": 9, "asked": 224}
    return {"answers": []}


def _reason(incident_id: str, title: str) -> dict[str, Any]:
    told: dict[str, tuple[str, dict[str, Any]]] = {
        "incident-1": ("repaired", {"windows": 5}),
        "incident-2": ("promoted", {"number": 3}),
        "incident-3": ("diagnosis-sensor-siblings", {"symptoms": "darker, blurred", "siblings": "press-5/cam-b"}),
        "incident-4": ("harmless", {"labels": 200, "low": 0.021, "high": 0.084}),
    }
    code, parameters = told[incident_id]
    return {"code": code, "parameters": parameters, "plain": title}


def _manifest(number: int) -> dict[str, Any]:
    metrics = {
        "examples": 240,
        "accuracy": 0.941,
        "balanced_accuracy": 0.93 + number / 300,
        "auroc": 0.972,
        "best_constant": 0.7,
        "recall_good": 0.955,
        "recall_defect": 0.917,
        "recall_per_label": {"good": 0.955, "scratch": 0.917},
        "confusion": {"good": {"good": 171, "scratch": 8}, "scratch": {"good": 5, "scratch": 56}},
    }
    certificates = [
        {
            "variant": f"onnxruntime-cpu/{precision}",
            "images": 240,
            "argmax_agreement": agreement,
            "max_probability_difference": difference,
            "metrics": {**metrics, "balanced_accuracy": metrics["balanced_accuracy"] - loss},
            "reference_metrics": metrics,
            "latency": {"p50_seconds": seconds, "p95_seconds": 1.3 * seconds, "runs": 200, "threads": 1},
            "passed": True,
        }
        for precision, agreement, difference, loss, seconds in (
            ("int8", 0.9958, 0.081, 0.004, 0.0016),
            ("fp32", 1.0, 0.00002, 0.0, 0.0035),
        )
    ]
    files = {name: {"sha256": "d" * 64, "bytes": 1} for name in ("int8.onnx", "reference.safetensors", "golden/1.png")}
    fields = paper_fields(
        SITE,
        labels=list(LABELS),
        good_labels=["good"],
        product=PRODUCT,
        test_metrics=metrics,
        certificates=certificates,
        licence={
            "owner": "Example plant",
            "licence": "own images",
            "permitted_use": "training",
            "production": number != 5,
        },
        files=files,
    )
    fields["created_at"] = fields["created_at"].isoformat()
    fields["lineage"]["parent_bundle"] = HASHES.get(number - 1)
    fields["golden_samples"][0]["expected"] = {"onnxruntime-cpu/int8": [0.9, 0.05, 0.03, 0.02]}
    return fields


def _figures(device_class: str, at: datetime) -> dict[str, Any]:
    on_arm = device_class == "aarch64"
    told = (
        ("onnxruntime-cpu/int8", 9.1 if on_arm else 1.62, 2.4, 96, True),
        ("onnxruntime-cpu/fp32", 17.8 if on_arm else 3.51, 1.0, 128, not on_arm),
    )
    rows = [
        {
            "variant": variant,
            "threads": 1,
            "cold_start_seconds": 1.4,
            "p50_seconds": milliseconds / 1000,
            "p90_seconds": 1.3 * milliseconds / 1000,
            "p99_seconds": 2.2 * milliseconds / 1000,
            "runs": 200,
            "peak_bytes": megabytes * 1_000_000,
            "file_bytes": 2_697_462,
            "speedup": speedup,
            "speedup_interval": [0.97 * speedup, 1.04 * speedup],
            "golden_images": 8,
            "golden_same": 8,
            "golden_difference": 0.004,
            "golden_passed": True,
            "certified": certified,
        }
        for variant, milliseconds, speedup, megabytes, certified in told
    ]
    return {
        "bundle_hash": HASHES[3],
        "device_class": device_class,
        "measured_at": at.isoformat(),
        "machine": {"processor": "Cortex-A76" if on_arm else "AMD EPYC", "cores": 4, "flags": []},
        "rounds": 20,
        "reference": "onnxruntime-cpu/fp32",
        "rows": rows,
        "skipped": {"openvino-cpu/int8": "does not run on this machine"} if on_arm else {},
        "chosen": "onnxruntime-cpu/int8",
        "chosen_threads": 1,
        "remark": "" if on_arm else "onnxruntime-cpu/int8 goes on serving",
    }


def _gate(*, refused: bool) -> dict[str, Any]:
    after = 0.81 if refused else 0.948
    reason = (
        {"plain": "worse", "code": "gate-gold-worse", "parameters": {"group": "defect", "parts": 58, "before": 0.931, "after": after, "margin": 0.03}}
        if refused
        else {"plain": "better", "code": "gate-passed", "parameters": {"parts": 52, "gained": 14, "lost": 1}}
    )  # fmt: skip
    rows = (
        ("gold/defect", 58, 1, 8 if refused else 0, 0.931, after),
        ("gold/good", 182, 3, 2, 0.956, 0.962),
        ("new", 52, 14, 1, 0.69, 0.94),
    )
    differences = [
        {
            "group": group,
            "parts": parts,
            "gained": gained,
            "lost": lost,
            "active_right": before,
            "candidate_right": right,
            "difference": right - before,
            "lower": right - before - 1.6 / math.sqrt(parts) / 3,
            "upper": right - before + 1.6 / math.sqrt(parts) / 3,
        }
        for group, parts, gained, lost, before, right in rows
    ]  # fmt: skip
    return {"verdict": "REFUSE" if refused else "PASS", "reasons": [reason], "differences": differences}


def seeded_folder(folder: Path, *, now: datetime | None = None) -> tuple[Store, Blobs]:
    """A store and its images in `folder`."""
    store, blobs = Store(folder / "monitor.db"), Blobs(str(folder / "images"))
    seed_store(store, blobs, now=now or datetime.now(UTC))
    return store, blobs
