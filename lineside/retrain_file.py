"""The file of a retrain: how its bundle is made, and what is trained otherwise than in the first training."""

from __future__ import annotations

from exporter.settings import ExportSettings
from trainer.settings import TrainingSettings


class RetrainFile(ExportSettings):
    """The keys of export.toml, and `[training]` as in train.toml."""

    training: TrainingSettings = TrainingSettings()
