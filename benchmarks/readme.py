"""Tables in a Markdown file that are made from checked-in reports, between two comment lines:

    <!-- table: benchmarks/reports/demo.json drift_delay_windows labels_used -->
    ...
    <!-- end of table -->

The names pick and order the figures; without any, all are shown. Single figures of several reports, in words:

    <!-- headlines:
    benchmarks/reports/demo.json drift_delay_windows: windows from a change to the drift that it raises
    -->
    ...
    <!-- end of headlines -->

`python -m benchmarks.readme FILE...` checks that the tables are current, with `--write` it makes them so.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.table import headline_table, markdown_table
from contracts.errors import ConfigurationError
from contracts.report import Figure, Report

_TABLE = re.compile(r"(<!-- table: (?P<report>\S+)(?P<names>[^\n]*?) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)
_HEADLINES = re.compile(r"(<!-- headlines:\n(?P<chosen>.*?)-->\n)(.*?)(<!-- end of headlines -->)", re.DOTALL)
_CHOSEN = re.compile(r"(?P<report>\S+) (?P<name>[^\s:]+): (?P<words>.+)")


def fill(text: str, root: Path) -> str:
    """The text with every marked table made anew from its report under `root`.

    Raises ConfigurationError for a report that is missing or lacks a figure, a line that names none, and a marker
    without an end.
    """
    for kind, pattern in (("table", _TABLE), ("headlines", _HEADLINES)):
        if text.count(f"<!-- {kind}:") != len(pattern.findall(text)):
            raise ConfigurationError(f"a `<!-- {kind}: ... -->` has no `<!-- end of {kind} -->` after it")
    text = _TABLE.sub(lambda match: match[1] + _table(root / match["report"], match["names"].split()) + match[5], text)
    return _HEADLINES.sub(lambda match: match[1] + _headlines(match["chosen"].splitlines(), root) + match[4], text)


def _table(path: Path, names: Sequence[str]) -> str:
    report = _report(path)
    try:
        return "\n" + markdown_table(report, names) + "\n\n"
    except KeyError as error:
        raise ConfigurationError(f"{path} has no figure {error}") from error


def _headlines(lines: Sequence[str], root: Path) -> str:
    return "\n" + headline_table([_headline(line, root) for line in lines]) + "\n\n"


def _headline(line: str, root: Path) -> tuple[str, Figure]:
    chosen = _CHOSEN.fullmatch(line)
    if chosen is None:
        raise ConfigurationError(f"{line!r} is not `REPORT FIGURE: words`")
    for figure in _report(root / chosen["report"]).figures:
        if figure.name == chosen["name"]:
            return chosen["words"], figure
    raise ConfigurationError(f"{root / chosen['report']} has no figure {chosen['name']!r}")


def _report(path: Path) -> Report:
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the report {path}: {error.strerror}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write; returns 1 when a checked file is not current."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description="Tables made from reports.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    stale = []
    for file in options.files:
        text = file.read_text(encoding="utf-8")
        current = fill(text, Path.cwd())
        if options.write:
            file.write_text(current, encoding="utf-8")
        elif text != current:
            stale.append(str(file))
    if stale:
        print(f"tables are out of date in {', '.join(stale)}; run scripts/readme-tables --write", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
