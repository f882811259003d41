"""Accuracy against latency as an SVG picture, drawn here: a station has no matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from contracts.benchmark import Benchmark, Row

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM, _LINE = 70, 30, 50, 60, 18
_COLOURS = ("#1f6fb2", "#c8553d", "#3f8f4f", "#8a5fb0", "#b08a1f", "#4f7f8f")


def plot(found: Benchmark) -> str:
    """One numbered point a row of one caller: right is slower, up is more right; the chosen one has a ring.

    Up is the balanced accuracy on labelled images where there were some, else the one of the certificates, else how
    near the answers to the golden samples are to the certified ones (1 minus the largest difference).
    """
    rows = [row for row in found.rows if row.callers == 1] or list(found.rows)
    name, right = _right(rows)
    height = _HEIGHT + _LINE * len(rows)
    across = _Scale([1000 * row.p50_seconds for row in rows], _LEFT, _WIDTH - _RIGHT, least=0.0)
    up = _Scale(right, _HEIGHT - _BOTTOM, _TOP, most=1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">',
        f"<title>{escape(f'bundle {found.bundle_hash[:12]}: accuracy against latency')}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(_LEFT, 24, f"bundle {found.bundle_hash[:12]}, {found.machine.get('processor', '')}", bold=True),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 22, "milliseconds of one answer (p50)", anchor="middle"),
        f'<text transform="translate(16 {(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(name)}</text>",
        *_axes(across, up),
    ]
    variants = list(dict.fromkeys(row.variant for row in rows))
    for number, (row, value) in enumerate(zip(rows, right, strict=True)):
        colour = _COLOURS[variants.index(row.variant) % len(_COLOURS)]
        x, y = across.at(1000 * row.p50_seconds), up.at(value)
        parts += _point(number + 1, x, y, colour, chosen=_chosen(found, row))
        parts += _legend(number, row, value, colour, chosen=_chosen(found, row))
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scale:
    """Values to pixels, with a margin and round steps."""

    def __init__(
        self,
        values: Sequence[float],
        start: float,
        end: float,
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        low, high = min(values) if least is None else least, max(values) if most is None else most
        margin = 0.15 * (high - low) or 0.05 * abs(high) or 1.0
        self._low = low - (margin if least is None else 0.0)
        self._high = high + (margin if most is None else 0.0)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        return self._start + (value - self._low) / (self._high - self._low) * (self._end - self._start)

    def steps(self) -> list[float]:
        rough = (self._high - self._low) / 5
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        first = math.ceil(self._low / step - 1e-9)
        return [step * number for number in range(first, math.floor(self._high / step + 1e-9) + 1)]


def _axes(across: _Scale, up: _Scale) -> list[str]:
    parts = []
    for value in across.steps():
        x = across.at(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#e4e4e4"/>')
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, f"{value:g}", anchor="middle"))
    for value in up.steps():
        y = up.at(value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:.4g}", anchor="end"))
    return parts


def _point(number: int, x: float, y: float, colour: str, *, chosen: bool) -> list[str]:
    ring = f'<circle class="chosen" cx="{x:.1f}" cy="{y:.1f}" r="11" fill="none" stroke="{colour}" stroke-width="2"/>'
    point = f'<circle class="row" cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
    return [point, *([ring] if chosen else []), _text(x, y + 24, str(number), anchor="middle")]


def _legend(number: int, row: Row, value: float, colour: str, *, chosen: bool) -> list[str]:
    y = _HEIGHT + _LINE * number
    threads = f"{row.threads} thread{'s' if row.threads > 1 else ''}"
    words = f"{number + 1}  {row.variant}, {threads}: {1000 * row.p50_seconds:.2f} ms, {value:.4f}"
    return [
        f'<rect x="{_LEFT}" y="{y - 9}" width="10" height="10" fill="{colour}"/>',
        _text(_LEFT + 18, y, words + (" (chosen)" if chosen else ""), bold=chosen),
    ]


def _text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def _right(rows: Sequence[Row]) -> tuple[str, list[float]]:
    """(what is known of all rows, its values)."""
    for name, values in (
        (
            "balanced accuracy, labelled images",
            [None if row.images is None else row.images.balanced_accuracy for row in rows],
        ),
        ("balanced accuracy, certificate", [row.certified_accuracy for row in rows]),
    ):
        known = [value for value in values if value is not None]
        if len(known) == len(rows):
            return name, known
    return "1 - largest difference, golden samples", [1.0 - row.golden.largest_difference for row in rows]


def _chosen(found: Benchmark, row: Row) -> bool:
    return (row.variant, row.threads, row.callers) == (found.chosen, found.chosen_threads, 1)
