"""The line test: two cameras at 60 % of capacity while everything else that a station does goes on.

    python -m benchmarks.line --json benchmarks/reports/line.json

An hour, ten minutes with `--quick`. The cameras are a process of their own that triggers on schedule and keeps the
ledger. Meanwhile an outbox that an outage has filled drains to a real broker, two bundles are released one after the
other, images are uploaded and the image buffer fills to its quota. Model and pictures are those of
`benchmarks.serving` (`--data` holds `elpv/`, `bsdata/` and `weights/`), or `--bundle`. Capacity is measured with wrk.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from benchmarks.harness import Measured, add_data, main
from benchmarks.line.cadence import Cadence
from benchmarks.line.centre import SITE
from benchmarks.line.ledger import balance, read_ledger, recorded
from benchmarks.line.shift import CAMERAS, Load, Shift
from benchmarks.line.verdict import Facts, figures, slices, stalls
from benchmarks.serving.load import load
from benchmarks.serving.over_http import made, written_pictures
from runtime.bundle import Bundle, open_bundle, write_bundle_manifest

_SHARE = 0.6
_HOUR, _QUICK = 3600.0, 600.0


def measure(options: argparse.Namespace) -> Measured:
    """Bundles, then the capacity, then the shift."""
    seconds = options.seconds or (_QUICK if options.quick else _HOUR)
    with tempfile.TemporaryDirectory(prefix="lineside-line-") as name:
        folder = Path(name)
        bundle = open_bundle(options.bundle) if options.bundle else made(options.data, folder)
        pictures = written_pictures(options.data, folder)
        shift = Shift(folder, [dated(bundle, folder, days) for days in (0, 1)], Load())
        try:
            return _shift(shift, pictures, seconds=seconds, keep=options.keep)
        finally:
            shift.close()


def dated(bundle: Bundle, folder: Path, days: int) -> Bundle:
    """The same model as another bundle of this line's site, made so many days later."""
    place = folder / f"made-{days}"
    shutil.copytree(bundle.path, place)
    made_at = bundle.manifest.created_at + timedelta(days=days)
    fields = bundle.manifest.model_dump(exclude={"files"}) | {"site": SITE, "created_at": made_at}
    return open_bundle(place, expected_hash=write_bundle_manifest(place, fields))


def _shift(shift: Shift, pictures: list[Path], *, seconds: float, keep: Path | None) -> Measured:
    with shift.station() as server:
        load(server.url, pictures, clients=2, seconds=9)  # a window for the outbox
    waiting = shift.fill_outbox()
    with shift.station() as server:
        capacity = load(server.url, pictures, clients=8, seconds=10).per_second
        cadence = Cadence(server.url, CAMERAS, _SHARE * capacity, seconds, tuple(map(str, pictures)))
        ledger = shift.state.parent / "ledger"
        diary = shift.run(cadence, ledger)
    parts = read_ledger(ledger)
    if keep is not None:
        shutil.copy(ledger, keep)
    centre = shift.centre
    facts = Facts(capacity, waiting, centre.heard, centre.activations, centre.door.uploads, Load().quota_bytes)
    found = figures(cadence, parts, balance(parts, recorded(shift.state), triggers=cadence.triggers), facts, diary)
    p50 = next(figure.value for figure in found if figure.name == "p50") or 0.0
    details = {
        "diary": diary.entries,
        "slices": slices(cadence, parts),
        "stalls": stalls(parts, over=3 * p50)[:200],
        "gauges": diary.gauges[:: max(1, len(diary.gauges) // 50)],
    }
    return Measured(found, json.loads(json.dumps(details)))


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--bundle", type=Path, help="a bundle instead of the one made here")
    parser.add_argument("--seconds", type=float, help="another length; only the whole hour counts")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the cameras' ledger here")


if __name__ == "__main__":
    main("line", measure, add_arguments=_arguments)
