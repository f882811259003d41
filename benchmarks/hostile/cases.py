"""Hostile bundles, made from a sound one by number and seed: the same number is the same bundle, anywhere."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.hostile import manifests, models
from contracts.bundle import MANIFEST_NAME
from runtime.bundle import Bundle

KINDS = (*models.MUTATIONS, *manifests.MUTATIONS)
RARE = {"slow": 4, "computed": 12, "many": 16, "manifest_golden": 16}
"""How many of a kind at most in a thousand: those that cost seconds each."""


@dataclass(frozen=True)
class Case:
    """One hostile bundle."""

    number: int
    kind: str
    variant: str


def cases(count: int, variants: list[str], *, seed: int = 0) -> list[Case]:
    """`count` of them, every kind in turn and about as often, those in RARE less; variants in turn."""
    used = dict.fromkeys(KINDS, 0)
    made: list[Case] = []
    while len(made) < count:
        for kind in KINDS:
            if used[kind] >= max(1, RARE.get(kind, count) * count // 1000) or len(made) == count:
                continue
            made.append(Case(seed * 1_000_000 + len(made), kind, variants[used[kind] % len(variants)]))
            used[kind] += 1
    return made


class Maker:
    """Writes cases from one sound bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._manifest: dict[str, Any] = json.loads((bundle.path / MANIFEST_NAME).read_bytes())
        self._bare: dict[str, bytes] = {}

    def write(self, case: Case, folder: Path) -> None:
        """The whole bundle into `folder`, which is replaced; what is unchanged are hard links."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._bundle.path, folder, copy_function=_linked)
        rng, manifest = random.Random(case.number), copy.deepcopy(self._manifest)
        manifest["default_variant"] = case.variant
        text = None
        if case.kind in models.MUTATIONS:
            name = self._bundle.manifest.variant(case.variant).file
            (folder / name).unlink()
            (folder / name).write_bytes(models.MUTATIONS[case.kind](rng, self._plain(name)))
        else:
            text = manifests.MUTATIONS[case.kind](rng, folder, manifest)
        manifests.write(folder, manifest, text, _hashes(folder) if text is None else {})

    def _plain(self, name: str) -> bytes:
        if name not in self._bare:
            self._bare[name] = models.bare(self._bundle.read(name))
        return self._bare[name]


def _linked(source: str, target: str) -> None:
    os.link(source, target)


def _hashes(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != MANIFEST_NAME:
            data = file.read_bytes()
            found[file.relative_to(folder).as_posix()] = {
                "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)
            }  # fmt: skip
    return found
