"""Verdicts by command: a bundle and some pictures, no service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from contracts.errors import LinesideError
from runtime.bundle import Bundle, open_bundle
from runtime.decision import Decided, decide
from runtime.preprocessing import ImageError, decode, prepare
from runtime.session import Session

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_COLOURS = {"OK": "green", "NG": "red", "REVIEW": "yellow", "NO_VERDICT": "magenta"}


def run_inspect(bundle_path: Path, images: Sequence[Path], *, variant: str | None, as_json: bool) -> bool:
    """Print a verdict for each picture (folders are searched); returns whether every one could be judged."""
    bundle = open_bundle(bundle_path)
    session = Session(bundle, variant=variant)
    all_judged = True
    for path in _pictures(images):
        try:
            decided = inspect_file(path, bundle, session)
        except ImageError as error:
            all_judged = False
            _print_refusal(path, error, as_json=as_json)
        else:
            _print_verdict(path, decided, bundle, as_json=as_json)
    return all_judged


def inspect_file(path: Path, bundle: Bundle, session: Session) -> Decided:
    """The decision on one picture. Raises ImageError when it cannot be read."""
    spec = bundle.manifest.preprocessing
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    probabilities = session.infer(prepare(decode(data, spec), spec)).probabilities
    return decide(probabilities, bundle.manifest)


def _pictures(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(entry for entry in path.rglob("*") if entry.suffix.lower() in _IMAGE_SUFFIXES)
        elif path.exists():
            yield path
        else:
            raise LinesideError(f"{path} does not exist")


def _print_verdict(path: Path, decided: Decided, bundle: Bundle, *, as_json: bool) -> None:
    decision = decided.decision.value
    if as_json:
        import json

        row = {"path": str(path), "decision": decision, "label": decided.label, "defect_score": decided.defect_score}
        print(json.dumps({**row, "bundle_hash": bundle.hash}))
        return
    Console(highlight=False, soft_wrap=True).print(
        f"[{_COLOURS[decision]}]{decision:6}[/] {decided.label:14} defect score {decided.defect_score:.3f} "
        f"(NG from {bundle.manifest.thresholds.ng:.3f})  {path}"
    )


def _print_refusal(path: Path, error: ImageError, *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps({"path": str(path), "decision": "NO_VERDICT", "reason": str(error)}))
        return
    Console(highlight=False, soft_wrap=True).print(f"[magenta]NO_VERDICT[/] {path}: {error}")
