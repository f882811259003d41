"""Templates and how numbers, moments and states are written in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from monitor.label_check import ODD_DAYS
from monitor.store.rule_tables import EventRow
from monitor.timeline import render, words
from monitor.web.texts import Texts, reason_templates

_TONES = {
    "good": "OK active ready passed promoted HARMLESS",
    "watch": "SUSPECT waiting approving queued HARSH",
    "alarm": "DRIFT DIAGNOSE SENSOR PRIOR PRODUCT LABELS fault withdrawn failed",
    "danger": "HARMFUL refused",
    "work": "LEARNING RETRAIN SHADOW submitted replaying shadowing shadow running",
    "quiet": "CLOSED superseded closed",
}
_TONE_OF = {state: tone for tone, states in _TONES.items() for state in states.split()}
_SPARK_HEIGHT = 24.0


def environment() -> Environment:
    """Templates with escaping on and unknown names as errors."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "percent": percent,
        "threshold": threshold,
        "moment": moment,
        "exactly": exactly,
        "tone": tone,
        "short": lambda text: (text or "")[:12],
        "spark": spark,
        "event_text": event_text,
        "odd_day": odd_day,
        "reason": reason,
        "group_words": group_words,
        "check_class": check_class,
    }
    return made


def rendered(templates: Environment, name: str, texts: Texts, **values: Any) -> str:
    """One page in the language of `texts`."""
    return templates.get_template(name).render(t=texts, **values)


@pass_context
def number(context: Context, value: float | int | None, digits: int = 0) -> str:
    """A number as the page's language writes it; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:,.{digits}f}"
    if _language(context) == "de":
        return text.translate(str.maketrans(",.", ".,"))
    return text


@pass_context
def threshold(context: Context, value: float) -> str:
    """A score or threshold with the digits that it has, four at most."""
    return number(context, value, len(f"{value:.4f}".rstrip("0").partition(".")[2]))


@pass_context
def percent(context: Context, value: float | None, digits: int = 0) -> str:
    """A share 0..1 as per cent."""
    return "–" if value is None else number(context, 100.0 * value, digits) + "\u202f%"


def moment(value: datetime | None) -> Markup:
    """A point in time; the page's script writes it in the reader's zone and way."""
    if value is None:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(
        value.astimezone(UTC).isoformat(timespec="seconds"), value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    )


def exactly(value: datetime | str) -> str:
    """A point in time in full, the same for every reader: for what is printed and kept.

    >>> exactly("2026-03-02T06:00:00+01:00")
    '2026-03-02 05:00:00 UTC'
    """
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def tone(state: str | None) -> str:
    """The colour family of a state.

    >>> tone("HARMFUL"), tone("something new")
    ('danger', 'quiet')
    """
    return _TONE_OF.get(state or "", "quiet")


def spark(ratios: Sequence[float | None]) -> str:
    """T2 over its limit as the path of a small chart, 2 units a window: the limit at half height, 4 times it on top.

    >>> spark([1.0, None, 4.0])
    'M0.0 12.0 M4.0 1.0'
    """
    parts, pen_down = [], False
    for index, ratio in enumerate(ratios):
        if ratio is None:
            pen_down = False
            continue
        height = _SPARK_HEIGHT / 2 * min(max(ratio, 0.0), 4.0) if ratio <= 1 else 12.0 + 11.0 * min(ratio - 1, 3.0) / 3
        parts.append(f"{'L' if pen_down else 'M'}{2.0 * index:.1f} {_SPARK_HEIGHT - height:.1f}")
        pen_down = True
    return " ".join(parts)


@pass_context
def event_text(context: Context, event: EventRow) -> str:
    """A line of the timeline in the page's language; as it was recorded where this version has no words for it."""
    try:
        if "." in event.code:
            return words(event, _language(context))
        return _in_words(context["t"], event.code, event.parameters)
    except (KeyError, ValueError, TypeError):
        return event.text


@pass_context
def odd_day(context: Context, finding: Mapping[str, Any]) -> str:
    """A day whose labels do not fit their images, as the check of the labels found it."""
    return render(ODD_DAYS[finding["kind"]], finding, _language(context))


@pass_context
def reason(context: Context, recorded: Mapping[str, Any] | None) -> str:
    """A reason as rows keep it (`timeline.as_json`) in the page's language, or as it was recorded."""
    recorded = recorded or {}
    code, parameters = str(recorded.get("code", "")), recorded.get("parameters", {})
    try:
        return (
            render(code, parameters, _language(context)) if "." in code else _in_words(context["t"], code, parameters)
        )
    except (KeyError, ValueError, TypeError):
        return str(recorded.get("plain", ""))


def _in_words(texts: Texts, code: str, parameters: Mapping[str, Any]) -> str:
    """A reason of the rules; values that are words themselves are translated, too."""
    shown = {name: _translated(texts, name, value) for name, value in parameters.items()}
    return reason_templates(texts.language)[code].format_map(shown)


def _translated(texts: Texts, name: str, value: Any) -> Any:
    group = {"symptoms": "symptom", "side": "group", "sides": "group", "group": "group"}.get(name)
    if group is None or not isinstance(value, str):
        return value
    return ", ".join(texts.name(group, item) for item in value.split(", "))


@pass_context
def group_words(context: Context, group: str) -> str:
    """A group of the gate's parts (`gold/defect`, `gold/class pit`, `new`) in words."""
    texts: Texts = context["t"]
    return ": ".join(texts.name("group", part) for part in group.split("/"))


def check_class(code: str) -> str:
    """How a reason of the gate is marked: for, against, or a remark.

    >>> check_class("gate-passed"), check_class("gate-gold-worse"), check_class("gate-new-few")
    ('pass', 'fail', 'note')
    """
    if code.endswith("passed"):
        return "pass"
    return "fail" if code.endswith(("-worse", "-before", "-certificate", "-licence")) else "note"


def _language(context: Context) -> str:
    texts: Texts = context["t"]
    return texts.language
