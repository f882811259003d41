"""What Prometheus may know of an agent. The registry is passed in; units are in the names."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from contracts.frame import Verdict
from edge_agent.deadline import is_late

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """All metrics of one agent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.images = Counter(
            "lineside_agent_images",
            "Images inspected. Rate: throughput; share of NG: what the line produces.",
            ["camera", "product", "decision"],
            registry=registry,
        )
        self.inspection_seconds = Histogram(
            "lineside_agent_inspection_seconds",
            "From encoded image to verdict, without waiting in a queue and without the commit.",
            ["camera"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "lineside_agent_commit_seconds",
            "One commit of verdicts and telemetry to disk. A slow disk shows here first.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.refused_images = Counter(
            "lineside_agent_refused_images",
            "Images refused with 503 because the queue was full or the record could not be written.",
            registry=registry,
        )
        self.paused = Gauge(
            "lineside_agent_paused", "1 while somebody has paused inspection: parts get NO_VERDICT.", registry=registry
        )
        self.client_requests = Counter(
            "lineside_agent_client_requests",
            "Requests that a program with a key of its own was let do.",
            ["client"],
            registry=registry,
        )
        self.camera_fault = Gauge(
            "lineside_agent_camera_fault", "1 while a camera is faulty.", ["camera"], registry=registry
        )
        self.parts = Counter(
            "lineside_agent_parts",
            "Parts decided out of several views.",
            ["part", "decision"],
            registry=registry,
        )
        self.camera_restarts = Counter(
            "lineside_agent_camera_restarts",
            "How often a camera failed, hung or fell silent and was given up to be opened again.",
            ["camera"],
            registry=registry,
        )
        self.frames_passed_over = Counter(
            "lineside_agent_frames_passed_over",
            "Frames of a live camera that nobody took: between two that were due, or replaced by a newer one.",
            ["camera"],
            registry=registry,
        )
        self.connected = Gauge("lineside_agent_broker_connected", "1 while connected to the broker.", registry=registry)
        self.outbox_messages = Gauge(
            "lineside_agent_outbox_messages", "Messages that the monitor has not acknowledged.", registry=registry
        )
        self.outbox_bytes = Gauge("lineside_agent_outbox_bytes", "Their size on disk.", registry=registry)
        self.outbox_dropped = Counter(
            "lineside_agent_outbox_dropped_messages", "Messages merged or dropped at the disk cap.", registry=registry
        )
        self.buffer_images = Gauge("lineside_agent_buffer_images", "Images in the buffer.", registry=registry)
        self.buffer_bytes = Gauge("lineside_agent_buffer_bytes", "Their size on disk.", registry=registry)
        self.buffer_dropped = Counter(
            "lineside_agent_buffer_dropped_images", "Images dropped because the buffer was full.", registry=registry
        )
        self.uploads = Counter(
            "lineside_agent_uploads", "Images uploaded for labelling, by result.", ["result"], registry=registry
        )
        self.shadow_images = Counter(
            "lineside_agent_shadow_images",
            "Images for the shadow bundle: answered, failed, or skipped because it was busy.",
            ["result"],
            registry=registry,
        )
        self.late = Counter(
            "lineside_agent_late_verdicts",
            "Images that got no verdict because it came after the deadline; they are among lineside_agent_images, too.",
            ["camera"],
            registry=registry,
        )
        self.outputs = Counter(
            "lineside_agent_output_answers",
            "Answers by output and result: delivered; late (delivered as NO_VERDICT); refused by the other side;"
            " overflow (dropped from the queue); quota (files deleted); failed (attempts that are repeated).",
            ["output", "result"],
            registry=registry,
        )
        self.output_failing = Gauge(
            "lineside_agent_output_failing", "1 while an output cannot deliver.", ["output"], registry=registry
        )
        self.output_waiting = Gauge(
            "lineside_agent_output_waiting", "Answers in an output's queue.", ["output"], registry=registry
        )
        self.orders = Counter("lineside_agent_orders", "Orders received, by kind.", ["kind"], registry=registry)
        self.bundle = Info("lineside_agent_bundle", "The active bundle.", registry=registry)

        # looked up for every image: the library checks all labels each time
        self._images_of, self._seconds_of = cache(self.images.labels), cache(self.inspection_seconds.labels)

    def count(self, verdict: Verdict) -> None:
        """One image was inspected."""
        frame = verdict.frame
        self._images_of(frame.camera, frame.product, verdict.decision.value).inc()
        if is_late(verdict):
            self.late.labels(frame.camera).inc()
        if verdict.latency_seconds is not None:
            self._seconds_of(frame.camera).observe(verdict.latency_seconds)
