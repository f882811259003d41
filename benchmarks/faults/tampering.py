"""Registries that serve one changed file: mutants of signed metadata, channels, manifests and models."""

from __future__ import annotations

import functools
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from typing import Any

from contracts import BundleError, LinkError
from runtime.bundle import open_bundle
from tests.simulators.site import ServedSite

Mutation = Callable[[bytes, random.Random], bytes]
_VALUES: tuple[Any, ...] = (
    None,
    0,
    -1,
    1,
    10**30,
    "",
    "x",
    [],
    {},
    [[]] * 50,
    True,
    False,
    "2999-01-01T00:00:00Z",
    "1999-01-01T00:00:00Z",
)
HARMLESS, REFUSED, ACCEPTED = "harmless", "refused", "accepted"


def outcomes(site: ServedSite, numbers: range) -> Counter[str]:
    """How an agent that has seen nothing takes a registry in which one needed file is another mutant each time. The
    server must run.

    `refused`, or `harmless` where it ends with exactly what was published (a cut or a changed blank after the signed
    part), or `accepted`: it believed something else. Mutants follow from their number alone.
    """
    published, needed = _honest(site)
    found: Counter[str] = Counter()
    for number in numbers:
        victim = needed[number % len(needed)]
        changed = mutated((site.server.folder / victim.lstrip("/")).read_bytes(), random.Random(number))
        site.server.tamper = functools.partial(_serve_changed, victim, changed)
        found[_taken(site, published)] += 1
    site.server.tamper = lambda _, data: data
    return found


def _honest(site: ServedSite) -> tuple[object, list[str]]:
    """(the channel as published, paths of the files that an update needs)."""
    site.server.paths.clear()
    client = site.client("honest")
    published = client.channel()
    client.fetch(site.hash, site.folder / "arriving")
    return published, sorted({path for path in site.server.paths if (site.server.folder / path.lstrip("/")).is_file()})


def _taken(site: ServedSite, published: object) -> str:
    for name in ("mutant", "arriving"):
        shutil.rmtree(site.folder / name, ignore_errors=True)
    client = site.client("mutant")
    try:
        path = client.fetch(site.hash, site.folder / "arriving")
        same = client.channel() == published
        open_bundle(path, expected_hash=site.hash)
    except (BundleError, LinkError):
        return REFUSED
    return HARMLESS if same else ACCEPTED


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Another content than `data`."""
    kinds = [_flipped, _cut, _doubled, _swapped]
    if data.lstrip().startswith(b"{"):
        kinds += [_other_value, _other_value, _missing, _twice]
    while True:
        changed = rng.choice(kinds)(data, rng)
        if changed != data:
            return changed


def _serve_changed(victim: str, changed: bytes, path: str, data: bytes) -> bytes:
    return changed if path == victim else data


def _flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _doubled(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at : at + 20] + data[at:]


def _swapped(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    return data[b:] + data[a:b] + data[:a]


def _other_value(data: bytes, rng: random.Random) -> bytes:
    """Somewhere in the document, at any depth."""
    document, part = _somewhere(data, rng)
    key = rng.choice(sorted(part))
    part[key] = rng.choice([value for value in _VALUES if value != part[key]])
    return json.dumps(document).encode()


def _missing(data: bytes, rng: random.Random) -> bytes:
    document, part = _somewhere(data, rng)
    del part[rng.choice(sorted(part))]
    return json.dumps(document).encode()


def _twice(data: bytes, rng: random.Random) -> bytes:
    """A key comes twice; the second one wins in most readers."""
    document = json.loads(data)
    key = rng.choice(sorted(document))
    return json.dumps(document).encode()[:-1] + f', "{key}": {json.dumps(rng.choice(_VALUES))}}}'.encode()


def _somewhere(data: bytes, rng: random.Random) -> tuple[dict[str, object], dict[str, object]]:
    document: dict[str, object] = json.loads(data)
    part = document
    while inner := [value for _, value in sorted(part.items()) if isinstance(value, dict) and value]:
        if rng.random() < 0.3:
            break
        part = rng.choice(inner)
    return document, part
