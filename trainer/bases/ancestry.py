"""What a base model was made from, and what that was made from: as its entry carries it and the catalogue has it."""

from __future__ import annotations

from trainer.bases.backbone import Described
from trainer.bases.catalogue import Catalogue, Entry, Listed


def ancestry(catalogue: Catalogue, entry: Entry) -> tuple[Described, ...]:
    """Every model above `entry`, nearest first. The catalogue's description goes before the one that was carried along;
    the acceptance of a risk that was carried stays. Of a name that nobody describes, only the name."""
    carried = {each.id: each for each in entry.ancestors}
    waiting = [*entry.parents, *carried]
    found: dict[str, Described] = {}
    while waiting:
        name = waiting.pop(0)
        if name in found or name == entry.id:
            continue
        described = carried.get(name, Described(id=name))
        if listed := known(catalogue, described):
            marks = described.model_dump(include={"accepted_risk", "accepted_until"})
            described = listed.entry.described().model_copy(update=marks)
            carried = {**{each.id: each for each in listed.entry.ancestors}, **carried}
            waiting += [*listed.entry.parents, *(each.id for each in listed.entry.ancestors)]
        found[name] = described
    return tuple(found.values())


def known(catalogue: Catalogue, described: Described) -> Listed | None:
    """The model of that name in the catalogue; None where there is none, or where it has other weights."""
    listed = catalogue.models.get(described.id)
    return listed if listed and described.sha256 in (None, listed.entry.sha256) else None
