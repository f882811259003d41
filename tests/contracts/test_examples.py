"""Every version that was ever published is read for ever: one checked-in example, or several, for each contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.schema import EXAMPLE_FOLDER, PUBLISHED, SCHEMA_FOLDER, schema_text

EXAMPLES = sorted(EXAMPLE_FOLDER.glob("v*/*.json"))
VERSIONED = [path for path in EXAMPLES if "schema_version" in json.loads(path.read_text(encoding="utf-8"))]


def contract_of(path: Path) -> str:
    """`v1/envelope.birth.json` is an example of `envelope-v1`."""
    return f"{path.name.split('.')[0]}-{path.parent.name}"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def lost(example: Any, answer: Any, where: str = "") -> Iterator[str]:
    """Paths of everything the example says and the answer does not."""
    if isinstance(example, dict) and isinstance(answer, dict):
        for key, value in example.items():
            if key not in answer:
                yield f"{where}.{key}"
            else:
                yield from lost(value, answer[key], f"{where}.{key}")
    elif isinstance(example, list) and isinstance(answer, list) and len(example) == len(answer):
        for number, (mine, theirs) in enumerate(zip(example, answer, strict=True)):
            yield from lost(mine, theirs, f"{where}[{number}]")
    elif example != answer:
        yield f"{where}: {example!r} became {answer!r}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
class TestExample:
    def test_is_read_and_written_without_losing_anything(self, path: Path) -> None:
        adapter = PUBLISHED[contract_of(path)]
        value = adapter.validate_json(path.read_bytes())
        written = adapter.dump_json(value)
        assert adapter.validate_json(written) == value
        assert list(lost(read(path), json.loads(written))) == []

    def test_fields_of_a_newer_peer_are_dropped(self, path: Path) -> None:
        adapter = PUBLISHED[contract_of(path)]
        newer = read(path) | {"added_in_a_later_version": {"a": [1]}}
        assert adapter.validate_json(json.dumps(newer)) == adapter.validate_json(path.read_bytes())

    def test_every_field_it_needs_is_missed(self, path: Path) -> None:
        adapter = PUBLISHED[contract_of(path)]
        needed = [
            key for key in read(path) if not _accepted(adapter, {k: v for k, v in read(path).items() if k != key})
        ]
        assert needed, "an example without one required field checks nothing"

    def test_value_is_frozen(self, path: Path) -> None:
        value = PUBLISHED[contract_of(path)].validate_json(path.read_bytes())
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, next(iter(type(value).model_fields)), None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", VERSIONED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_another_version_is_refused(path: Path) -> None:
    with pytest.raises(ValidationError, match="schema_version"):
        PUBLISHED[contract_of(path)].validate_python(read(path) | {"schema_version": 999})


def test_every_published_contract_has_an_example() -> None:
    assert {contract_of(path) for path in EXAMPLES} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_schema_is_up_to_date(name: str) -> None:
    checked_in = (SCHEMA_FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert checked_in == schema_text(name), "run: python -m contracts.schema"


def test_no_schema_is_left_over() -> None:
    assert {path.stem for path in SCHEMA_FOLDER.glob("*.json")} == set(PUBLISHED)


def _accepted(adapter: Any, value: Any) -> bool:
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True
