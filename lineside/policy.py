"""`lineside policy replay`: what a changed policy would have done over a monitor's stored history."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.errors import ConfigurationError
from contracts.settings import Settings, parse_settings, read_settings
from monitor.history import first_state, happenings
from monitor.rules.replaying import Decision, Difference, decisions, differences
from monitor.rules.settings import RuleSettings
from monitor.settings import MonitorSettings
from monitor.store.looking import look_into


class PolicyFile(Settings):
    """A changed policy: the keys of `[rules]` that are other than in the monitor's own file."""

    rules: RuleSettings


@dataclass(frozen=True)
class Replayed:
    """One site under both policies."""

    site: str
    now: list[Decision]
    then: list[Decision]

    @property
    def differences(self) -> list[Difference]:
        """Where they part."""
        return differences(self.now, self.then)


def run_replay(config: Path, policy: Path, *, site: str | None, days: float, as_json: bool) -> None:
    """Replays, prints; changes nothing. Raises ConfigurationError for a file or key that is wrong, and where there is
    no history to replay."""
    settings = read_settings(config, MonitorSettings)
    sites = [site] if site is not None else list(settings.sites)
    if unknown := set(sites) - set(settings.sites):
        raise ConfigurationError(f"{config} has no site {unknown.pop()!r}; it has {', '.join(settings.sites)}")
    rules = {name: settings.rules_of(name) for name in sites}
    changed = {name: changed_rules(policy, rules[name]) for name in sites}
    since = datetime.now(UTC) - timedelta(days=days)
    found = []
    for name in sites:
        now = _decided(settings, name, since, rules[name])
        found.append(Replayed(name, now, _decided(settings, name, since, changed[name])))
    if as_json:
        print(json.dumps([_plain(one) for one in found], indent=1))
        return
    for one in found:
        _show(one, _changes(rules[one.site], changed[one.site]), days)


def changed_rules(policy: Path, now: RuleSettings) -> RuleSettings:
    """The rules with what a policy file changes. Raises ConfigurationError that names file, key and remedy."""
    try:
        with policy.open("rb") as file:
            wanted = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"cannot read {policy}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{policy} is not valid TOML: {error}") from error
    changes = wanted.get("rules", {})
    if not isinstance(changes, dict) or not changes:
        raise ConfigurationError(f"{policy} changes nothing: put the keys to change under [rules]")
    return parse_settings({**wanted, "rules": {**now.model_dump(), **changes}}, PolicyFile, source=str(policy)).rules


def _decided(settings: MonitorSettings, site: str, since: datetime, rules: RuleSettings) -> list[Decision]:
    with look_into(settings.state_folder / "monitor.db") as session:
        state = first_state(session, site, since=since)
        return list(decisions(happenings(session, site, since=since, settings=rules), rules, state=state))


def _changes(now: RuleSettings, then: RuleSettings) -> str:
    names = [name for name in RuleSettings.model_fields if getattr(now, name) != getattr(then, name)]
    return ", ".join(f"{name} {getattr(now, name)} → {getattr(then, name)}" for name in names) or "nothing"


def _show(found: Replayed, changes: str, days: float) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"site [bold]{escape(found.site)}[/], the last {days:g} days, changed: {escape(changes)}")
    if not found.now and not found.then:
        console.print("neither policy decides anything: is there telemetry of this time? (it is kept for 90 days)")
        return
    _show_counts(console, found.now, found.then)
    parted = found.differences
    if not parted:
        console.print("no decision would have been another one")
        return
    table = Table("what", "about", "now", "then", "why", box=None, pad_edge=False)
    for pair in parted:
        table.add_row(
            pair.either.what, escape(pair.either.about), _when(pair.now), _when(pair.then), escape(_why(pair))
        )
    console.print(table)
    console.print(
        "both are replayed from no memory over the same recorded history; after the first difference in what is asked "
        "for or retrained, what follows is an estimate. Nothing has changed."
    )


def _show_counts(console: Console, now: Sequence[Decision], then: Sequence[Decision]) -> None:
    before, after = (Counter(decision.what for decision in found) for found in (now, then))
    counts = [
        f"{what} {before[what]} → {after[what]}" for what in sorted(before | after) if before[what] != after[what]
    ]
    same = [f"{what} {before[what]}" for what in sorted(before & after) if before[what] == after[what]]
    console.print("decisions: " + (", ".join(counts) or "as many of each kind as now"))
    if same:
        console.print("as before: " + ", ".join(same))


def _when(decision: Decision | None) -> str:
    return "–" if decision is None else decision.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _why(pair: Difference) -> str:
    reasons = [decision.reason.plain for decision in (pair.now, pair.then) if decision is not None]
    return " → ".join(dict.fromkeys(reasons))


def _plain(found: Replayed) -> dict[str, Any]:
    return {
        "site": found.site,
        "now": [_told(decision) for decision in found.now],
        "then": [_told(decision) for decision in found.then],
        "differences": [
            {"now": pair.now and _told(pair.now), "then": pair.then and _told(pair.then)} for pair in found.differences
        ],
    }


def _told(decision: Decision) -> dict[str, Any]:
    return {**decision.model_dump(mode="json"), "plain": decision.reason.plain}
