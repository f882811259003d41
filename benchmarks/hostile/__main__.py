"""Does the loader refuse what is hostile, clearly, and without harm to whoever asked?

    python -m benchmarks.hostile --json benchmarks/reports/hostile.json

`--bundle` is the sound bundle to start from; without it ImageNet MobileNetV2 with a head trained on mono cells is
exported (`--data` holds `elpv/` and `weights/`). Hashes are made right again after each change, as an insider would.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured, add_data, main
from benchmarks.hostile.caller import ACCEPTED, CRASHED, HUNG, REFUSED, UNCLEAR, Caller
from benchmarks.hostile.cases import Case, Maker, cases
from benchmarks.int8 import trained_source
from contracts.report import Figure
from exporter.export import export_source
from runtime.bundle import Bundle, open_bundle

Found = list[tuple[Case, dict[str, Any]]]


def measure(options: argparse.Namespace) -> Measured:
    """The sound bundle first, which must be accepted; then the hostile ones, one after the other."""
    with tempfile.TemporaryDirectory(prefix="lineside-hostile-") as name:
        folder = Path(name)
        bundle = open_bundle(options.bundle) if options.bundle else _exported(options.data, folder)
        variants = [variant.name for variant in bundle.manifest.variants]
        count = 60 if options.quick else options.count
        caller = Caller(folder)
        try:
            sound = [caller.ask(bundle.path, variant) for variant in variants]
            found = _asked(caller, Maker(bundle), cases(count, variants, seed=options.seed), folder / "case")
        finally:
            caller.close()
    return Measured(_figures(sound, found), _details(found))


def _exported(data: Path, folder: Path) -> Bundle:
    return export_source(trained_source(data, folder, images=160), folder / "sound")


def _asked(caller: Caller, maker: Maker, all_cases: list[Case], folder: Path) -> Found:
    found = []
    for case in all_cases:
        maker.write(case, folder)
        found.append((case, caller.ask(folder, case.variant)))
        if len(found) % 100 == 0:
            print(f"{len(found)} of {len(all_cases)}", file=sys.stderr, flush=True)
    return found


def _figures(sound: list[dict[str, Any]], found: Found) -> list[Figure]:
    outcomes = Counter(answer["outcome"] for _, answer in found)
    sound_accepted = sum(answer["outcome"] == ACCEPTED for answer in sound)
    harmless = outcomes[REFUSED] + outcomes[ACCEPTED]
    note = f"{len(found)} hostile bundles"
    peaks = {key: max(answer.get(key, 0) for _, answer in found) for key in ("caller_bytes", "trial_bytes")}
    tried = [answer["seconds"] for answer in sound]
    return [
        Figure(name="sound_refused", value=len(sound) - sound_accepted, note="variants of the sound bundle"),
        Figure(name="refused_share", value=outcomes[REFUSED] / len(found), note=f"with a clear error, of {note}"),
        Figure(name="accepted", value=outcomes[ACCEPTED], note=f"sound after all: they answer as certified; of {note}"),
        Figure(name="handled_share", value=harmless / len(found), note=f"refused clearly, or sound; of {note}"),
        Figure(name="unclear", value=outcomes[UNCLEAR], note="another error than a clear BundleError"),
        Figure(name="crashed", value=outcomes[CRASHED], note="of the caller"),
        Figure(name="hung", value=outcomes[HUNG], note="of the caller"),
        Figure(name="caller_peak", value=peaks["caller_bytes"], unit="B", note="resident, over all"),
        Figure(name="trial_peak", value=peaks["trial_bytes"], unit="B", note="resident, of the trials' processes"),
        Figure(
            name="slowest", value=max(answer.get("seconds", 0.0) for _, answer in found), unit="s", note="to refuse"
        ),
        Figure(name="sound_seconds", value=max(tried), unit="s", note="to open a sound bundle, trial included"),
    ]


def _details(found: Found) -> dict[str, Any]:
    kinds: dict[str, Counter[str]] = {}
    for case, answer in found:
        kinds.setdefault(case.kind, Counter())[answer["outcome"]] += 1
    odd = [
        {"number": case.number, "kind": case.kind, "variant": case.variant, **answer}
        for case, answer in found
        if answer["outcome"] != REFUSED
    ]
    examples = {case.kind: answer["reason"][:300] for case, answer in found if answer["outcome"] == REFUSED}
    slowest = {kind: max(a.get("seconds", 0.0) for c, a in found if c.kind == kind) for kind in kinds}
    return {"kinds": {kind: dict(each) for kind, each in kinds.items()}, "not_refused": odd, "examples": examples,
            "slowest_seconds": slowest}  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--bundle", type=Path, help="start from this sound bundle")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)


if __name__ == "__main__":
    main("hostile", measure, add_arguments=_arguments)
