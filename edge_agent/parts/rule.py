"""Which decision on a part follows from those on its views.

The worst view counts: NG > NO_VERDICT > REVIEW > OK. A defect that one camera has seen is there, whatever the others
say or miss: NG. Then NO_VERDICT, before REVIEW: of a part that was not looked at from all sides nobody may think that
only a doubt is left to settle. OK only when every view is there and OK, and all name the same product.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from contracts.frame import Decision

BETWEEN = "; "
"""Stands between the reasons of one part; in none of them."""
WORST_FIRST = (Decision.NG, Decision.NO_VERDICT, Decision.REVIEW, Decision.OK)


def worst(decisions: Iterable[Decision]) -> Decision:
    """The worst of some decisions; NO_VERDICT of none.

    >>> worst([Decision.OK, Decision.NO_VERDICT, Decision.REVIEW]).value, worst([]).value
    ('NO_VERDICT', 'NO_VERDICT')
    """
    return min(decisions, key=WORST_FIRST.index, default=Decision.NO_VERDICT)


def decide(
    views: Mapping[str, Decision], wanted: Sequence[str], products: Collection[str], *, within_seconds: float
) -> tuple[Decision, str | None]:
    """The decision on a part and why it is not OK (None where it is). `views`: camera -> worst decision so far;
    `wanted`: every camera that must see it; `products`: all that its pictures name."""
    missing = [camera for camera in wanted if camera not in views]
    reasons = [f"{camera} says {views[camera].value}" for camera in wanted if views.get(camera, Decision.OK) != "OK"]
    found = list(views.values())
    if missing:
        found.append(Decision.NO_VERDICT)
        reasons.append(f"no picture of {', '.join(missing)} within {within_seconds:g} s")
    if len(products) > 1:
        found.append(Decision.NO_VERDICT)
        reasons.append(f"its pictures name different products: {', '.join(sorted(products))}")
    return worst(found), BETWEEN.join(reasons) or None
