"""Images a second and latency of the servers, each asked for a few seconds in turn."""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.harness import Measured
from benchmarks.int8 import trained_source
from benchmarks.serving.load import Load, load
from benchmarks.serving.servers import Loop, Server, bare, lineside, litserve, minimal
from contracts.report import Figure
from exporter.export import export_source
from runtime.bundle import Bundle, open_bundle

CLIENTS = (1, 8)
_IMAGES = 32
_SIZE = 640, 480
_QUALITY = 90

Runs = dict[str, list[float]]


def measure(options: argparse.Namespace) -> Measured:
    """Every program for some seconds, in turn, over the rounds; ratios are taken within a round."""
    rounds, seconds = (2, 2) if options.quick else (8, 5)
    with tempfile.TemporaryDirectory(prefix="lineside-serving-") as name, contextlib.ExitStack() as held:
        folder = Path(name)
        bundle = open_bundle(options.bundle)
        pictures = written_pictures(options.data, folder)
        loops = {kind: held.enter_context(bare(kind, bundle.path, pictures)) for kind in ("lineside", "opencv")}
        servers = {
            "lineside": held.enter_context(lineside(bundle.path, bundle.hash, folder)),
            "minimal": held.enter_context(minimal(bundle.path)),
        }
        if options.litserve is not None:
            servers["litserve"] = held.enter_context(litserve(bundle.path, options.litserve))
        for server in servers.values():  # warm
            load(server.url, pictures, clients=2, seconds=1, body=server.body)
        runs = _rounds(loops, servers, pictures, rounds=rounds, seconds=seconds)
        memory = {name: server.resident_bytes() for name, server in servers.items()}
    return Measured(_figures(runs, memory), {"runs": runs, "rounds": rounds, "seconds": seconds})


def made(data: Path, folder: Path) -> Bundle:
    """MobileNetV2 with a head; its accuracy does not matter here."""
    return export_source(trained_source(data, folder, images=160), folder / "bundle")


def written_pictures(data: Path, folder: Path) -> list[Path]:
    """JPEGs of 640x480 pixels, made of photographs of a spindle."""
    sources = sorted((data / "bsdata").rglob("*.jpg"))[: _IMAGES * 8 : 8] or sorted((data / "bsdata").rglob("*.png"))
    written = []
    for number, source in enumerate(sources[:_IMAGES]):
        with Image.open(source) as image:
            small = image.convert("RGB").resize(_SIZE)
        held = io.BytesIO()
        small.save(held, "JPEG", quality=_QUALITY)
        path = folder / f"part-{number}.jpg"
        path.write_bytes(held.getvalue())
        written.append(path)
    return written


def _rounds(
    loops: dict[str, Loop], servers: dict[str, Server], pictures: Sequence[Path], *, rounds: int, seconds: int
) -> Runs:
    """Values a round by names such as `lineside_8_per_second`."""
    found: Runs = defaultdict(list)
    for number in range(rounds):
        for kind, loop in loops.items():
            per_second, middle = loop.run(seconds)
            found[f"bare_{kind}_per_second"].append(per_second)
            found[f"bare_{kind}_p50"].append(middle)
        for clients in CLIENTS:
            order = list(servers.items())
            for name, server in order if number % 2 else reversed(order):
                before = server.cpu_seconds()
                answered = load(server.url, pictures, clients=clients, seconds=seconds, body=server.body)
                _note(found, f"{name}_{clients}", answered, server.cpu_seconds() - before, seconds)
    return dict(found)


def _note(found: Runs, name: str, answered: Load, cpu: float, seconds: float) -> None:
    found[f"{name}_per_second"].append(answered.per_second)
    found[f"{name}_p50"].append(answered.p50_seconds)
    found[f"{name}_p99"].append(answered.p99_seconds)
    found[f"{name}_errors"].append(answered.errors)
    found[f"{name}_client_share"].append(answered.client_share)
    found[f"{name}_cpu_per_image"].append(cpu / max(1.0, answered.per_second * seconds))


def _figures(runs: Runs, memory: dict[str, int]) -> list[Figure]:
    def ratio(upper: str, lower: str, *, times: float = 1.0) -> tuple[float, str]:
        each = [a / (times * b) for a, b in zip(runs[upper], runs[lower], strict=True)]
        return statistics.median(each), f"median of {len(each)} rounds, {min(each):.2f} to {max(each):.2f}"

    def figure(name: str, found: tuple[float, str]) -> Figure:
        return Figure(name=name, value=found[0], note=found[1])

    ratios = {
        "against_minimal": ratio("lineside_8_per_second", "minimal_8_per_second"),
        "against_two_cores": ratio("lineside_8_per_second", "bare_lineside_per_second", times=2.0),
        "against_two_cores_opencv": ratio("lineside_8_per_second", "bare_opencv_per_second", times=2.0),
        "p50_against_bare": ratio("lineside_1_p50", "bare_lineside_p50"),
        "cpu_against_minimal": ratio("lineside_8_cpu_per_image", "minimal_8_cpu_per_image"),
    }
    if "litserve_8_per_second" in runs:
        ratios["against_litserve"] = ratio("lineside_8_per_second", "litserve_8_per_second")
    errors = sum(sum(values) for name, values in runs.items() if name.endswith("_errors"))
    shares = [max(values) for name, values in runs.items() if name.endswith("_client_share")]
    return [
        *(figure(name, found) for name, found in ratios.items()),
        Figure(name="errors", value=errors, note="answers other than 2xx, of all servers"),
        Figure(name="client_share", value=max(shares), note="of one core, taken by wrk; the largest of all runs"),
        Figure(name="resident", value=memory["lineside"], unit="B", note="proportional, of the station after the load"),
        *_plainly(runs),
    ]


def _plainly(runs: Runs) -> list[Figure]:
    """Medians over the rounds of what the ratios are made of."""
    units: dict[str, Any] = {"_per_second": "1/s", "_p50": "s", "_p99": "s", "_cpu_per_image": "s"}
    return [
        Figure(name=name, value=statistics.median(values), unit=unit, note="median over the rounds")
        for name, values in runs.items()
        for ending, unit in units.items()
        if name.endswith(ending)
    ]
