"""A card in Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.bases.worth import Worth
from trainer.card.base import base_lines
from trainer.card.made import image_lines, input_lines, training_lines
from trainer.card.values import ModelCard, Together
from trainer.evaluation.text import card_part, task_lines
from trainer.evaluation.words import bracketed, number
from trainer.forgetting import in_words
from trainer.sites.by_site import lines_of


def markdown(card: ModelCard, files: Mapping[str, str]) -> str:
    """The whole card. `files`: what lies beside it, by name, with what it is."""
    lines = [
        f"# Model of site {card.site}, product {card.product}",
        "",
        f"Made {card.created_at:%Y-%m-%d %H:%M} UTC in {card.seconds:.0f} s by Lineside {card.lineage.code_version}. "
        f"Decides between {', '.join(card.labels)}; good: {', '.join(card.good_labels)}.",
        "" if card.licence.production else "\n**Not for production**: its images or weights do not permit it.\n",
        f"Permission: {card.licence.licence} (owner {card.licence.owner}; use: {card.licence.permitted_use}).",
        "",
        f"SHA-256 of the weights: `{card.model_sha256}`. Beside this card: "
        + ", ".join(f"[{name}]({name}) ({what})" for name, what in files.items())
        + ".",
        "",
        "## Base model",
        "",
        *base_lines(card.base),
        *_worth(card.worth),
        "",
        "## Made from",
        "",
        *image_lines(card),
        *training_lines(card),
        *input_lines(card.input),
        "",
        *_metrics(card),
        *_sites(card),
        *_tasks(card),
        *_decision(card),
        *_kept(card),
        "## What it does not promise",
        "",
        *(f"- {sentence}" for sentence in card.cannot_promise),
        "",
        *_evaluation(card),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _worth(worth: Worth) -> list[str]:
    """Whether the pretrained weights are better than random ones: loud where they are not, and where nobody knows."""
    said = f"- **{worth.sentence()}**" if worth.loud or worth.why_not else f"- {worth.sentence()}"
    if not worth.validation:
        return [said]
    rows = [
        f"| {split} | {weights} | {number(reached.balanced_accuracy)} | {number(reached.auroc)} |"
        for split, found in (("validation", worth.validation), ("test", worth.test))
        for weights, reached in found.items()
    ]
    head = ["| linear head on frozen features | weights | balanced accuracy | AUROC |", "|---|---|---|---|"]
    return [said, "", *head, *rows]


def _metrics(card: ModelCard) -> list[str]:
    metrics, intervals = card.metrics, card.intervals
    rows = [
        ("balanced_accuracy", "balanced accuracy (good / defect)", metrics.balanced_accuracy),
        ("auroc", "AUROC of the defect score", metrics.auroc),
        ("accuracy", f"accuracy (always the commoner answer: {number(metrics.best_constant)})", metrics.accuracy),
        ("recall_good", "good parts let through", metrics.recall_good),
        ("recall_defect", "defects found", metrics.recall_defect),
        *(("", f"recall of {label}", value) for label, value in metrics.recall_per_label.items()),
    ]
    return [
        f"## On {metrics.examples} test images that chose nothing",
        "",
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        *(f"| {name} | {number(value)} | {bracketed(intervals.get(key))} |" for key, name, value in rows),
        "",
        "| true \\ answered | " + " | ".join(card.labels) + " |",
        "|---" * (len(card.labels) + 1) + "|",
        *(f"| {true} | " + " | ".join(str(n) for n in row.values()) + " |" for true, row in metrics.confusion.items()),
        "",
    ]


def _tasks(card: ModelCard) -> list[str]:
    """The further tasks, each judged alone."""
    if card.task_figures is None or card.tasks is None:
        return []
    lines = task_lines(card.tasks, card.task_figures)
    lines += [f"- {name}: {beside_alone(item)}" for name, item in card.task_comparisons.items()]
    return [*lines, ""]


def beside_alone(found: Together) -> str:
    """Whether a task is worse together than alone.

    >>> beside_alone(Together(together=0.5, alone=0.4, error=None))
    'mean error 0.500 together, 0.400 alone; a single group of images does not tell which is better'
    """
    if found.together is None or found.alone is None:
        return "not compared, no image tells"
    means = f"mean error {found.together:.3f} together, {found.alone:.3f} alone"
    if found.error is None:
        return f"{means}; a single group of images does not tell which is better"
    worse = found.together - found.alone > found.error
    return f"{means}, {'**worse together**' if worse else 'not worse together'}"


def _decision(card: ModelCard) -> list[str]:
    line = card.thresholds
    band = f", REVIEW from {line.review_from:.2f}" if line.review_from < line.ng else ""
    review = "" if line.cost_review is None else f", a review {line.cost_review:g}"
    shift = "" if card.calibration_shift is None else f", and moved by {card.calibration_shift:+.2f} in log-odds"
    return [
        f"Threshold {line.ng:.2f} on the defect score{band}: {line.chosen_by}. An escape costs {line.cost_escape:g}, a "
        f"false reject {line.cost_false_reject:g}{review}; {line.defect_share:.1%} of the parts are expected to be "
        f"defective. Calibrated: logits are divided by {card.temperature:.3g} (temperature){shift}.",
        "",
    ]


def _sites(card: ModelCard) -> list[str]:
    """Each site by itself, where there are several."""
    return ["### Site by site", "", *(f"- {line}" for line in lines_of(card.sites)), ""] if card.sites else []


def _kept(card: ModelCard) -> list[str]:
    if card.kept_unknown:
        return ["## What it has kept of its parent", "", f"**{card.kept_unknown}**", ""]
    return in_words(card.kept)


def _evaluation(card: ModelCard) -> list[str]:
    if card.evaluation is None:
        return [
            "Not evaluated: what faults of the camera do and what simpler means reach is unknown (`lineside evaluate`)."
        ]
    failures = f"Its {card.failures} surest wrong answers are in the run's report." if card.failures else ""
    return [card_part(card.evaluation).rstrip(), "", failures]
