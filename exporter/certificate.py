"""Does a variant answer like the model that was trained? Measured through the session that will serve it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from contracts.certificate import Calibration, Certificate, LatencySummary, TaskMetrics
from contracts.tasks import TaskCertificate
from exporter.settings import Limits
from exporter.source import Labelled, Source, tensors
from exporter.task_certificate import certify_tasks, task_objections
from runtime.machine import describe_machine
from runtime.metrics import calibration_error, task_metrics
from runtime.session import DISTANCES, EMBEDDING, HEAT, LOGITS, SEVERITY, Session, softmax
from trainer.evaluation.tasks import Further, Said

REFERENCE = "torch/fp32"


@dataclass(frozen=True)
class Answers:
    """Probabilities [n, k] and embeddings [n, d] by variant name and of the float model, and the answers to further
    tasks; the first `test` images are of the test split."""

    by_variant: Mapping[str, NDArray[np.float32]]
    embeddings: Mapping[str, NDArray[np.float32]]
    reference: NDArray[np.float32]
    reference_embeddings: NDArray[np.float32]
    examples: tuple[Labelled, ...]
    test: int
    further: Mapping[str, Sequence[Further]] = field(default_factory=dict)
    further_reference: Sequence[Further] = ()

    def with_those_of(self, others: Answers) -> Answers:
        """The same, with the answers of other variants on the same images."""
        return replace(
            self,
            by_variant={**self.by_variant, **others.by_variant},
            embeddings={**self.embeddings, **others.embeddings},
            further={**self.further, **others.further},
        )

    @property
    def true(self) -> tuple[str, ...]:
        """The labels [n]."""
        return tuple(example.label for example in self.examples)


def ask(source: Source, sessions: Sequence[Session], test: Sequence[Labelled], more: Sequence[Labelled]) -> Answers:
    """Run `test` and `more` images, one at a time, through the float model in torch and through every session."""
    examples = [*test, *more]
    rows: dict[str, list[NDArray[np.float32]]] = {session.variant: [] for session in sessions}
    embeddings: dict[str, list[NDArray[np.float32]]] = {session.variant: [] for session in sessions}
    further: dict[str, list[Further]] = {session.variant: [] for session in sessions}
    reference, reference_embeddings = [], []
    further_reference: list[Further] = []
    module = source.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for tensor in tensors(examples, source.preprocessing):
        with torch.inference_mode():
            answers = [part.numpy() for part in module(torch.from_numpy(tensor))]  # [1, k], [1, d], ...
        named = dict(zip(source.signature.outputs, answers, strict=True))
        reference.append(softmax(named[LOGITS][0] / np.float32(source.temperature)))
        reference_embeddings.append(named[EMBEDDING][0])
        severity = named[SEVERITY][0] if SEVERITY in named else None
        further_reference.append(Said(severity, named.get(HEAT), named.get(DISTANCES)))
        for session in sessions:
            inference = session.infer(tensor)
            rows[session.variant].append(inference.probabilities)
            embeddings[session.variant].append(inference.embedding)
            further[session.variant].append(inference)
    return Answers(
        by_variant={name: np.stack(values) for name, values in rows.items()},
        embeddings={name: np.stack(values) for name, values in embeddings.items()},
        reference=np.stack(reference),
        reference_embeddings=np.stack(reference_embeddings),
        examples=tuple(examples),
        test=len(test),
        further=further,
        further_reference=further_reference,
    )


def certify(
    session: Session, answers: Answers, source: Source, *, latency: LatencySummary, limits: Limits
) -> Certificate:
    """The evidence on one variant and whether it passes. Metrics are of the test images alone."""
    variant = session.variant
    mine, theirs = answers.by_variant[variant], answers.reference
    judged = judge(variant, answers, source, limits)
    return Certificate(
        variant=variant,
        device_class=session.device_class,
        reference=REFERENCE,
        images=len(mine),
        argmax_agreement=judged.agreement,
        max_probability_difference=min(1.0, float(np.abs(mine - theirs).max())),
        mean_probability_difference=min(1.0, float(np.abs(mine - theirs).mean())),
        calibration=_calibration(answers, variant, source),
        embedding_shift=embedding_shift(answers.embeddings[variant], answers.reference_embeddings),
        metrics=judged.metrics,
        reference_metrics=judged.reference_metrics,
        tasks=judged.tasks,
        latency=latency,
        machine={**describe_machine(), "torch": torch.__version__, "runtime": session.runtime},
        passed=not judged.reasons,
        reasons=judged.reasons,
    )


@dataclass(frozen=True)
class Judged:
    """What decides whether a variant passes; `reasons` why it does not."""

    agreement: float
    metrics: TaskMetrics
    reference_metrics: TaskMetrics
    tasks: TaskCertificate | None
    reasons: tuple[str, ...]


def judge(variant: str, answers: Answers, source: Source, limits: Limits) -> Judged:
    """Whether a variant passes. Metrics are of the test images alone."""
    mine, theirs, test = answers.by_variant[variant], answers.reference, answers.test
    metrics = task_metrics(mine[:test], answers.true[:test], source)
    reference_metrics = task_metrics(theirs[:test], answers.true[:test], source)
    agreement = float((mine.argmax(axis=1) == theirs.argmax(axis=1)).mean())
    tasks = certify_tasks(
        answers.further.get(variant, ()), answers.further_reference, answers.examples, source, test=test
    )
    levels = len(source.tasks.severity.names) - 1 if source.tasks and source.tasks.severity else 1
    reasons = [*objections(agreement, metrics, reference_metrics, limits), *task_objections(tasks, levels, limits)]
    return Judged(agreement, metrics, reference_metrics, tasks, tuple(reasons))


def objections(agreement: float, mine: TaskMetrics, reference: TaskMetrics, limits: Limits) -> list[str]:
    """Why a variant does not pass; empty when it does. The rule is that of `Limits`."""
    if agreement >= limits.agreement:
        return []
    start = f"the most probable class is that of the float model on {agreement:.1%} of the images"
    if agreement < limits.agreement_at_least:
        return [f"{start}, less than the {limits.agreement_at_least:.1%} that are needed"]
    drops = {
        "balanced accuracy": _drop(mine.balanced_accuracy, reference.balanced_accuracy),
        "AUROC": _drop(mine.auroc, reference.auroc),
    }
    return [
        f"{start} (below {limits.agreement:.1%}) and {name} falls by {drop:.1%}, more than {limits.metric_drop:.1%}"
        for name, drop in drops.items()
        if drop > limits.metric_drop
    ]


def embedding_shift(mine: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Root mean square difference of embeddings [n, d], over that of the reference about its mean.

    >>> embedding_shift(np.array([[0.5], [2.0]], np.float32), np.array([[0.0], [2.0]], np.float32))
    0.3535533845424652
    """
    error = np.sqrt(np.square(mine - reference).mean())
    spread = np.sqrt(np.square(reference - reference.mean(axis=0)).mean())
    return float(error / max(spread, np.finfo(np.float32).tiny))


def _calibration(answers: Answers, variant: str, source: Source) -> Calibration | None:
    if answers.test == 0:
        return None
    numbers = {label: index for index, label in enumerate(source.labels)}
    true = np.array([numbers[label] for label in answers.true[: answers.test]])
    mine, theirs = (
        calibration_error(said[: answers.test], true) for said in (answers.by_variant[variant], answers.reference)
    )
    return Calibration(error=mine, reference_error=theirs)


def _drop(mine: float | None, reference: float | None) -> float:
    return 0.0 if mine is None or reference is None else reference - mine
