"""What a station costs: megabytes installed, megabytes resident while serving, seconds from its start to ready.

    python -m benchmarks.footprint --json benchmarks/reports/footprint.json

Each set of extras is installed into an environment of its own, from this checkout and with its constraints; pip and
setuptools are not counted. The agent then runs from `[edge]` alone, with an int8 MobileNetV2 (`--bundle`, or one that
is made from `--data`), and answers pictures of 640x480 pixels.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import benchmarks
from benchmarks.harness import Measured, add_data, main
from benchmarks.serving.over_http import made, written_pictures
from benchmarks.serving.servers import Server, environment, lineside
from contracts.errors import ConfigurationError
from contracts.report import Figure
from runtime.bundle import Bundle, open_bundle

_ROOT = Path(benchmarks.__file__).parents[1]
_EXTRAS = {"installed": "edge", "installed_with_openvino": "edge,openvino"}
_NOT_COUNTED = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")
_COMPILE = """
import compileall, site
packages = site.getsitepackages()[0]
compileall.compile_dir(packages, quiet=2)
print(packages)
"""
_STARTS, _IMAGES = 7, 300


def measure(options: argparse.Namespace) -> Measured:
    """Every figure; `--quick` installs `[edge]` alone and starts once."""
    with tempfile.TemporaryDirectory(prefix="lineside-footprint-") as name:
        folder = Path(name)
        wanted = dict(list(_EXTRAS.items())[:1]) if options.quick else _EXTRAS
        environments = {figure: _installed(folder / figure, extras) for figure, extras in wanted.items()}
        figures = [
            Figure(name=figure, value=float(installed_bytes(python)), unit="B", note=f"[{wanted[figure]}], without pip")
            for figure, python in environments.items()
        ]
        bundle = open_bundle(options.bundle) if options.bundle else made(options.data, folder)
        pictures = [path.read_bytes() for path in written_pictures(options.data, folder)]
        return Measured([*figures, *_running(environments["installed"], bundle, pictures, folder, options.quick)])


def _installed(folder: Path, extras: str) -> Path:
    """The interpreter of a new environment with these extras. Raises ConfigurationError with what pip said."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, env=environment(checkout=False))
    words = ["-m", "pip", "install", "--quiet", "--no-compile", "-c", "constraints.txt", f".[{extras}]"]
    python = folder / "bin" / "python"
    answer = subprocess.run(
        [python, *words], cwd=_ROOT, env=environment(checkout=False), capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise ConfigurationError(f"pip install '.[{extras}]' failed: {answer.stderr.strip()[-300:]}")
    return python


def installed_bytes(python: Path) -> int:
    """Bytes of what was installed beside the interpreter, byte code of the first run included."""
    said = subprocess.run(
        [python, "-c", _COMPILE], env=environment(checkout=False), capture_output=True, text=True, check=True
    ).stdout
    packages = Path(said.strip().splitlines()[-1])
    return sum(_bytes_of(each) for each in packages.iterdir() if not each.name.startswith(_NOT_COUNTED))


def _bytes_of(path: Path) -> int:
    return path.lstat().st_size if not path.is_dir() else sum(_bytes_of(each) for each in path.iterdir())


def _running(python: Path, bundle: Bundle, pictures: Sequence[bytes], folder: Path, quick: bool) -> list[Figure]:
    """The first start tries the bundle in a process of its own, the later ones know it."""
    starts, resident = [], 0
    for number in range(2 if quick else 1 + _STARTS):
        with _started(python, bundle, folder) as (server, seconds):
            starts.append(seconds)
            if number == 0:
                _inspect(server, pictures)
                resident = server.resident_bytes()
    first, again = starts[0], starts[1:]
    note = f"from the command to /ready, which asks the model; median of {len(again)}, largest {max(again):.2f}"
    return [
        Figure(name="resident", value=float(resident), unit="B", note=f"proportional, after {_IMAGES} images"),
        Figure(name="start_seconds", value=statistics.median(again), unit="s", note=note),
        Figure(name="first_start_seconds", value=first, unit="s", note="the same with a bundle that is tried first"),
    ]


@contextlib.contextmanager
def _started(python: Path, bundle: Bundle, state: Path) -> Iterator[tuple[Server, float]]:
    """An agent of that environment, and how long it took until it was ready."""
    began = time.monotonic()
    with lineside(bundle.path, bundle.hash, state, installed=python) as server:
        yield server, time.monotonic() - began


def _inspect(server: Server, pictures: Sequence[bytes]) -> None:
    address, _, path = server.url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=30)
    with contextlib.closing(connection):
        for number in range(_IMAGES):
            connection.request("POST", f"/{path}", pictures[number % len(pictures)], {"Content-Type": "image/jpeg"})
            if connection.getresponse().read() == b"":
                raise ConfigurationError("the station gave no answer")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--bundle", type=Path, help="a bundle with onnxruntime-cpu/int8 instead of the one made here")


if __name__ == "__main__":
    main("footprint", measure, add_arguments=_add_arguments)
