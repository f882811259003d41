"""The gold set: copied, pinned, and refused as a whole when one row is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import DatasetError
from monitor.blobs import Blobs
from monitor.gold import current_gold, pin_gold, read_gold
from monitor.store import Store
from tests.simulators.monitored_plant import write_gold


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "blobs"))


def test_images_are_copied_so_that_nobody_changes_the_gate_by_changing_a_folder(tmp_path: Path, blobs: Blobs) -> None:
    manifest = write_gold(tmp_path / "gold", count=4)
    examples = read_gold(manifest, blobs)
    assert [(label, name) for _, label, name in examples] == [
        ("good", "0.png"),
        ("scratch", "1.png"),
        ("good", "2.png"),
        ("scratch", "3.png"),
    ]
    kept = (tmp_path / "gold" / "1.png").read_bytes()
    (tmp_path / "gold" / "1.png").write_bytes(b"another picture")
    assert blobs.read(examples[1][0]) == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\n", "no rows"),
        ("path,lable\n0.png,good\n", r"lacks the column 'label'; rename 'lable'"),
        ("file,label\n0.png,good\n", r"lacks the column 'path'"),
        ("path,label\n0.png,\n", "line 2: the label"),
        ("path,label\n0.png,good\nnowhere.png,good\n", r"line 3: .*nowhere\.png"),
        ("path,label\ngold.csv,good\n", "line 2: .* is no readable image"),
    ],
)
def test_wrong_row_or_column_is_named(tmp_path: Path, blobs: Blobs, text: str, words: str) -> None:
    manifest = write_gold(tmp_path / "gold", count=2)
    manifest.write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_gold(manifest, blobs)


def test_missing_manifest_is_named(tmp_path: Path, blobs: Blobs) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.csv"):
        read_gold(tmp_path / "nowhere.csv", blobs)


def test_newest_version_counts(tmp_path: Path, store: Store) -> None:
    for reason in ("pinned", "the convention changed"):
        with store.write() as session:
            pin_gold(
                session,
                [("b" * 64, "good", "0.png")],
                site="mono",
                source=tmp_path,
                base_snapshot=None,
                by="quality",
                reason=reason,
            )
    with store.read() as session:
        gold = current_gold(session, "mono")
        assert gold is not None
        assert (gold.version, gold.reason) == (2, "the convention changed")
        assert current_gold(session, "poly") is None
