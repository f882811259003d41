"""The model that would serve, and what trust in the next one rests on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from contracts.bundle import Manifest
from contracts.errors import BundleError
from contracts.finding import Finding, fault, ok, warning
from edge_agent.settings import AgentSettings
from edge_agent.slots import Pointer
from edge_agent.updates import Floor
from runtime.bundle import Bundle, open_bundle
from runtime.choice import candidates
from runtime.machine import device_class
from runtime.trial import try_bundle

_INSTALL = "install another: `lineside agent bundle import`, or a release of the monitor"


def model(settings: AgentSettings, *, tried_already: bool) -> Iterator[Finding]:
    """Every byte of the bundles, whether they may serve here, and their golden samples in a process of its own, unless
    an agent runs: that one has tried them."""
    own = {product.name: product.bundle for product in settings.products if product.bundle is not None}
    try:
        found = _installed(settings)
    except BundleError as error:
        yield fault("model", str(error), _INSTALL)
    else:
        if found is not None:
            yield from _looked_at("model", *found, settings, tried_already=tried_already)
        elif not own:
            yield _none_yet(settings)
    for name, bundle in own.items():
        yield from _looked_at(f"model of {name}", bundle.path, bundle.hash, settings, tried_already=tried_already)


def _looked_at(
    name: str, place: Path, bundle_hash: str, settings: AgentSettings, *, tried_already: bool
) -> Iterator[Finding]:
    variant, threads = settings.inspection.variant, settings.inspection.threads
    try:
        bundle = open_bundle(place, expected_hash=bundle_hash)
        yield from _fit(name, bundle, settings)
        if not tried_already:
            answer = try_bundle(bundle, variant=variant, threads=threads)
            yield ok(name, f"answers its golden samples here, in {answer.seconds:.1f} s with loading")
    except BundleError as error:
        yield fault(name, str(error), _INSTALL)


def _installed(settings: AgentSettings) -> tuple[Path, str] | None:
    """Place and hash of what would serve at the next start. Looks without making any folder."""
    slots = settings.state_folder / "slots"
    try:
        pointer = Pointer.model_validate_json((slots / "slots.json").read_bytes())
        refused = json.loads((slots / "refused.json").read_bytes()) if (slots / "refused.json").exists() else {}
    except FileNotFoundError:
        pointer, refused = Pointer(), {}
    except (OSError, ValueError) as error:
        raise BundleError(f"{slots} cannot be read: {error}") from error
    for name in (pointer.active, pointer.previous):
        if name is not None and name not in refused:
            return slots / "bundles" / name, name
    return None if settings.bundle is None else (settings.bundle.path, settings.bundle.hash)


def _none_yet(settings: AgentSettings) -> Finding:
    if settings.monitor is None:
        return fault("model", "none is installed, and nobody is named who sends one", "set [bundle] or [monitor]")
    remedy = "wait for the site's first release, or `lineside agent bundle import`"
    return warning("model", "none is installed yet", remedy)


def _fit(name: str, bundle: Bundle, settings: AgentSettings) -> Iterator[Finding]:
    manifest, called = bundle.manifest, f"bundle {bundle.hash[:12]}"
    if settings.production and not manifest.licence.production:
        yield fault(name, f"{called} is not for production", "train from a base model that is, or production = false")
    if manifest.site != settings.site:
        text = f"{called} was made for site {manifest.site}, this is {settings.site}"
        yield warning(name, text, "is it the right one?")
    yield _certified(name, manifest, called, settings.inspection.variant)


def _certified(name: str, manifest: Manifest, called: str, wanted: str | None) -> Finding:
    here, found = device_class(), candidates(manifest)
    certified = [each.variant.name for each in found.certified if wanted in (None, each.variant.name)]
    if certified:
        return ok(name, f"{called} is whole and certified for {here}: {', '.join(certified)}")
    if not found.serving:
        reasons = "; ".join(f"{variant}: {reason}" for variant, reason in found.passed_over.items())
        return fault(name, f"no variant of {called} may serve here: {reasons}", "export it for this class of devices")
    remedy = "it serves where its golden samples come out right; for a certificate, export on a machine of this class"
    return warning(name, f"{called} is whole and not certified for {here}", remedy)


def signatures(settings: AgentSettings) -> Iterator[Finding]:
    """The root that was brought by hand, and the newest channel that was ever believed."""
    if settings.monitor is None:
        return
    file = settings.monitor.root_file
    remedy = f"bring root.json of `lineside monitor init` to {file} by a way that you trust"
    try:
        root = Metadata[Root].from_bytes(file.read_bytes())
        root.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)
    except OSError as error:
        yield fault("signatures", f"cannot read {file}: {error.strerror}", remedy)
        return
    except (DeserializationError, RepositoryError, ValueError) as error:
        yield fault("signatures", f"{file} is no root of trust: {error}", remedy)
        return
    if root.signed.expires < datetime.now(UTC):
        yield warning("signatures", f"{file} has expired; newer roots are found from it", remedy)
    else:
        yield ok("signatures", f"{file} is signed, until {root.signed.expires:%Y-%m-%d}")
    yield _floor(settings.state_folder / "updates" / "floor.json")


def _floor(file: Path) -> Finding:
    try:
        floor = Floor.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return ok("signatures", "no channel has been believed yet")
    except (OSError, ValidationError) as error:
        return fault("signatures", f"{file} is damaged, so no update is believed: {error}", "restore it from a copy")
    return ok("signatures", f"channel {floor.sequence} is the newest that was believed; older ones are refused")
