"""Signatures that do not fit together, or not the vector, are refused; a manifest without any reads as ever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.bundle import DriftReference, Manifest
from contracts.schema import EXAMPLE_FOLDER
from contracts.signatures import FAMILIES, Signatures
from tests.simulators.signatures import ENTRIES, planted_signatures

NAMES = tuple(f"entry-{number}" for number in range(ENTRIES))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scale": (1.0,)}, "not all of 1 entries"),
        ({"classes": {"good": (0.0, 0.0)}, "shares": {"good": 1.0}}, "not all of 10 entries"),
        ({"within": ((1.0,), (0.5,))}, "lower triangle of 10 entries"),
        ({"shares": {"good": 1.0}}, "classes without a share"),
        ({"spreads": {}}, "faults without a spread"),
        ({"shares": {"good": 0.0, "bad": 0.0}}, "greater than 0"),
        ({"scale": (-1.0,) * ENTRIES}, "greater than or equal to 0"),
        ({"spreads": dict.fromkeys(FAMILIES, (-1.0,) * ENTRIES)}, "greater than or equal to 0"),
        ({"faults": planted_signatures().faults * 17}, "at most 64 items"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        planted_signatures(**changes)


def test_signatures_of_another_vector_are_refused_with_the_reference() -> None:
    DriftReference(components=2, embedding_width=4, names=NAMES, signatures=planted_signatures())
    with pytest.raises(ValidationError, match="signatures of 10 entries, the vector has 9"):
        DriftReference(components=2, embedding_width=4, names=NAMES[:-1], signatures=planted_signatures())


def test_a_manifest_of_before_is_written_as_it_was() -> None:
    text = (EXAMPLE_FOLDER / "v1" / "manifest.json").read_text(encoding="utf-8")
    assert "signatures" not in Manifest.model_validate_json(text).model_dump(mode="json")["drift_reference"]


def test_numbers_that_are_none_are_refused() -> None:
    fields = json.loads(planted_signatures().model_dump_json())
    fields["scale"][0] = float("inf")
    with pytest.raises(ValidationError, match="finite"):
        Signatures.model_validate(fields)
