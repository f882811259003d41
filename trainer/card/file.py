"""Where a card lies: `card.json` and `card.md`, beside a run's weights or in a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from contracts.bundle import CARD_NAME
from contracts.errors import ConfigurationError
from contracts.quality import QualityReport
from trainer.card.facts import card_of
from trainer.card.text import markdown
from trainer.card.values import ModelCard
from trainer.trained import MODEL_NAME, TrainedModel

CARD_JSON = "card.json"
_QUALITY = "quality.json"


def write_card(folder: Path, card: ModelCard, files: Mapping[str, str] | None = None) -> None:
    """Both files. `files`: what lies beside them, by name, with what it is; None: the files of a run."""
    text = markdown(card, _run_files(card) if files is None else files)
    (folder / CARD_JSON).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / CARD_NAME).write_text(text, encoding="utf-8")


def read_card(model: TrainedModel) -> ModelCard:
    """The card beside the run; made anew where it is of other weights, or where the run is older than cards. Raises
    ConfigurationError where it cannot be read."""
    path = model.folder / CARD_JSON
    if path.exists():
        try:
            card = ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise ConfigurationError(
                f"{path} is not a model card ({_gist(error)}); remove it, and lineside evaluate writes it anew"
            ) from error
        if card.model_sha256 == model.record.model_sha256:
            return card
    return card_of(model.record, model.snapshot, quality_in(model.folder))


def quality_in(run: Path) -> QualityReport | None:
    """What `lineside train` found in the images before it began; None where nobody looked. Raises
    ConfigurationError."""
    path = run / _QUALITY
    if not path.exists():
        return None
    try:
        return QualityReport.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} is not a quality report ({_gist(error)}); remove it") from error


def _gist(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"


def _run_files(card: ModelCard) -> dict[str, str]:
    """What lies beside the card in its run folder."""
    files = {MODEL_NAME: "the weights", "metrics.json": "all figures", "curves.csv": "losses while it learned"}
    if card.training.tuning:
        files["trials.csv"] = "recipes that were tried"
    if card.quality is not None:
        files["quality.html"] = "findings in the images"
    if card.evaluation is not None:
        files |= {"report.html": "curves, worst failures as pictures", "failures.csv": "the worst failures"}
        files["evaluation.json"] = "the evaluation"
    return files
