"""Verdicts as the line got them, joined with the truth."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from pathlib import Path

import httpx

from lineside.demo.measure import Quality, quality_of_verdicts
from lineside.stream.truth import Truth, TruthReader


class LiveRecord:
    """The agent's record of verdicts against the stream's log of truths."""

    def __init__(self, agent_url: str, truth: Path, good_labels: tuple[str, ...]) -> None:
        self._agent_url = agent_url
        self._truth = truth
        self._good = good_labels

    def quality(self) -> dict[tuple[str, str], Quality]:
        """(era, bundle hash) -> quality of the verdicts given in it. Parts without a verdict are left out."""
        truths = {(truth.camera, truth.sequence): truth for truth in TruthReader(self._truth).new()}
        pairs: dict[tuple[str, str], list[tuple[bool, bool, float]]] = defaultdict(list)
        for row in self._rows():
            truth = truths.get((row["camera"], int(row["sequence"])))
            if truth is not None and row["defect_score"]:
                pairs[truth.era, row["bundle_hash"]].append(self._pair(row, truth))
        return {key: quality_of_verdicts(found, "verdicts on the line") for key, found in pairs.items()}

    def _pair(self, row: dict[str, str], truth: Truth) -> tuple[bool, bool, float]:
        return row["decision"] != "OK", truth.label not in self._good, float(row["defect_score"])

    def _rows(self) -> csv.DictReader[str]:
        response = httpx.get(f"{self._agent_url}/v1/verdicts.csv", timeout=120.0)
        response.raise_for_status()
        return csv.DictReader(io.StringIO(response.text))
