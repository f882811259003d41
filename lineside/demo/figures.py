"""The demo's figures, made from what the story noted."""

from __future__ import annotations

from contracts.report import Figure
from lineside.demo.story import Notes

_COMPARED = ("before", "drifted", "after", "home_before", "home_after", "offline")


def figures_of(notes: Notes, *, wall_seconds: float | None) -> list[Figure]:
    """Every figure that the report promises; one that the story did not reach has no value, nor has `wall_seconds`
    (None) when it did not end."""
    figures = [
        Figure(
            name="false_drifts_before",
            value=notes.false_drifts_before,
            unit="drifts",
            note=f"raised in {notes.quiet_windows} in-control windows of all cameras",
        ),
        Figure(name="in_control_windows", value=notes.quiet_windows, unit="windows", note="of all cameras"),
        Figure(
            name="drift_delay_windows",
            value=notes.drift_delay_windows,
            unit="windows",
            note="full windows of the camera from the change to the drift",
        ),
        Figure(name="tickets_for_dirt", value=notes.tickets_for_dirt, unit="tickets"),
        Figure(name="retrains_for_dirt", value=notes.retrains_for_dirt, unit="retrains"),
        Figure(name="labels_used", value=notes.labels_used, unit="labels", note="answered until the promotion"),
        Figure(
            name="people_asked", value=notes.people_asked, note="retrained candidates that the gate left to a person"
        ),
        Figure(name="loop_seconds", value=notes.loop_seconds, unit="s", note="from the change to the promotion"),
        Figure(
            name="withdrawn_bad_release", value=_flag(notes.withdrawn_bad_release), note=_reason(notes, "withdrawn")
        ),
        Figure(
            name="refused_worse_candidate", value=_flag(notes.refused_worse_candidate), note=_reason(notes, "worse")
        ),
    ]
    for name in _COMPARED:
        if name in notes.quality:
            figures += notes.quality[name].figures(name)
    figures += _differences(notes)
    figures += notes.extra
    seconds = None if wall_seconds is None else round(wall_seconds, 1)
    return [*figures, Figure(name="wall_seconds", value=seconds, unit="s")]


def _differences(notes: Notes) -> list[Figure]:
    def difference(name: str, metric: str, first: str, second: str, note: str) -> Figure:
        one, other = (getattr(notes.quality.get(key), metric, None) for key in (first, second))
        return Figure(name=name, value=None if one is None or other is None else one - other, note=note)

    return [
        difference("balanced_accuracy_lost", "balanced_accuracy", "before", "after", "before minus after"),
        difference(
            "balanced_accuracy_home_lost", "balanced_accuracy", "home_before", "home_after", "before minus after"
        ),
        difference("balanced_accuracy_below_offline", "balanced_accuracy", "offline", "after_held_out", "same images"),
        difference("auroc_below_offline", "auroc", "offline", "after_held_out", "same images"),
    ]


def _flag(value: bool | None) -> float | None:
    return None if value is None else float(value)


def _reason(notes: Notes, name: str) -> str:
    return notes.reasons.get(name, "")
