"""A report as a table, figures that do not hold first: plain text for the terminal, Markdown for README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.report import Figure, Report

_HEADS = ("holds", "figure", "value", "95 % interval", "goal", "note")
_ORDER = {False: 0, True: 1, None: 2}
_MARKS = {False: "NO", True: "yes", None: ""}


def in_order(figures: Iterable[Figure]) -> list[Figure]:
    """Those that do not hold, then those that do, then those without a goal; otherwise as reported."""
    return sorted(figures, key=lambda figure: _ORDER[figure.holds])


def number(value: float | None) -> str:
    """Four significant digits, whole numbers as they are, `not measured` for none.

    >>> number(0.123456), number(20.0), number(None), number(1234567.0)
    ('0.1235', '20', 'not measured', '1234567')
    """
    if value is None:
        return "not measured"
    return f"{value:.0f}" if value == round(value) or abs(value) >= 10_000 else f"{value:.4g}"


def quantity(value: float | None, unit: str) -> str:
    """With its unit; many bytes as megabytes.

    >>> quantity(0.25, "s"), quantity(1500.0, "B"), quantity(230968542.0, "B"), quantity(None, "B")
    ('0.25 s', '1500 B', '231 MB', 'not measured B')
    """
    if unit == "B" and value is not None and abs(value) >= 1e6:
        return f"{value / 1e6:.4g} MB"
    return f"{number(value)} {unit}".rstrip()


def rows(figures: Iterable[Figure]) -> list[tuple[str, ...]]:
    """One row of cells for each figure, in the order of `_HEADS`."""
    return [
        (
            _MARKS[figure.holds],
            figure.name,
            quantity(figure.value, figure.unit),
            f"{number(figure.interval[0])} .. {number(figure.interval[1])}" if figure.interval else "",
            _goal(figure),
            figure.note,
        )
        for figure in in_order(figures)
    ]


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{figure.goal.comparison} {quantity(figure.goal.limit, 'B' if figure.unit == 'B' else '')}"


def report_table(report: Report) -> str:
    """Plain text: command, machine, then the figures in columns."""
    cells = [_HEADS, *rows(report.figures)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([*_heading(report), *lines])


def markdown_table(report: Report, names: Sequence[str] = ()) -> str:
    """Markdown with the command and the machine under it; only `names`, in that order, where any are given.

    Raises KeyError for a name that the report lacks.
    """
    by_name = {figure.name: figure for figure in report.figures}
    figures = [by_name[name] for name in names] if names else in_order(report.figures)
    cells = [[text.replace("|", "\\|") for text in row] for figure in figures for row in rows([figure])]
    lines = ["| " + " | ".join(row) + " |" for row in [list(_HEADS), ["---"] * len(_HEADS), *cells]]
    return "\n".join([*lines, "", *_heading(report)])


def headline_table(chosen: Iterable[tuple[str, Figure]]) -> str:
    """Markdown for a reader who wants the outcome; each row is what a figure is in words, and the figure."""
    heads = ("what", "measured", "goal", "holds")
    cells = [(words, *_outcome(figure)) for words, figure in chosen]
    lines = ([text.replace("|", "\\|") for text in row] for row in [heads, ("---",) * len(heads), *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def _outcome(figure: Figure) -> tuple[str, str, str]:
    holds, _, value, interval, goal, _ = rows([figure])[0]
    return (f"{value} ({interval})" if interval else value), goal, holds


def _heading(report: Report) -> list[str]:
    machine = report.machine
    gib = (machine.get("memory_bytes") or 0) / 1024**3
    flags = ", ".join(machine.get("flags", []))
    quick = " A quick run satisfies no goal." if report.quick else ""
    others = sorted(
        f"{name} at {about['commit'][:12]}"
        for name, about in report.details.get("parts", {}).items()
        if about["commit"] != report.commit
    )
    kept = f" Measured before and kept: {', '.join(others)}." if others else ""
    return [
        f"`{report.command}` took {number(report.seconds)} s at {report.commit[:12]}.{kept}{quick}",
        f"Machine: {machine.get('cores')} cores {machine.get('processor')} ({flags}), {gib:.0f} GiB, "
        f"onnxruntime {machine.get('onnxruntime')}, torch {machine.get('torch', 'absent')}.",
    ]
