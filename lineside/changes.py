"""`lineside changes`: the change records of a site, checked and printed."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.errors import LinesideError
from lineside.monitor_door import MonitorDoor


def run_changes(monitor: str, *, site: str, number: int | None, as_json: bool, token: str | None) -> None:
    """Prints all records of a site, or one. Raises LinkError when the monitor is away, LinesideError where there is no
    such record, or where one is not as it was written."""
    from monitor.changes import altered

    rows = MonitorDoor(monitor, token).get(f"/v1/changes/{site}").json()["changes"]
    broken = altered(rows)
    shown = rows if number is None else [row for row in rows if row["number"] == number]
    if not shown:
        known = f"it has 1 to {len(rows)}" if rows else "it has none: nothing has come into service there"
        raise LinesideError(f"site {site} has no change record {number or ''}; {known}".replace(" ;", ";"))
    if as_json:
        print(json.dumps(shown if number is None else shown[0], indent=1))
    elif number is None:
        _list(rows)
    else:
        _show(shown[0], rows[number:])
    if broken is not None:
        raise LinesideError(f"record {broken} of site {site}, or one before it, is not as it was written")


def _list(rows: list[dict[str, Any]]) -> None:
    table = Table("record", "when", "release", "kind", "why", box=None, pad_edge=False)
    for row in rows:
        body = row["body"]
        table.add_row(str(row["number"]), row["at"][:16], str(row["release"]), body["kind"], body["reason"])
    Console(highlight=False, soft_wrap=True).print(table)


def _show(row: dict[str, Any], later: list[dict[str, Any]]) -> None:
    body = row["body"]
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for name, value in _lines(body, later):
        console.print(f"{name + ':':<12} {value}")
    console.print(f"{'sha256:':<12} {row['sha256']}")


def _lines(body: dict[str, Any], later: list[dict[str, Any]]) -> list[tuple[str, str]]:
    replaces = body["replaces"]
    lines = [
        ("record", f"{body['number']} of site {body['site']}: {body['kind']}"),
        ("when", f"{body['at']}, recorded {body['recorded_at']}, channel {body['channel_sequence']}"),
        ("what", f"release {body['release']} ({body['product']}), bundle {body['bundle_hash']}"),
        ("instead of", f"release {replaces['number']}, bundle {replaces['bundle_hash']}" if replaces else "nothing"),
        ("why", body["reason"]),
    ]
    if body["by"]:
        lines.append(("ordered by", body["by"]))
    if (incident := body["incident"]) is not None:
        lines.append(("incident", f"{incident['incident_id']}, {incident['diagnosis']}: {incident['title']}"))
    if (retrain := body["retrain"]) is not None:
        lines.append(("retrain", f"{retrain['order_id']}, {retrain['labels']} labels"))
    for stage in ("gate", "shadow"):
        lines += [(stage, reason["plain"]) for reason in (body[stage] or {}).get("reasons", [])]
    lines += [("approval", word) for word in _approval(body["approval"] or {})]
    for item in body["bundle"]["certificates"]:
        passed = "passed" if item["passed"] else f"not passed: {'; '.join(item['reasons'])}"
        agreement = f"{item['argmax_agreement']:.2%} equal answers on {item['images']} images"
        lines.append(("certificate", f"{item['variant']}: {passed}, {agreement}"))
    lineage = body["bundle"]["lineage"]
    lines.append(("made from", f"snapshot {lineage['snapshot_hash']}, {lineage['base_model']}"))
    lines += retold(lineage)
    after = later[0]["body"] if later else None
    ended = f"{after['kind']} {after['at']}: {after['reason']}" if after else "it serves"
    return [*lines, ("afterwards", ended)]


def retold(lineage: dict[str, Any]) -> list[tuple[str, str]]:
    """What the retrain was told otherwise than the first training, if it was.

    >>> retold({"changed": {"replay": 12, "strategy": "full"}}), retold({})
    ([('retold', 'replay = 12, strategy = "full"')], [])
    """
    said = ", ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(lineage.get("changed", {}).items()))
    return [("retold", said)] if said else []


def _approval(approval: dict[str, Any]) -> list[str]:
    rule = approval.get("rule")
    words = [
        f"{word['by']} {'approved' if word['approved'] else 'rejected'} at {word['at']}"
        + (f": {word['reason']}" if word["reason"] else "")
        for word in approval.get("words", [])
    ]
    return [*([rule["plain"]] if rule else []), *words]
