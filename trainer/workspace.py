"""What a site's trainer keeps between runs: `snapshots/`, `images/` (copies of later labelled images), `site.json`, and
`models/` (which run was made from which snapshot)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from contracts.errors import ConfigurationError, DatasetError
from contracts.names import Name, Wire
from trainer.bases.backbone import BaseModel
from trainer.dataset import Example
from trainer.settings import TrainingSettings
from trainer.trained import TrainedModel, load_run

SITE_NAME = "site.json"


class SiteRecord(Wire):
    """How the site's models are trained; written with the first one, read for every retrain."""

    site: Name
    product: Name
    base_model: BaseModel
    settings: TrainingSettings


def remember_site(workspace: Path, record: SiteRecord) -> None:
    """Write `site.json`, with absolute paths."""
    base = record.base_model
    if base.weights is not None:
        base = base.model_copy(update={"weights": base.weights.resolve()})
    workspace.mkdir(parents=True, exist_ok=True)
    text = record.model_copy(update={"base_model": base}).model_dump_json(indent=1)
    (workspace / SITE_NAME).write_text(text + "\n", encoding="utf-8")


def recall_site(workspace: Path) -> SiteRecord:
    """Raises ConfigurationError where no model was trained in this workspace."""
    try:
        return SiteRecord.model_validate_json((workspace / SITE_NAME).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{workspace} is no trainer's workspace, its {SITE_NAME} cannot be read ({error.strerror}); train a first "
            "model in it, or name another --workspace"
        ) from error
    except ValidationError as error:
        raise ConfigurationError(
            f"{workspace} is no trainer's workspace: {error}; train a first model in it"
        ) from error


def remember_model(workspace: Path, model: TrainedModel) -> None:
    """Note where the run lies that was made from its snapshot, for the report of a later retrain."""
    note = workspace / "models" / f"{model.record.lineage.snapshot_hash}.txt"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{model.folder.resolve()}\n", encoding="utf-8")


def recall_model(workspace: Path, snapshot_hash: str) -> TrainedModel | None:
    """The latest run made from that snapshot; None where it is not known, gone, changed, or another one by now."""
    note = workspace / "models" / f"{snapshot_hash}.txt"
    try:
        model = load_run(Path(note.read_text(encoding="utf-8").strip()))
    except (OSError, ConfigurationError, DatasetError):
        return None
    return model if model.record.lineage.snapshot_hash == snapshot_hash else None


def keep_image(workspace: Path, example: Example) -> Example:
    """The example with its image copied into the workspace: an agent's image buffer forgets, a snapshot must not."""
    kept = workspace / "images" / (example.sha256 + example.path.suffix.lower())
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(example.path, kept)
    return replace(example, path=kept)
