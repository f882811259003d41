"""Prints report files as tables, figures that do not hold first; the exit status is 1 when one with a goal does not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from benchmarks.table import markdown_table, report_table
from contracts.report import Report


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every report named on the command line; 2 for a file that is not a report."""
    parser = argparse.ArgumentParser(prog="scripts/figures", description=__doc__)
    parser.add_argument("reports", nargs="*", type=Path, metavar="REPORT.json", help="default: benchmarks/reports")
    parser.add_argument("--markdown", action="store_true", help="as Markdown tables")
    options = parser.parse_args(arguments)
    holds = True
    for path in options.reports or sorted((Path(__file__).parent / "reports").glob("*.json")):
        try:
            report = Report.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            print(f"{path} is not a report: {error}", file=sys.stderr)
            return 2
        print(markdown_table(report) if options.markdown else f"{path}\n{report_table(report)}", end="\n\n")
        holds &= all(figure.holds is not False for figure in report.figures)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
