"""All simpler means beside the model, and from what each of them learned."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import ConfigurationError
from runtime.decision import Rule
from trainer.clock import now
from trainer.course import Course, Material
from trainer.evaluation.baselines import baseline_of, classical, frozen_probe, majority, random_features, raters
from trainer.evaluation.curve import learning_curve
from trainer.evaluation.figures import Answers
from trainer.evaluation.report import Baseline, LearningCurve
from trainer.outset import set_out
from trainer.progress import Progress
from trainer.settings import DeviceName, TrainingSettings
from trainer.stem import Stem
from trainer.trained import TrainedModel
from trainer.views import View

ITSELF = "this model"


def itself(model: TrainedModel, answers: Answers) -> Baseline:
    """The model as a row among the others."""
    record, details = model.record, model.record.details
    threads = record.lineage.training.get("threads", "?")
    how = f"{record.lineage.base_model}, strategy {details.get('strategy', 'tail')}"
    return baseline_of(
        ITSELF,
        answers,
        seconds=record.seconds,
        learned_from=len(model.snapshot.of("train", "validation")),
        note=f"{how}; on {details.get('device', 'cpu')}, threads: {threads}",
    )


def simpler_means(
    model: TrainedModel, answers: Answers, device: DeviceName, progress: Progress
) -> tuple[tuple[Baseline, ...], LearningCurve | None]:
    """The model itself, then simpler means, and the learning curve of the one with frozen features."""
    train, test, rule = model.snapshot.of("train", "validation"), answers.examples, answers.rule
    progress("simpler means", 0.72)
    measured = random_features(model.record.details.get("yardstick") or {}, model.snapshot.of("train"))
    found = (itself(model, answers), majority(train, test, rule), classical(train, test, rule), raters(test, rule))
    known = tuple(each for each in (*found, measured) if each is not None)
    frozen = _frozen(model, rule, device)
    if frozen is None:
        return known, None
    course, stem = frozen
    progress("simpler means", 0.8, "frozen features")
    began = now()
    learned = Material(train, stem.features(train, (View(0),)))
    fit = course.regularisation(learned)
    probe = frozen_probe(course, stem, learned, test, rule, fit=fit, began=began)
    progress("learning curve", 0.95)
    return (*known, probe), learning_curve(course, learned, fit=fit)


def differs(items: Sequence[Baseline]) -> tuple[Baseline, ...]:
    """Those that are not the model itself."""
    return tuple(item for item in items if item.name != ITSELF)


def _frozen(model: TrainedModel, rule: Rule, device: DeviceName) -> tuple[Course, Stem] | None:
    """The pretrained network as it was before the training; None where its file went away."""
    try:
        trained = TrainingSettings.model_validate(model.record.lineage.training)
        settings = trained.model_copy(update={"strategy": "probe", "device": device})
        course, stem, _ = set_out(
            model.record.base_model, rule.labels, rule.good_labels, settings, model.record.preprocessing
        )
    except ConfigurationError:
        return None
    return course, stem
