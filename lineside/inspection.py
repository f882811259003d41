"""Verdicts by command: a bundle and some pictures, no service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from contracts.errors import LinesideError
from contracts.frame import Decision
from runtime.bundle import Bundle, open_bundle
from runtime.decision import Decided, decide
from runtime.preprocessing import ImageError, decode, prepare, size_of
from runtime.session import Session
from runtime.tasks import Found, found

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_COLOURS = {"OK": "green", "NG": "red", "REVIEW": "yellow", "NO_VERDICT": "magenta"}


def run_inspect(bundle_path: Path, images: Sequence[Path], *, variant: str | None, as_json: bool) -> bool:
    """Print a verdict for each picture (folders are searched); returns whether every one could be judged."""
    bundle = open_bundle(bundle_path)
    session = Session(bundle, variant=variant)
    all_judged = True
    for path in _pictures(images):
        try:
            decided, beside = inspect_file(path, bundle, session)
        except ImageError as error:
            all_judged = False
            _print_refusal(path, error, as_json=as_json)
        else:
            _print_verdict(path, decided, beside, bundle, as_json=as_json)
    return all_judged


def inspect_file(path: Path, bundle: Bundle, session: Session) -> tuple[Decided, Found]:
    """The decision on one picture, and what is found beside the class. Raises ImageError when it cannot be read."""
    spec = bundle.manifest.preprocessing
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    inference = session.infer(prepare(decode(data, spec), spec))
    decided = decide(inference.probabilities, bundle.manifest)
    stopped = decided.decision is not Decision.OK
    return decided, found(inference, bundle.manifest.tasks, spec, size_of(data, spec), stopped=stopped)


def _pictures(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(entry for entry in path.rglob("*") if entry.suffix.lower() in _IMAGE_SUFFIXES)
        elif path.exists():
            yield path
        else:
            raise LinesideError(f"{path} does not exist")


def _print_verdict(path: Path, decided: Decided, beside: Found, bundle: Bundle, *, as_json: bool) -> None:
    decision = decided.decision.value
    if as_json:
        import json

        row = {"path": str(path), "decision": decision, "label": decided.label, "defect_score": decided.defect_score}
        severity = None if beside.severity is None else beside.severity.model_dump()
        further = {} if bundle.manifest.tasks is None else {"severity": severity, "box": beside.box}
        print(json.dumps({**row, **further, "bundle_hash": bundle.hash}))
        return
    said = [f"severity {beside.severity.name}"] if beside.severity and beside.severity.level else []
    said += [f"at {' '.join(f'{side:g}' for side in beside.box)}"] if beside.box else []
    Console(highlight=False, soft_wrap=True).print(
        f"[{_COLOURS[decision]}]{decision:6}[/] {decided.label:14} defect score {decided.defect_score:.3f} "
        f"(NG from {bundle.manifest.thresholds.ng:.3f})  {', '.join([*said, str(path)])}"
    )


def _print_refusal(path: Path, error: ImageError, *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps({"path": str(path), "decision": "NO_VERDICT", "reason": str(error)}))
        return
    Console(highlight=False, soft_wrap=True).print(f"[magenta]NO_VERDICT[/] {path}: {error}")
