"""Bundles that are complete on paper: every file and hash is right, the models inside are a few bytes of anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runtime.bundle import write_bundle_manifest

_METRICS = {
    "examples": 100,
    "accuracy": 0.95,
    "balanced_accuracy": 0.94,
    "auroc": 0.98,
    "best_constant": 0.7,
    "recall_good": 0.96,
    "recall_defect": 0.92,
}


def paper_fields(site: str = "mono", *, created: int = 1, **changes: Any) -> dict[str, Any]:
    """Fields of a manifest, without the files."""
    return {
        "site": site,
        "created_at": datetime(2026, 1, created, tzinfo=UTC),
        "labels": ["good", "crack"],
        "good_labels": ["good"],
        "preprocessing": {"width": 32, "height": 32, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
        "variants": [{"target": "onnxruntime-cpu", "precision": "int8", "file": "int8.onnx"}],
        "default_variant": "onnxruntime-cpu/int8",
        "thresholds": {"ng": 0.5, "review_from": 0.4},
        "drift_reference": {"components": 2, "embedding_width": 4, "names": ["margin", "mean"]},
        "golden_samples": [{"file": "golden/1.png", "expected": {"onnxruntime-cpu/int8": [0.9, 0.1]}}],
        "certificates": [],
        "test_metrics": _METRICS,
        "licence": {},
        "lineage": {
            "snapshot_hash": "a" * 64,
            "split_hash": "b" * 64,
            "base_model": "paper",
            "base_model_licence": "Apache-2.0",
            "base_model_sha256": None,
            "code_version": "0",
        },
        **changes,
    }


def write_paper_bundle(folder: Path, site: str = "mono", *, created: int = 1, model: bytes = b"model") -> str:
    """Write one under `folder`; returns its hash. Other `created` days or models make other bundles."""
    (folder / "golden").mkdir(parents=True)
    (folder / "int8.onnx").write_bytes(model)
    (folder / "reference.safetensors").write_bytes(b"reference" * 100)
    (folder / "golden" / "1.png").write_bytes(b"picture")
    return write_bundle_manifest(folder, paper_fields(site, created=created))
