"""A monitor without threads, broker or clock, and a station that speaks its contracts: the whole circle, step by step.

The station's bundles are the small ones (bright pictures are `scratch`). Its two cameras see good parts at `good_level`
and scratched ones at 225; raising `good_level` is a new finish, which the first bundle rejects.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.channel import Channel
from contracts.frame import Clock, Decision, Frame, OutcomeSource, Verdict
from contracts.orders import Sample
from contracts.telemetry import (
    CONFIDENCE_EDGES,
    LATENCY_EDGES_SECONDS,
    Birth,
    CameraState,
    Envelope,
    Event,
    EventKind,
    Histogram,
    ShadowSummary,
    Window,
    topic,
)
from contracts.upload import ImageUpload
from monitor.ingest import Arrival
from monitor.registry import Registry
from monitor.settings import MonitorSettings
from monitor.works import Works, make_works
from runtime.bundle import Bundle
from runtime.decision import decide
from runtime.preprocessing import prepare
from runtime.session import Session
from tests.simulators.small_bundle import encoded, picture, write_small_bundle

SITE, AGENT, PRODUCT = "plant", "agent-1", "default"
CAMERAS = ("cam-a", "cam-b")
SCRATCH_LEVEL = 225
DEFECT_SHARE = 0.3
IMAGES = 100
RUNTIME = "onnxruntime-cpu 1"
_GOLD_SEED = 1_000_000  # no part of the line looks like a gold part, byte for byte: such a one is never trained on

TRAINER = """
import argparse, shutil
parser = argparse.ArgumentParser()
parser.add_argument("--bundle"); parser.add_argument("--order"); parser.add_argument("--out")
arguments = parser.parse_args()
print("epoch 1 of 1", flush=True)
shutil.copytree(arguments.bundle, arguments.out + "/bundle")
"""


def certified_bundle(folder: Path, *, ng: float = 0.6, site: str = SITE, passed: bool = True, **changes: Any) -> Bundle:
    """A small bundle with a certificate. `ng` 0.6 rejects everything brighter than grey, 0.9995 only very bright."""
    metrics = {
        "examples": 200,
        "accuracy": 0.99,
        "balanced_accuracy": 0.99,
        "auroc": 1.0,
        "best_constant": 0.5,
        "recall_good": 0.99,
        "recall_defect": 0.99,
        "confusion": {"good": {"good": 99, "scratch": 1}, "scratch": {"good": 1, "scratch": 99}},
    }
    certificate = {
        "variant": "onnxruntime-cpu/fp32",
        "images": 200,
        "argmax_agreement": 1.0,
        "max_probability_difference": 0.0,
        "metrics": metrics,
        "reference_metrics": metrics,
        "latency": {"p50_seconds": 0.001, "p95_seconds": 0.002, "runs": 10, "threads": 1},
        "passed": passed,
        "reasons": [] if passed else ["argmax agreement 0.71"],
    }
    fields = {
        "certificates": [certificate],
        "test_metrics": metrics,
        "thresholds": {"ng": ng, "review_from": ng},
        "lineage": {
            "snapshot_hash": "a" * 64,
            "split_hash": "b" * 64,
            "base_model": "small",
            "base_model_licence": "Apache-2.0",
            "base_model_sha256": None,
            "code_version": "0",
        },
    }
    return write_small_bundle(folder, site=site, **{**fields, **changes})


def write_gold(folder: Path, *, count: int = 60) -> Path:
    """Home parts, half of them scratched."""
    folder.mkdir(parents=True)
    rows = ["path,label"]
    for number in range(count):
        scratched = number % 2 == 1
        (folder / f"{number}.png").write_bytes(
            encoded(picture(SCRATCH_LEVEL if scratched else 90, _GOLD_SEED + number))
        )
        rows.append(f"{number}.png,{'scratch' if scratched else 'good'}")
    (folder / "gold.csv").write_text("\n".join(rows) + "\n")
    return folder / "gold.csv"


@dataclass
class Plant:
    """Monitor and station. `works` may be closed and made again at any time (`restart`)."""

    folder: Path
    settings: MonitorSettings
    works: Works = field(init=False)
    good_level: float = 90.0
    sensor_shift: dict[str, float] = field(default_factory=dict)  # camera -> how far its image statistics are off
    boot: str = "boot-1"
    sequence: int = 0
    parts: int = 0
    now: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=12))
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    truth: dict[str, str] = field(default_factory=dict)
    sent: list[Any] = field(default_factory=list)
    active: Session | None = None
    active_bundle: Bundle | None = None
    shadow: Bundle | None = None
    sequence_seen: int = 0
    restless: bool = False  # the monitor restarts before every step of work
    ended: list[Works] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.settings.registry.exists():
            Registry.init(self.settings.registry, [SITE])
        self.works = make_works(self.settings)

    @classmethod
    def make(cls, folder: Path, *, retrained: Path | None = None, **changes: Any) -> Plant:
        """A plant whose trainer answers every order with a copy of the bundle `retrained`."""
        return cls(folder, cls.make_settings(folder, retrained, changes))

    @classmethod
    def like(cls, template: Plant, folder: Path, *, retrained: Path | None = None, **changes: Any) -> Plant:
        """A copy of a plant that was closed, with other settings."""
        shutil.copytree(template.folder, folder)
        plant = cls(folder, cls.make_settings(folder, retrained, changes))
        for name in ("boot", "sequence", "parts", "now", "active", "active_bundle", "sequence_seen"):
            setattr(plant, name, getattr(template, name))
        plant.random = np.random.default_rng(3)
        plant.truth, plant.sent = dict(template.truth), list(template.sent)
        return plant

    def serve_first(self, folder: Path) -> None:
        """Publish, fetch and activate a first release."""
        bundle, gold = certified_bundle(folder / "first"), write_gold(folder / "gold")
        self.works.desk.submit(bundle.path, site=SITE, reason="first", submitted_by="lead", gold_csv=gold)
        self.birth()
        self.work()

    @staticmethod
    def make_settings(folder: Path, retrained: Path | None, changes: dict[str, Any]) -> MonitorSettings:
        """What differs from production's defaults."""
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "trainer.py"
        script.write_text(TRAINER)
        command = (sys.executable, str(script), "--bundle", str(retrained)) if retrained else ()
        values: dict[str, Any] = {
            "state_folder": folder / "monitor",
            "sites": (SITE,),
            "rules": {"commissioning_windows": 30, "commissioning_cycle_hours": 0, "commissioning_most_windows": 20},
            "retraining": {"command": command},
            "rollout": {"approval": "automatic-after-shadow", "replay_images": 100},
            "labels": {"audit_fraction": 0.0},
            **changes,
        }
        return MonitorSettings.model_validate(values)

    def restart(self) -> None:
        """The monitor ends and comes back."""
        self.works.close()
        self.ended.append(self.works)
        self.works = make_works(self.settings)

    def close(self) -> None:
        """The end of the test: wait for trainers that an ended monitor had started."""
        self.works.close()
        for works in (*self.ended, self.works):
            for child in works.retraining._trainer.processes.children.values():
                child.wait()

    # --- what the station says

    def send(self, body: Any) -> None:
        """One message, committed."""
        self.sequence += 1
        envelope = Envelope(agent=AGENT, boot=self.boot, sequence=self.sequence, sent_at=self.now, body=body)
        payload = envelope.model_dump_json().encode()
        self.works.ingest.commit([Arrival(topic(SITE, AGENT, "telemetry"), payload, datetime.now(UTC))])

    def birth(self) -> None:
        """The station starts."""
        self.send(
            Birth(
                software_version="0",
                started_at=self.now,
                cameras=tuple(CameraState(camera=camera, product=PRODUCT, source="test") for camera in CAMERAS),
                bundle_hash=self.active_bundle.hash if self.active_bundle else None,
                release_number=None,
                channel_sequence=self.sequence_seen,
                runtime=RUNTIME,
                production=False,
            )
        )

    def event(self, kind: EventKind, **fields: Any) -> None:
        """Something that must be known at once."""
        self.send(Event(event=kind, at=self.now, **fields))

    def minute(self) -> None:
        """One window of each camera."""
        self.now += timedelta(minutes=1)
        for camera in CAMERAS:
            self.send(self._window(camera))
        self.work()

    def minutes(self, count: int) -> None:
        """Several."""
        for _ in range(count):
            self.minute()

    def _window(self, camera: str) -> Window:
        bundle = self.active_bundle
        assert bundle is not None
        names = bundle.manifest.drift_reference.names
        mean = self.random.normal(0.0, 0.1, len(names))
        shift = (self.good_level - 90.0) / 60.0
        for index, name in enumerate(names):
            if name == "mean":
                mean[index] += 0.2 * shift + self.sensor_shift.get(camera, 0.0)
            elif name in ("contrast", "sharpness"):
                mean[index] += self.sensor_shift.get(camera, 0.0)
            elif name.startswith("pc-") or name in ("margin", "mahalanobis"):
                mean[index] += 3.0 * shift
        return Window(
            camera=camera,
            product=PRODUCT,
            bundle_hash=bundle.hash,
            runtime=RUNTIME,
            started_at=self.now - timedelta(minutes=1),
            ended_at=self.now,
            first_frame=0,
            last_frame=IMAGES - 1,
            images=IMAGES,
            vector_names=names,
            vector_sum=tuple(float(x) for x in mean * IMAGES),
            vector_square_sum=tuple(float(x) for x in (mean**2 + 1.0) * IMAGES),
            decisions={Decision.OK: 70, Decision.NG: 30},
            labels={"good": 70, "scratch": 30},
            confidence=Histogram(edges=CONFIDENCE_EDGES, counts=(0,) * 19 + (IMAGES,)),
            latency=Histogram(edges=LATENCY_EDGES_SECONDS, counts=(IMAGES,) + (0,) * 10),
            latency_seconds_sum=0.1,
            shadow=self._shadow_sums(IMAGES) if self.shadow is not None else None,
        )

    def _shadow_sums(self, images: int) -> ShadowSummary:
        assert self.shadow is not None
        return ShadowSummary(
            bundle_hash=self.shadow.hash,
            images=images,
            agreements=images,
            decisions={Decision.OK: int(images * 0.7), Decision.NG: images - int(images * 0.7)},
            failures=0,
            latency_seconds_sum=0.001 * images,
        )

    # --- what the monitor does, and what the station does about it

    def work(self) -> None:
        """Everything that can be done now: rules, retrains, candidates, publishing, orders."""
        if self.restless:
            self.restart()
        while self.works.loop.step():
            pass
        self.works.retraining.step()
        self.works.judging.step()
        self.works.publishing.publish_due()
        self.works.orders.send_due(self.works.store, self._receive)
        self._follow()
        while self.works.loop.step():
            pass

    def _receive(self, site: str, agent: str, text: str) -> bool:
        assert (site, agent) == (SITE, AGENT)
        self.sent.append(text)
        return True

    def _follow(self) -> None:
        """Do what the signed channel says."""
        channel = self.works.registry.channel(SITE)
        if channel is None or channel.sequence == self.sequence_seen:
            return
        self.sequence_seen = channel.sequence
        self._activate(channel)
        wanted = channel.shadow.bundle_hash if channel.shadow else None
        if wanted != (self.shadow.hash if self.shadow else None):
            self.shadow = self._fetched(wanted) if wanted else None
            if self.shadow is not None:
                self.event(EventKind.SHADOW_STARTED, bundle_hash=wanted)
                summary = self._shadow_sums(100).model_dump(mode="json")
                self.event(EventKind.REPLAY_FINISHED, bundle_hash=wanted, details=summary)

    def _activate(self, channel: Channel) -> None:
        if self.active_bundle is None or self.active_bundle.hash != channel.active.bundle_hash:
            self.active_bundle = self._fetched(channel.active.bundle_hash)
            self.active = Session(self.active_bundle)
            details = {"release": channel.active.number}
            self.event(EventKind.BUNDLE_ACTIVATED, bundle_hash=channel.active.bundle_hash, details=details)

    def _fetched(self, bundle_hash: str) -> Bundle:
        from runtime.bundle import open_bundle

        return open_bundle(self.settings.state_folder / "bundles" / bundle_hash)

    def orders(self, kind: type[Any]) -> list[Any]:
        """Orders that were sent, newest last."""
        found = []
        for text in self.sent:
            if f'"kind":"{kind.model_fields["kind"].default}"' in text:
                found.append(kind.model_validate_json(text))
        return list({order.order_id: order for order in found}.values())

    # --- parts, uploads and labels

    def part(self) -> tuple[str, str, NDArray[np.uint8]]:
        """(part, true label, picture) of the next part."""
        self.parts += 1
        scratched = bool(self.random.random() < DEFECT_SHARE)
        part_id = f"part-{self.parts}"
        self.truth[part_id] = "scratch" if scratched else "good"
        return part_id, self.truth[part_id], picture(SCRATCH_LEVEL if scratched else int(self.good_level), self.parts)

    def upload(self, source: OutcomeSource, *, camera: str = "cam-a", order_id: str | None = None) -> str | None:
        """Inspect one part and hand its picture over; returns the image's id."""
        assert self.active is not None
        assert self.active_bundle is not None
        part_id, _, pixels = self.part()
        manifest = self.active_bundle.manifest
        answer = decide(self.active.infer(prepare(pixels, manifest.preprocessing)).probabilities, manifest)
        frame = Frame(
            part_id=part_id,
            sequence=self.parts,
            product=PRODUCT,
            camera=camera,
            triggered_at=self.now,
            clock=Clock.SYNCHRONISED,
        )
        verdict = Verdict(
            frame=frame,
            decision=answer.decision,
            label=answer.label,
            defect_score=answer.defect_score,
            bundle_hash=self.active_bundle.hash,
        )
        data = encoded(pixels)
        described = ImageUpload(site=SITE, agent=AGENT, source=source, order_id=order_id, verdict=verdict)
        return self.works.desk.accept_image(described, data, media_type="image/png")

    def obey_samples(self) -> int:
        """Upload what the standing sample orders ask for; returns how many images."""
        uploaded = 0
        for order in self.orders(Sample):
            if order.order_id in self.truth:
                continue
            self.truth[order.order_id] = "done"
            for _ in range(order.random):
                self.upload(OutcomeSource.DRIFT_SAMPLE, camera=order.camera, order_id=order.order_id)
            for _ in range(order.atypical):
                self.upload(OutcomeSource.ATYPICAL, camera=order.camera, order_id=order.order_id)
            for _ in range(order.unsure):
                self.upload(OutcomeSource.UNSURE, camera=order.camera, order_id=order.order_id)
            self.event(EventKind.ORDER_DONE, order_id=order.order_id)
            uploaded += order.random + order.atypical + order.unsure
        return uploaded

    def answer_queue(self, *, most: int = 1000, convention: dict[str, str] | None = None) -> int:
        """A rater answers truthfully, but for the `convention`; returns how many labels were given."""
        from monitor import labels
        from monitor.ratings import Answer

        with self.works.store.read() as session:
            questions = labels.queue(session, limit=most)
        for question in questions:
            label = self.truth[question.part_id]
            said = Answer(question.image_id, (convention or {}).get(label, label), "rater-1")
            self.works.desk.labels.answer(said)
        return len(questions)
