"""A station with everything on, compared over HTTP with less and with others, interleaved in one run.

    python -m benchmarks.serving --litserve PYTHON --json benchmarks/reports/serving.json

Model: ImageNet MobileNetV2 in int8 with a head trained on mono cells (`--data` holds `elpv/`, `bsdata/` and
`weights/`), or `--bundle`. Images: 640x480 JPEGs of a spindle. `--litserve` is the interpreter of an environment with
LitServe (`python -m venv lit; lit/bin/pip install -c constraints.txt litserve`, and a `.pth` file with the path of this
one's packages); without it its figures are not measured. The load is wrk (`apt-get install wrk`) for all; OpenCV comes
with the extra `video`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.harness import Measured, Parts, add_data, add_parts, main, measure_parts
from benchmarks.serving import images, over_http, vector
from benchmarks.serving.over_http import made

PARTS: Parts = {"http": over_http.measure, "images": images.measure, "vector": vector.measure}


def measure(options: argparse.Namespace) -> Measured:
    """The figures of every part asked for, over one bundle."""
    with tempfile.TemporaryDirectory(prefix="lineside-serving-") as name:
        if options.bundle is None and options.only != ["images"]:
            options.bundle = made(options.data, Path(name)).path
        return measure_parts(PARTS, options)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--bundle", type=Path, help="a bundle with onnxruntime-cpu/int8 instead of the one made here")
    parser.add_argument("--litserve", type=Path, metavar="PYTHON", help="interpreter of an environment with LitServe")
    add_parts(parser, PARTS)


if __name__ == "__main__":
    main("serving", measure, add_arguments=_add_arguments)
