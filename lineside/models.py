"""`lineside models`: which base models there are, where they come from, and what the policy says about them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.errors import ConfigurationError, DatasetError
from lineside.describing import described, run_of, said_of_a_run, with_more
from lineside.progress import shown_progress
from lineside.toml import toml_text
from trainer.bases.backbone import BaseModel, sha256_of
from trainer.bases.catalogue import Catalogue, Entry, Listed, Override, at_hand, fetched, read_catalogue
from trainer.bases.policy import Judgement, choose, judge_line
from trainer.bases.ranking import rank
from trainer.bases.verify import from_run, verify
from trainer.dataset import gather
from trainer.device import device_for
from trainer.parting import Parting
from trainer.settings import DeviceName


def run_list(own: Path, *, as_json: bool) -> None:
    """`lineside models list`."""
    catalogue = read_catalogue(own)
    judged = [(listed, _judged(catalogue, listed)) for listed in catalogue.models.values()]
    if as_json:
        print(json.dumps([_as_json(listed, judgement) for listed, judgement in judged], indent=1))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "architecture", "input", "licence", "policy"):
        table.add_column(column, overflow="fold")
    for listed, judgement in judged:
        entry = listed.entry
        size = f"{entry.width}x{entry.height}"
        table.add_row(entry.id, entry.architecture, size, entry.licence or "-", _verdict(judgement))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"\nyour own: {own if own.exists() else f'{own} (not there yet; `lineside models add` makes it)'}")


def run_show(own: Path, name: str, *, as_json: bool) -> None:
    """`lineside models show`."""
    catalogue = read_catalogue(own)
    listed = catalogue.named(name)
    judgement = _judged(catalogue, listed)
    if as_json:
        print(json.dumps(_as_json(listed, judgement), indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    for key, value in listed.entry.model_dump(mode="json").items():
        if value not in (None, "", [], {}) and key != "ancestors":
            shown = "; ".join(map(str, value)) if key in ("limits", "biases", "parents") else str(value)
            console.print(f"[bold]{key:14}[/] {escape(shown)}")
    console.print(f"[bold]{'policy':14}[/] {_verdict(judgement)}")
    _print_judgement(console, judgement, " " * 15)
    for each in judgement.ancestors:
        learned = each.training_data or "nobody knows what"
        console.print(f"[bold]{'made from':14}[/] {escape(each.id)}, {escape(each.licence.licence)}: {escape(learned)}")
        for what, sentences in (("limit", each.limits), ("bias", each.biases)):
            for sentence in sentences:
                console.print(f"{'':15}- {what}: {escape(sentence)}")


def run_verify(own: Path, names: list[str], weights: Path | None) -> bool:
    """`lineside models verify`: the file, its hash, that timm loads it and that it answers; True when all are right.
    Without names, a model whose weights are not on this machine is not wrong: it is told how they come here."""
    catalogue = read_catalogue(own)
    chosen = [catalogue.named(name) for name in names] or list(catalogue.models.values())
    if weights is not None and len(chosen) != 1:
        raise ConfigurationError("--weights is one model's file: name that model")
    console, right = Console(highlight=False, soft_wrap=True), True
    for listed in chosen:
        judgement = _judged(catalogue, listed)
        if not names and weights is None and not at_hand(listed):
            right = right and judgement.allowed
            mark = "[dim]-[/]" if judgement.allowed else "[red]✗[/]"
            console.print(f"{mark} {listed.entry.id}: not here; {_way_here(listed)}; policy: {_verdict(judgement)}")
            continue
        try:
            facts = verify(listed, fetched(listed, weights=weights))
        except ConfigurationError as error:
            console.print(f"[red]✗[/] {listed.entry.id}: {escape(str(error))}")
            right = False
            continue
        right = right and judgement.allowed
        console.print(
            f"{'[green]✓[/]' if judgement.allowed else '[red]✗[/]'} {listed.entry.id}: hash as described, "
            f"{facts.parameters:,} parameters, {facts.multiplications:,} multiplications an image; "
            f"policy: {_verdict(judgement)}"
        )
    return right


def _way_here(listed: Listed) -> str:
    entry = listed.entry
    if entry.hub is not None:
        return f"`lineside models verify {entry.id}` fetches it from {escape(entry.hub.repository)}"
    place = f" (where it comes from: {escape(entry.documentation)})" if entry.documentation else ""
    return f"with its file{place}: `lineside models verify {entry.id} --weights FILE`"


def run_rank(own: Path, data: Path, *, weights: Path | None, parting: Parting, device: DeviceName = "cpu") -> None:
    """`lineside models rank`: every model that the policy allows and whose weights are here, on the images that a
    training would learn or choose by; those of the test choose nothing, a base model neither."""
    place = device_for(device)
    gathered = gather(data)
    parted = parting.parted(gathered.examples, gathered.source, parting.pins())
    examples = [example for example in parted if example.split in ("train", "validation")]
    if len({example.label for example in examples}) < 2:
        raise DatasetError(f"{data} has fewer than two classes beside its test: there is nothing to tell apart")
    with shown_progress() as progress:
        ranked = rank(
            _usable(read_catalogue(own), weights), examples, seed=parting.seed, device=place,
            tick=lambda done, name: progress("looking through", done, name),
        )  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "evidence (LogME)", "with random weights", "distance", ""):
        table.add_column(column, overflow="fold")
    for item in ranked:
        distance = "-" if item.distance is None else f"{item.distance:.2f}"
        warning = "" if item.helps else "[red]no better than random weights: it may do harm[/]"
        table.add_row(item.base.id, f"{item.evidence:.4f}", f"{item.evidence_random:.4f}", distance, warning)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "\nhigher evidence is better, on these images only, none of the test; distance: how far they lie from what\n"
        "the weights were made for, in standard deviations (0.4 is usual for photographs under ImageNet weights)"
    )


def _usable(catalogue: Catalogue, weights: Path | None) -> list[BaseModel]:
    """Those that can be trained with here; `weights` is the file of one that comes without."""
    own = catalogue.of_file(weights).entry.id if weights else None
    bases = []
    for name, listed in catalogue.models.items():
        if _judged(catalogue, listed).allowed and (listed.weights or name == own):
            bases.append(choose(catalogue, name=name, weights=weights if name == own else None, today=_today()))
    return bases


def run_add(own: Path, source: Path | None, said: Mapping[str, Any]) -> None:
    """`lineside models add`: weights that timm can load, from a file or a hub, or a run of this site's own, by its
    folder or by a bundle made from it. `said` is what a person says (see `describing`); the rest is measured."""
    catalogue = read_catalogue(own)
    if said["id"] in catalogue.models:
        raise ConfigurationError(f"the catalogue has a model {said['id']!r} already; choose another --id")
    entry = described({"id": said["id"]}, today=_today())
    place = own.parent / "models" / f"{entry.id}.safetensors"
    run = run_of(source, own.parent) if source is not None else None
    if run is not None:
        more = said_of_a_run(said, today=_today())
        entry = with_more(from_run(run, entry.id, place, reviewer="", today=_today()), more)
        facts = verify(Listed(entry, own.parent), place)
    else:
        entry, file = _from_elsewhere(catalogue, source, said)
        facts = verify(Listed(entry, own.parent), file)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    counted = {"parameters": facts.parameters, "multiplications": facts.multiplications}
    entry = entry.model_copy(update={"weights": f"models/{place.name}", **counted})
    _append(own, "model", entry.model_dump(mode="json", exclude_defaults=True))
    catalogue = read_catalogue(own)
    judgement = _judged(catalogue, catalogue.named(entry.id))
    console = Console(highlight=False, soft_wrap=True)
    if run is not None and run != source:
        console.print(f"the run behind {escape(str(source))} is {escape(str(run))}")
    console.print(f"{entry.id} is in {own} ({facts.parameters:,} parameters); policy: {_verdict(judgement)}")
    _print_judgement(console, judgement, "  ")


def _from_elsewhere(catalogue: Catalogue, source: Path | None, said: Mapping[str, Any]) -> tuple[Entry, Path]:
    """The entry, with its file's hash where nobody said one, and the file."""
    entry = described(said, today=_today())
    if source is None and entry.hub is None:
        raise ConfigurationError("which weights? Give a .safetensors file, a run's folder or a bundle, or --hub")
    file = source or fetched(Listed(entry, Path()))
    found = sha256_of(file)
    for known in catalogue.models.values():
        if known.entry.sha256 == found:
            raise ConfigurationError(
                f"{file} is {known.entry.id}, which the catalogue has already, with its terms; train with "
                f"--base {known.entry.id}"
            )
    return (entry if entry.sha256 else entry.model_copy(update={"sha256": found})), file


def run_accept(own: Path, name: str, *, by: str, risk: str, until: datetime | None) -> None:
    """`lineside models accept`: a person's name under a risk."""
    catalogue = read_catalogue(own)
    judgement = _judged(catalogue, catalogue.named(name))
    if not judgement.reasons:
        raise ConfigurationError(f"the policy allows {name}: there is nothing to accept")
    override = Override(model=name, by=by, date=_today(), risk=risk, expires=until.date() if until else None)
    _append(own, "override", override.model_dump(mode="json", exclude_none=True))
    Console(highlight=False, soft_wrap=True).print(
        f"{escape(by)} accepts for {name}: {escape('; '.join(judgement.reasons))}. "
        f"It stands in {own} and on every card."
    )


def _append(own: Path, table: str, values: dict[str, Any]) -> None:
    """One more `[[table]]` at the end of the user's file, which keeps the user's own comments."""
    own.parent.mkdir(parents=True, exist_ok=True)
    text = (
        own.read_text(encoding="utf-8")
        if own.exists()
        else "# Base models of this workspace. See lineside models --help\n"
    )
    own.write_text(f"{text.rstrip()}\n{toml_text({table: [values]})}", encoding="utf-8")


def _judged(catalogue: Catalogue, listed: Listed) -> Judgement:
    return judge_line(catalogue, listed, today=_today())


def _verdict(judgement: Judgement) -> str:
    if judgement.accepted:
        return f"[yellow]risk accepted by {escape(judgement.accepted.by)}[/]"
    if judgement.reasons:
        return "[red]refused[/]"
    if judgement.inherited:
        names = ", ".join(escape(each.id) for each in judgement.inherited)
        return f"[yellow]allowed with the accepted risk of {names}[/]"
    return "[green]allowed[/]"


def _print_judgement(console: Console, judgement: Judgement, indent: str) -> None:
    for reason in judgement.reasons:
        console.print(f"{indent}- {escape(reason)}")
    if accepted := judgement.accepted:
        console.print(f"{indent}accepted by {escape(accepted.by)} on {accepted.date}: {escape(accepted.risk)}")
    for each in judgement.inherited:
        console.print(f"{indent}- accepted risk of {escape(each.id)}: {escape(each.accepted_risk)}")


def _as_json(listed: Listed, judgement: Judgement) -> dict[str, Any]:
    return {
        **listed.entry.model_dump(mode="json"),
        "policy": {
            "allowed": judgement.allowed,
            "reasons": list(judgement.reasons),
            "accepted": judgement.accepted.model_dump(mode="json") if judgement.accepted else None,
            "inherited": [{"model": each.id, "risk": each.accepted_risk} for each in judgement.inherited],
        },
    }


def _today() -> date:
    return datetime.now(UTC).date()


def chosen_base(workspace: Path | None = None, *, name: str | None = None, weights: Path | None = None) -> BaseModel:
    """By its id in Lineside's catalogue or the workspace's `catalogue.toml`, by its file, or the small one that comes
    with Lineside; only what the policy allows or somebody has accepted by name."""
    catalogue = read_catalogue(workspace / "catalogue.toml" if workspace else None)
    return choose(catalogue, name=name, weights=weights, today=datetime.now(UTC).date())
