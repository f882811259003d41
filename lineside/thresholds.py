"""`lineside agent thresholds preview`: what other thresholds would have said on a station's own record."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contracts.errors import ConfigurationError
from contracts.settings import read_settings
from contracts.thresholds import Thresholds
from edge_agent.beside import Counted, counted
from edge_agent.settings import AgentSettings
from runtime.band import Prices
from runtime.preview import Change, Preview, chosen_by_cost, preview, snapped


def run_preview(
    config: Path,
    *,
    product: str | None,
    days: int,
    ng: float | None,
    review_from: float | None,
    prices: Prices | None,
    as_json: bool,
) -> None:
    """Counts, previews, prints; changes nothing. Raises ConfigurationError and BundleError."""
    found = counted(read_settings(config, AgentSettings), product=product, days=days)
    if not found.scores.images:
        raise ConfigurationError(f"nothing of product {found.scores.product} was decided in the last {days} days")
    then = _wished(found, ng, review_from, prices)
    seen = preview(found.scores, found.now, then, own=found.manifest.thresholds, prices=prices)
    if as_json:
        print(json.dumps(_plain(seen), indent=1))
    else:
        _show(found, seen)


def _wished(found: Counted, ng: float | None, review_from: float | None, prices: Prices | None) -> Thresholds:
    if prices is not None:
        if ng is not None or review_from is not None:
            raise ConfigurationError("name --ng and --review-from, or costs, not both")
        return chosen_by_cost(found.scores, found.manifest.thresholds, prices)
    high = found.now.ng if ng is None else ng
    low = min(found.now.review_from, high) if review_from is None else review_from
    if low > high:
        raise ConfigurationError(f"--review-from {low:g} exceeds --ng {high:g}; OK lies below both, NG above both")
    return snapped(found.now.model_copy(update={"ng": high, "review_from": low}), found.scores.edges)


def _show(found: Counted, seen: Preview) -> None:
    console = Console(highlight=False, soft_wrap=True)
    number = found.deciding.number
    whose = "the bundle's own" if number is None else f"signed, number {number}"
    console.print(
        f"product {found.scores.product}, bundle {found.scores.bundle_hash[:12]}, {found.scores.images} parts"
    )
    console.print(f"now:  NG from {seen.now.ng:g}, review from {seen.now.review_from:g} ({whose})")
    console.print(f"then: NG from {seen.then.ng:g}, review from {seen.then.review_from:g}")
    if seen.cost_now is not None and seen.cost_then is not None:
        console.print(f"expected cost of a thousand parts: {seen.cost_now:.1f} now, {seen.cost_then:.1f} then")
    table = Table("", "parts", "OK", "REVIEW", "NG", box=None, pad_edge=False)
    for name, change in _lines(seen):
        table.add_row(name, str(change.now.parts), *(_step(change, what) for what in ("ok", "review", "ng")))
    console.print(table)
    known = seen.known["line"]
    console.print(
        f"of {known.now.defects} defects and {known.now.good} good parts that were found out about: missed "
        f"{known.now.misses} → {known.then.misses}, false alarms {known.now.false_alarms} → {known.then.false_alarms}, "
        f"to review {known.now.reviewed} → {known.then.reviewed}"
    )
    console.print(
        "nothing has changed; the monitor signs thresholds, and a stick brings them where there is no network"
    )


def _lines(seen: Preview) -> list[tuple[str, Change]]:
    days = [(day.isoformat(), change) for day, change in seen.days.items()]
    return [("all", seen.all), *((f"class {name}", change) for name, change in seen.labels.items()), *days]


def _step(change: Change, what: str) -> str:
    now, then = getattr(change.now, what), getattr(change.then, what)
    return str(now) if now == then else f"{now} → {then}"


def _plain(seen: Preview) -> dict[str, object]:
    plain = {name: value for name, value in asdict(seen).items() if name not in ("now", "then", "days")}
    days = {day.isoformat(): asdict(change) for day, change in seen.days.items()}
    return {
        "now": seen.now.model_dump(mode="json"), "then": seen.then.model_dump(mode="json"), **plain, "days": days
    }  # fmt: skip
