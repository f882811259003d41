"""Why a part got no verdict, or why a part of several views is not OK, in the reader's language.

Record and programs have the English words of whoever withheld the verdict. The English texts are these words, with
places for what differs; what matches one of them is said in the same place of the reader's texts. Words of a library or
of a person stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from string import Formatter

from drift.camera import CameraFault
from edge_agent.parts.rule import BETWEEN
from edge_agent.station import fault_reason
from edge_agent.web.texts import DEFAULT, Texts, read_texts


def why(reason: str, camera: str, texts: Texts) -> str:
    """What the record gives as the reason for a part before that camera."""
    for fault in CameraFault:
        if reason == fault_reason(camera, fault):
            return f"{texts['part']['camera']} {camera} {texts['fault'].get(fault.value, fault.value)}"
    return _matched(reason, "why", texts)[1]


def why_whole(reason: str, texts: Texts) -> dict[str, list[str]]:
    """What the record gives as the reasons for a part that several cameras see, by what they are about (the keys of
    the texts under `whole`; empty for what nobody knows)."""
    found: dict[str, list[str]] = {}
    for piece in reason.split(BETWEEN):
        key, words = _matched(piece, "whole", texts)
        found.setdefault(key, []).append(words)
    return found


def _matched(reason: str, group: str, texts: Texts) -> tuple[str, str]:
    """The text that says it, and in the reader's words; a decision among them is a word of its own."""
    for key, pattern in _patterns(group).items():
        if (match := pattern.fullmatch(reason)) is not None:
            places = match.groupdict()
            if "decision" in places:
                places["decision"] = texts["decision"].get(places["decision"], places["decision"])
            return key, texts[group][key].format(**places)
    return "", reason


@cache
def _patterns(group: str) -> Mapping[str, re.Pattern[str]]:
    return {key: re.compile(_pattern(text), re.DOTALL) for key, text in read_texts()[DEFAULT][group].items()}


def _pattern(text: str) -> str:
    """What a text looks like with its places filled in.

    >>> re.fullmatch(_pattern("{n} (of {m})"), "3 (of 4)").groupdict()
    {'n': '3', 'm': '4'}
    """
    parts = Formatter().parse(text)
    return "".join(re.escape(words) + (f"(?P<{place}>.+)" if place else "") for words, place, _, _ in parts)
