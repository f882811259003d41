"""What a site with few labels gets from its sister: every way's int8 bundle on the site's test, and what the advisor,
who has not seen it, would choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.accuracy.play import ask
from trainer.attempt import good_labels
from trainer.bases.backbone import BaseModel
from trainer.clock import of_the_processor
from trainer.dataset import Dataset
from trainer.licence import found
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.sites.transfer import advise, folder_of
from trainer.snapshot import Snapshot, take_snapshot
from trainer.trained import load_run


def play_ways(
    dataset: Dataset, base: BaseModel, settings: TrainingSettings, source: str, target: str, labels: int, work: Path
) -> dict[str, Any]:
    """Train the source's model on its own images alone, then every way for the target with that many labels."""
    snapshot = take_snapshot(dataset, licence=found(Path(dataset.source)), seed=settings.seed)
    chosen = settings.model_copy(update={"good": good_labels(snapshot.labels)})
    own = Snapshot(tuple(e for e in snapshot.examples if e.site == source), snapshot.licence)
    with of_the_processor(settings.threads):
        model = train(own, base, settings=chosen, out=work / "source", site=source)
        advice = advise(snapshot, target, base, {source: model}, labels=labels, settings=chosen, out=work / "ways")
    ways = {
        way.name: {
            **ask(load_run(work / "ways" / folder_of(way.name)), work / "bundles" / folder_of(way.name),
                  threads=settings.threads),
            "held_out_loss": way.held_out_loss,
        }
        for way in advice.ways
    }  # fmt: skip
    return {"labels_used": advice.labels, "chosen": advice.chosen, "why": advice.why, "ways": ways}
