"""What the trainer keeps between runs, of one site or of several: `snapshots/`, `images/` (copies of later labelled
images), `sites/SITE/PRODUCT.json`, and `models/` (which run was made from which snapshot)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from contracts.errors import ConfigurationError, DatasetError
from contracts.names import Name, Wire
from runtime.durable import write_whole
from trainer.bases.backbone import BaseModel
from trainer.dataset import Example
from trainer.settings import TrainingSettings
from trainer.trained import TrainedModel, load_run

_SITES = "sites"
_ONLY_SITE = "site.json"  # where earlier versions kept the record of whoever was trained last


class SiteRecord(Wire):
    """How the models of a site's product are trained; written with the first one, read for every retrain."""

    site: Name
    product: Name
    base_model: BaseModel
    settings: TrainingSettings


def remember_site(workspace: Path, record: SiteRecord) -> None:
    """Write `sites/SITE/PRODUCT.json`, with absolute paths; other sites and products keep theirs."""
    base = record.base_model
    found = {name: path.resolve() for name in ("weights", "snapshot") if (path := getattr(base, name)) is not None}
    base = base.model_copy(update=found)
    file = _file_of(workspace, record.site, record.product)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, record.model_copy(update={"base_model": base}).model_dump_json(indent=1) + "\n")


def recall_site(workspace: Path, site: str, product: str) -> SiteRecord:
    """How that site's product is trained. Where it was never trained here but a single other one was (under another
    name, say), that one's. Raises ConfigurationError where no model was trained in this workspace, or several others
    were."""
    own = _file_of(workspace, site, product)
    if own.exists():
        return _read(own, workspace)
    files = [*sorted((workspace / _SITES).glob("*/*.json")), workspace / _ONLY_SITE]
    known = [_read(file, workspace) for file in files if file.exists()]
    same = [record for record in known if (record.site, record.product) == (site, product)]
    names = sorted({f"{record.site} (product {record.product})" for record in known})
    if not known:
        raise ConfigurationError(f"{workspace} is no trainer's workspace: it knows no site; train a first model in it")
    if not same and len(names) > 1:
        raise ConfigurationError(
            f"{workspace} does not know how site {site} (product {product}) is trained, only {', '.join(names)}; "
            f"train a first model with --site {site} --product {product} in it"
        )
    return (same or known)[0]


def _file_of(workspace: Path, site: str, product: str) -> Path:
    return workspace / _SITES / site / f"{product}.json"


def _read(file: Path, workspace: Path) -> SiteRecord:
    try:
        return SiteRecord.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            f"{file} does not tell how a site is trained: {error}; train a first model in {workspace}"
        ) from error


def remember_model(workspace: Path, model: TrainedModel) -> None:
    """Note where the run lies that was made from its snapshot, for the report of a later retrain: as the latest of
    all, and as the latest of its site and product, which may share the snapshot with others."""
    record = model.record
    for note in _notes(workspace, record.lineage.snapshot_hash, record.site, record.product):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_whole(note, f"{model.folder.resolve()}\n")


def recall_model(workspace: Path, snapshot_hash: str, site: str, product: str) -> TrainedModel | None:
    """The latest run of that site and product made from that snapshot, or else the latest of anybody's; None where it
    is not known, gone, changed, or another one by now."""
    own, any_of_it = _notes(workspace, snapshot_hash, site, product)
    note = own if own.exists() else any_of_it
    try:
        model = load_run(Path(note.read_text(encoding="utf-8").strip()))
    except (OSError, ConfigurationError, DatasetError):
        return None
    return model if model.record.lineage.snapshot_hash == snapshot_hash else None


def runs_of(folder: Path) -> list[Path]:
    """Where runs may lie that were made from the snapshot in that folder: noted in its workspace, or around it."""
    home = folder.parent.parent
    notes = sorted((home / "models").glob(f"{folder.name}*.txt"))
    return list(dict.fromkeys([*(Path(note.read_text(encoding="utf-8").strip()) for note in notes), home]))


def _notes(workspace: Path, snapshot_hash: str, site: str, product: str) -> tuple[Path, Path]:
    models = workspace / "models"
    return models / f"{snapshot_hash}.{site}.{product}.txt", models / f"{snapshot_hash}.txt"


def keep_image(workspace: Path, example: Example) -> Example:
    """The example with its image copied into the workspace: an agent's image buffer forgets, a snapshot must not."""
    kept = workspace / "images" / (example.sha256 + example.path.suffix.lower())
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(example.path, kept)
    return replace(example, path=kept)
