"""The model card: what the model is, what it was made from, how good it is, and what it does not promise."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.evaluation.report import TaskFigures
from trainer.evaluation.text import task_lines
from trainer.forgetting import Kept, in_words
from trainer.snapshot import Snapshot
from trainer.trained import RunRecord


def card(record: RunRecord, snapshot: Snapshot, kept: Sequence[Kept] = ()) -> str:
    """Markdown; `kept` is what a retrained model has kept of its parent."""
    metrics, lineage = record.test_metrics, record.lineage
    counts = snapshot.counts()
    lines = [
        f"# Model of site {record.site}, product {record.product}",
        "",
        f"Made {record.created_at:%Y-%m-%d %H:%M} UTC in {record.seconds:.0f} s by Lineside {lineage.code_version}. "
        f"Decides between {', '.join(record.labels)}; good: {', '.join(record.good_labels)}.",
        "" if record.licence.production else "\n**Not for production**: its images or weights do not permit it.\n",
        "## Made from",
        "",
        f"- images: snapshot `{lineage.snapshot_hash}`, split `{lineage.split_hash}`",
        f"- test groups: {record.details['pinned']}",
        *(
            f"- {split}: " + ", ".join(f"{n} {label}" for label, n in sorted(of.items()))
            for split, of in counts.items()
        ),
        f"- permission: {record.licence.licence} (owner {record.licence.owner}; use: {record.licence.permitted_use})",
        f"- backbone: {lineage.base_model} ({lineage.base_model_licence}), SHA-256 "
        f"`{lineage.base_model_sha256 or 'random weights'}`",
        *([f"- **accepted risk of the backbone**: {risk}"] if (risk := record.base_model.accepted_risk) else []),
        *(
            [f"- every answer is the mean over {len(record.looks)} mirrorings of the image"]
            if len(record.looks) > 1
            else []
        ),
        *(
            ["- pooled by the generalised mean (exponent 3), which what is small moves more than the mean"]
            if record.pooling == "gem"
            else []
        ),
        *_size(record),
        *_contest(record),
        *_restarts(record),
        f"- parent bundle: `{lineage.parent_bundle}`, order {lineage.order_id}" if lineage.parent_bundle else "",
        "",
        f"## On {metrics.examples} test images that chose nothing",
        "",
        "| figure | value |",
        "|---|---|",
        f"| balanced accuracy (good / defect) | {_share(metrics.balanced_accuracy)} |",
        f"| AUROC of the defect score | {_share(metrics.auroc)} |",
        f"| accuracy | {_share(metrics.accuracy)} (always the commoner answer: {_share(metrics.best_constant)}) |",
        f"| good parts let through | {_share(metrics.recall_good)} |",
        f"| defects found | {_share(metrics.recall_defect)} |",
        *(f"| recall of {label} | {_share(value)} |" for label, value in metrics.recall_per_label.items()),
        "",
        "| true \\ answered | " + " | ".join(record.labels) + " |",
        "|---" * (len(record.labels) + 1) + "|",
        *(f"| {true} | " + " | ".join(str(n) for n in row.values()) + " |" for true, row in metrics.confusion.items()),
        "",
        *_tasks(record),
        f"Threshold {record.thresholds.ng:.2f} on the defect score{_band(record)}: {record.thresholds.chosen_by}.",
        "",
        *in_words(kept),
        "## What it does not promise",
        "",
        *(f"- {sentence}" for sentence in record.cannot_promise),
    ]
    return "\n".join(lines) + "\n"


def _tasks(record: RunRecord) -> list[str]:
    """The further tasks, each judged alone."""
    found = record.details.get("tasks")
    if found is None or record.tasks is None:
        return []
    lines = task_lines(record.tasks, TaskFigures.model_validate(found))
    for name, item in (record.details.get("tasks_alone") or {}).items():
        lines.append(f"- {name}: {_beside_alone(**item)}")
    return [*lines, ""]


def _beside_alone(together: float | None, alone: float | None, error: float | None) -> str:
    """Whether a task is worse together than alone.

    >>> _beside_alone(0.5, 0.4, None)
    'mean error 0.500 together, 0.400 alone; a single group of images does not tell which is better'
    """
    if together is None or alone is None:
        return "not compared, no image tells"
    means = f"mean error {together:.3f} together, {alone:.3f} alone"
    if error is None:
        return f"{means}; a single group of images does not tell which is better"
    return f"{means}, {'**worse together**' if together - alone > error else 'not worse together'}"


def _size(record: RunRecord) -> list[str]:
    """How large the input is, where that was chosen, and why."""
    reasons = (record.details.get("size") or {}).get("reasons", [])
    return [f"- size of the input: {' '.join(reasons)}"] if reasons else []


def _contest(record: RunRecord) -> list[str]:
    """How much of the network was trained, and why."""
    reasons = (record.details.get("contest") or {}).get("reasons", [])
    strategy = record.details.get("strategy", "tail")
    tuned = (record.details.get("tuning") or {}).get("reasons", [])
    said = [f"- strategy: {strategy}" + (f". {' '.join(reasons)}" if reasons else "")]
    return [*said, f"- tuning: {' '.join(tuned)} All of them: trials.csv."] if tuned else said


def _restarts(record: RunRecord) -> list[str]:
    """What was begun again at half the learning rate."""
    jumps = record.details.get("restarts", [])
    return [f"- begun again at half the learning rate where its curve jumped: {'; '.join(jumps)}"] if jumps else []


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _band(record: RunRecord) -> str:
    thresholds = record.thresholds
    return f", REVIEW from {thresholds.review_from:.2f}" if thresholds.review_from < thresholds.ng else ""
