"""Which product a part is: what came with it, what the line said, or no verdict. Never a guess."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.errors import OrderError
from edge_agent.products.changeover import Changeover
from edge_agent.products.settings import UNKNOWN, ChangeoverSettings, ProductSettings
from edge_agent.settings import AgentSettings
from edge_agent.source import Capture
from tests.simulators.captures import frame
from tests.simulators.small_bundle import picture

CAP = ProductSettings(name="cap", codes=("4006381333931", "CAP 12/A"))
NUT = ProductSettings(name="nut")


def shown(changeover: Changeover, *, code: str | None = None, product: str = "cap", camera: str = "cam-a") -> Any:
    """(product, why it is not judged) of an image."""
    capture = Capture(frame(0, product=product, camera=camera), picture(90), product_code=code)
    found = changeover.assign(capture)
    return found.frame.product, found.unjudged


def by_image(*products: ProductSettings) -> Changeover:
    return Changeover(products, ChangeoverSettings())


def by_line(*products: ProductSettings) -> Changeover:
    return Changeover(products or (CAP, NUT), ChangeoverSettings(product_from="line"))


@pytest.mark.parametrize("code", ["4006381333931", "CAP 12/A", " cap "])
def test_a_code_is_looked_up_in_the_table(code: str) -> None:
    assert shown(by_image(CAP, NUT), code=code, product="nut") == ("cap", None)


def test_a_code_that_nobody_knows_is_no_verdict_and_not_the_product_before() -> None:
    product, why = shown(by_image(CAP, NUT), code="4711")
    assert (product, why) == (UNKNOWN, "product '4711' is not one of the [[products]] of this station")
    assert shown(by_image(CAP), product="nut") == (
        UNKNOWN,
        "product 'nut' is not one of the [[products]] of this station",
    )


def test_without_products_an_image_is_what_it_says() -> None:
    assert shown(by_image(), product="anything") == ("anything", None)
    assert shown(by_image(), code="anything", product="anything") == ("anything", None)
    assert shown(by_image(), code="4711") == (UNKNOWN, "no [[products]] say what the product code '4711' is")


def test_the_line_says_what_it_makes_and_until_then_there_is_no_verdict() -> None:
    changeover = by_line()
    assert shown(changeover) == (UNKNOWN, "the line has not said which product it makes since the agent started")
    assert changeover.say("4006381333931") == "cap"
    assert shown(changeover, product="nut") == ("cap", None)


def test_a_camera_may_see_another_product_until_the_whole_line_changes() -> None:
    changeover = by_line()
    changeover.say("cap")
    changeover.say("nut", camera="cam-b")
    assert (shown(changeover)[0], shown(changeover, camera="cam-b")[0]) == ("cap", "nut")
    changeover.say("cap")
    assert shown(changeover, camera="cam-b")[0] == "cap"


def test_what_comes_with_an_image_counts_more_than_what_the_line_said() -> None:
    changeover = by_line()
    changeover.say("cap")
    assert shown(changeover, code="nut") == ("nut", None)


def test_after_a_code_that_is_unknown_no_part_is_judged_as_the_product_before() -> None:
    changeover = by_line()
    changeover.say("cap")
    with pytest.raises(OrderError, match="4711"):
        changeover.say("4711")
    assert shown(changeover)[0] == UNKNOWN
    assert changeover.trouble == "line: product '4711' is not one of the [[products]] of this station"
    changeover.say("nut")
    assert (shown(changeover), changeover.trouble) == (("nut", None), None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"products": [{"name": "cap", "codes": ["nut"]}, {"name": "nut"}]}, "two products are called nut"),
        ({"changeover": {"product_from": "line"}}, r"needs \[\[products\]\]"),
        ({"products": [{"name": "Cap"}]}, "string_pattern_mismatch|should match pattern"),
        ({"products": [{"name": "cap", "codes": ["a\nb"]}]}, "should match pattern"),
    ],
)
def test_settings_that_leave_a_product_open_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        AgentSettings.model_validate({"site": "plant", "agent": "a", "state_folder": "x", **changes})
