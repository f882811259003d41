"""Bundles that were handed in, each under its hash; once here they never change."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from contracts.bundle import CARD_NAME, Manifest
from contracts.errors import BundleError
from runtime.bundle import Bundle, open_bundle


class BundleShelf:
    """A folder of verified bundles, `HASH/manifest.json` and so on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob(".draft-*"):
            shutil.rmtree(draft)

    def path(self, bundle_hash: str) -> Path:
        """Where that bundle lies."""
        return self.folder / bundle_hash

    def card(self, bundle_hash: str, manifest: Manifest) -> str | None:
        """The model card of a bundle with this manifest, in Markdown; None where it came without. Raises BundleError
        where the file is gone or another one by now."""
        if CARD_NAME not in manifest.files:
            return None
        return Bundle(self.path(bundle_hash), bundle_hash, manifest).read(CARD_NAME).decode("utf-8", "replace")

    def take(self, source: Path) -> Bundle:
        """Copy a bundle in, verified before and after. Raises BundleError; then nothing was kept."""
        bundle = open_bundle(source)
        target = self.path(bundle.hash)
        if target.exists():
            return open_bundle(target, expected_hash=bundle.hash)
        draft = self.folder / f".draft-{secrets.token_hex(8)}"
        try:
            shutil.copytree(bundle.path, draft)
            _flush(draft)
            open_bundle(draft, expected_hash=bundle.hash)
            os.rename(draft, target)
        except OSError as error:
            raise BundleError(f"bundle {bundle.hash[:12]} cannot be stored in {self.folder}: {error}") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _flush_one(self.folder)
        return open_bundle(target, expected_hash=bundle.hash)


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        _flush_one(path)
    _flush_one(folder)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
