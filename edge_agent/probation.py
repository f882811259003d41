"""May the bundle that serves stay? Rules over what it did on the line; no clock, no disk."""

from __future__ import annotations

from dataclasses import dataclass

_CONFIRM_IMAGES = 20
_CONFIRM_SECONDS = 60.0  # where there is a bundle to go back to
_FAILURES = 5  # among the last images of the line
_HUNG = 2  # images of the line


@dataclass(frozen=True)
class Conduct:
    """Since it serves: images answered, and those that did not come to an end. Of its last images (20 at most) those
    that it could not answer."""

    answered: int
    seconds: float
    failures: int
    hung: int


def fault(conduct: Conduct) -> str | None:
    """Why it must give back its place, or None.

    >>> fault(Conduct(answered=9, seconds=5.0, failures=5, hung=0))
    'it could not answer 5 of its last images'
    >>> fault(Conduct(answered=9, seconds=5.0, failures=4, hung=1))
    """
    if conduct.hung >= _HUNG:
        return f"{conduct.hung} images did not come to an end"
    return f"it could not answer {conduct.failures} of its last images" if conduct.failures >= _FAILURES else None


def proven(conduct: Conduct, *, alone: bool) -> bool:
    """Whether it is from now on what one goes back to; `alone`: there is no other, so time proves nothing more.

    >>> young = Conduct(answered=20, seconds=5.0, failures=0, hung=0)
    >>> proven(young, alone=True), proven(young, alone=False)
    (True, False)
    """
    if conduct.failures or conduct.hung or conduct.answered < _CONFIRM_IMAGES:
        return False
    return alone or conduct.seconds >= _CONFIRM_SECONDS
