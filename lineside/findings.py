"""Findings of a doctor, printed for people or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from contracts.finding import Finding, Level

_MARKS = {Level.OK: "[green]✓[/]", Level.WARNING: "[yellow]![/]", Level.FAULT: "[red]✗[/]"}


def show(findings: Iterable[Finding], *, as_json: bool) -> list[Finding]:
    """Print each when it is found (as JSON: all at the end), and return them."""
    if as_json:
        found = list(findings)
        print(json.dumps([asdict(finding) for finding in found], indent=1, ensure_ascii=False))
        return found
    console, found = Console(highlight=False, soft_wrap=True), []
    for finding in findings:
        _line(console, finding)
        found.append(finding)
    return found


def _line(console: Console, finding: Finding) -> None:
    console.print(f"{_MARKS[finding.level]} {escape(finding.name):<18} {escape(finding.text)}")
    if not finding.good and finding.remedy:
        purpose = f" (for {finding.needed_for})" if finding.needed_for else ""
        console.print(f"  {'':<18} {escape(finding.remedy)}{purpose}")
