"""The accuracy part of the quantisation benchmark: paired differences, what is needed, and two graphs compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.quantisation.accuracy import SETS, Judged, figures_of, over_all
from benchmarks.quantisation.targets import disagreements, saturating
from contracts.report import Figure
from exporter.qat.body import rounding, settle
from exporter.qat.write import write_symmetric
from runtime.session import Signature
from tests.simulators.small_network import LABELS, SIDE, WIDTH, small_network
from trainer.dataset import Dataset, Example

COUNT = 40
DATASET = Dataset(
    tuple(Example(Path(f"{n}.png"), "ab"[n % 2], group=f"lot-{n // 4}", sha256=f"{n:064x}") for n in range(COUNT)), "x"
)


def logits(*, wrong: int) -> list[list[float]]:
    """Right about all images but the first `wrong`."""
    said = [n % 2 if n >= wrong else 1 - n % 2 for n in range(COUNT)]
    return [[1.0 - each, float(each)] for each in said]


def judged(name: str = "elpv", *, fp32: int = 0, ptq: int, qat: int, kept_step: int = 6) -> Judged:
    found: dict[str, Any] = {
        "labels": ["a", "b"],
        "images": [example.sha256 for example in DATASET.examples],
        "logits": {
            "fp32": logits(wrong=fp32), "ptq": logits(wrong=ptq), "qat": logits(wrong=qat),
            "qat, whole range": logits(wrong=qat),
        },
        "judged": {
            "ptq": {"loss": 0.5, "accuracy": 0.9}, "qat": {"loss": 0.4, "accuracy": 0.9},
            "qat, whole range": {"loss": 0.4, "accuracy": 0.9},
        },
        "learning": {"kept_step": kept_step}, "latency": {"ptq": 0.002, "qat": 0.001}, "compared": 200,
        "disagreements": [{"image": "x", "symmetric": 0.1, "other": 0.1}], "saturating": {"share": 0.0, "worst": 0.0},
    }  # fmt: skip
    return Judged.of(name, found, DATASET)


def by_name(made: Judged) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures_of(made)}


def test_differences_are_paired_and_have_an_interval_over_groups() -> None:
    figures = by_name(judged(ptq=8, qat=2))
    assert figures["elpv_ptq_lost"].value == pytest.approx(8 / COUNT)
    assert figures["elpv_chosen_lost"].value == pytest.approx(2 / COUNT)
    gain = figures["elpv_qat_gain"]
    assert gain.value == pytest.approx(6 / COUNT)
    assert gain.interval is not None
    assert gain.interval[0] < 6 / COUNT < gain.interval[1]
    assert figures["elpv_qat_latency"].value == pytest.approx(0.5)
    assert figures["elpv_targets_agree"].value == pytest.approx(0.995)


def test_what_the_exporter_would_choose_today_is_what_counts() -> None:
    found = judged(ptq=1, qat=9, kept_step=0)
    assert by_name(found)["elpv_chosen_lost"].value == pytest.approx(1 / COUNT)
    assert "(ptq)" in by_name(found)["elpv_chosen_lost"].note
    assert "(qat)" in by_name(judged(ptq=1, qat=9))["elpv_chosen_lost"].note


def test_training_on_must_help_where_plain_quantisation_loses() -> None:
    first, second = list(SETS)
    (figure,) = over_all([judged(first, ptq=8, qat=2), judged(second, ptq=0, qat=3)])
    assert figure.value == pytest.approx(6 / COUNT)
    (worse,) = over_all([judged(first, ptq=8, qat=9), judged(second, ptq=8, qat=0)])
    assert worse.value == pytest.approx(-1 / COUNT)


def test_where_nothing_was_lost_nothing_has_to_be_won() -> None:
    (figure,) = over_all([judged(name, ptq=0, qat=0) for name in SETS])
    assert figure.value == 1.0
    assert "nothing to win back" in figure.note
    assert not list(over_all([judged(ptq=0, qat=0)]))


def test_disagreements_name_the_image_and_both_leads() -> None:
    symmetric = np.array([[1.0, 0.0], [0.3, 0.2], [0.0, 2.0]], np.float32)
    other = np.array([[1.1, 0.0], [0.2, 0.3], [1.0, 0.5]], np.float32)
    found = disagreements(symmetric, other, ["same", "close", "far"])
    assert [each["image"] for each in found] == ["far", "close"]
    assert found[0]["symmetric"] == pytest.approx(2.0)
    assert found[0]["other"] == pytest.approx(0.5)


def test_only_what_leaves_the_range_saturates(tmp_path: Path) -> None:
    made = nn.Sequential(rounding([small_network()], (3, SIDE, SIDE))).eval()
    known = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    settle(made, [known])
    signature = Signature(labels=len(LABELS), height=SIDE, width=SIDE, embedding_width=WIDTH)
    write_symmetric(made, signature, tmp_path / "symmetric.onnx")
    small = saturating(tmp_path / "symmetric.onnx", [(known[:1] * 0.3).numpy()])
    large = saturating(tmp_path / "symmetric.onnx", [(known[:1] * 4).numpy()])
    assert small == {"share": 0.0, "worst": 0.0}
    assert 0 < large["share"] <= large["worst"] <= 1
