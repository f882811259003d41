"""The story of an export: graph -> int8 -> certificates -> drift reference -> golden samples -> manifest -> bundle."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from contracts.bundle import MANIFEST_NAME, DriftReference, Precision, Variant
from contracts.certificate import Certificate
from contracts.errors import BundleError
from contracts.names import FilePath
from contracts.quantisation import Quantisation
from exporter.certificate import Answers, ask, certify, judge
from exporter.golden import write_golden_samples
from exporter.graph import export_graph, quiet
from exporter.precision import make_int8
from exporter.reference import write_other_references, write_reference
from exporter.settings import ExportSettings
from exporter.signatures import with_signatures
from exporter.source import Source, balanced, some, source_of, tensors
from exporter.variants import planned
from runtime.bundle import Bundle, open_bundle, write_bundle_manifest
from runtime.choice import fastest
from runtime.latency import fair_clock, interleaved_by_clocks, summary
from runtime.probe import probe
from runtime.session import Session
from trainer.card.file import write_card
from trainer.trained import TrainedModel, load_run

Progress = Callable[[str], None]

FILES: dict[Precision, FilePath] = {"int8": "model.int8.onnx", "fp32": "model.fp32.onnx"}
COARSER: dict[Precision, FilePath] = {"bf16": FILES["fp32"]}
"""What a float file may also be computed in, tried where no int8 passes."""
TENSORRT = Variant(target="tensorrt", precision="int8", file="model.tensorrt.onnx")
"""The weights that learned with rounding, in the graph that TensorRT fuses."""


def silent(step: str) -> None:
    """Tells nobody."""


def export(
    run: Path | TrainedModel,
    out: Path,
    *,
    threads: int = 1,
    progress: Progress = silent,
    settings: ExportSettings | None = None,
) -> Bundle:
    """The bundle of a training run, written to `out`, complete or not at all.

    The default variant is the fastest of those whose certificate passes (`runtime.choice.fastest`); a certificate that
    does not pass says why. `threads` is for torch and the runtimes alike. Raises BundleError, ConfigurationError (no
    finished run) and DatasetError (images missing or changed); `out` is then as it was.
    """
    model = load_run(run) if isinstance(run, Path) else run
    return export_source(source_of(model), out, threads=threads, progress=progress, settings=settings)


def export_source(
    source: Source,
    out: Path,
    *,
    threads: int = 1,
    progress: Progress = silent,
    settings: ExportSettings | None = None,
) -> Bundle:
    """`export` for a model that does not come from a run folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(f"{out} exists already and is not empty; choose another folder or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        with tempfile.TemporaryDirectory(prefix="lineside-export-") as scratch:
            _write(
                source, draft, Path(scratch), threads=threads, progress=progress, settings=settings or ExportSettings()
            )
        _check(draft, threads=threads)
        _publish(draft, out)
    finally:
        torch.set_num_threads(before)
        shutil.rmtree(draft, ignore_errors=True)
    progress("bundle written")
    return open_bundle(out)


def _write(
    source: Source, draft: Path, scratch: Path, *, threads: int, progress: Progress, settings: ExportSettings
) -> None:
    progress("writing the float model as ONNX")
    export_graph(source.module, source.signature, draft / FILES["fp32"])
    progress("quantising to int8")
    fp32, int8 = draft / FILES["fp32"], draft / FILES["int8"]
    quantisation = make_int8(source, fp32, int8, scratch, settings=settings, tell=progress)
    variants, sessions, answers = _compared(
        source, draft, threads=threads, progress=progress, settings=settings, refused=quantisation.reasons
    )
    unproven = _for_tensorrt(scratch, draft, progress) if quantisation.way == "qat" else ()
    seconds, compared = _seconds(source, sessions, settings)
    timed = {name: summary(values, threads) for name, values in seconds.items()}
    certificates = [
        _refused(
            certify(session, answers, source, latency=timed[session.variant], limits=settings.limits), quantisation
        )
        for session in sessions
    ]
    default, why = _default(certificates, compared)
    progress(f"{default.variant} serves: {why}")
    progress("fitting the drift references")
    references = _references(source, sessions, answers, draft, default=default.variant, settings=settings)
    progress("choosing golden samples")
    chosen = balanced(source.test, settings.golden_samples, seed=settings.seed)
    golden = write_golden_samples(chosen, sessions, source.preprocessing, draft)
    if source.card is not None:
        write_card(draft, source.card, _beside_card((*variants, *unproven)))
    write_bundle_manifest(
        draft,
        {
            "site": source.site,
            "product": source.product,
            "created_at": datetime.now(UTC),
            "labels": source.labels,
            "good_labels": source.good_labels,
            "preprocessing": source.preprocessing,
            "variants": (*variants, *unproven),
            "default_variant": default.variant,
            "thresholds": source.thresholds,
            "temperature": source.temperature,
            "drift_reference": references.pop(default.variant),
            "drift_references": references,
            "golden_samples": golden,
            "tasks": source.tasks,
            "quantisation": quantisation,
            "certificates": certificates,
            "test_metrics": default.metrics,
            "licence": source.licence,
            "lineage": source.lineage,
        },
    )


def _beside_card(variants: Sequence[Variant]) -> dict[str, str]:
    """Files of the bundle that a reader of its card may want, with what they are."""
    models: dict[str, str] = {}
    for variant in variants:
        models[variant.file] = f"{models[variant.file]}, {variant.name}" if variant.file in models else variant.name
    return {MANIFEST_NAME: "hashes, certificates of every variant", **models}


def _for_tensorrt(scratch: Path, draft: Path, progress: Progress) -> tuple[Variant, ...]:
    """A variant without a certificate: a device that has TensorRT proves it on the golden samples. None where the graph
    breaks TensorRT's rules."""
    with quiet():  # as it loads torchao
        from exporter.qat.write import SYMMETRIC, write_tensorrt

    try:
        write_tensorrt(scratch / SYMMETRIC, draft / TENSORRT.file)
    except BundleError as error:
        progress(f"no file for TensorRT: {error}")
        return ()
    return (TENSORRT,)


def _refused(certificate: Certificate, quantisation: Quantisation) -> Certificate:
    """One of int8 does not pass where held-out images already showed that too much is lost."""
    if not certificate.variant.endswith("/int8"):
        return certificate
    reasons = (*certificate.reasons, *quantisation.reasons)
    return certificate.model_copy(update={"passed": not reasons, "reasons": reasons})


def _session(source: Source, draft: Path, variant: Variant, threads: int) -> Session:
    return Session.of_model(
        (draft / variant.file).read_bytes(),
        variant=variant.name,
        signature=source.signature,
        temperature=source.temperature,
        threads=threads,
    )


def _compared(
    source: Source,
    draft: Path,
    *,
    threads: int,
    progress: Progress,
    settings: ExportSettings,
    refused: Sequence[str],
) -> tuple[tuple[Variant, ...], list[Session], Answers]:
    """The variants, loaded, and what they answer: int8 and fp32, and where no int8 passes (none does that is `refused`
    already) bfloat16 too."""
    variants = planned(FILES)
    progress(f"comparing {', '.join(variant.name for variant in variants)} with the trained model")
    sessions = [_session(source, draft, variant, threads) for variant in variants]
    answers = _ask(source, sessions, settings)
    int8 = [judge(each.name, answers, source, settings.limits) for each in variants if each.precision == "int8"]
    coarser = planned(COARSER)
    if not coarser or (not refused and any(not judged.reasons for judged in int8)):
        return variants, sessions, answers
    progress(f"no int8 passes; comparing {', '.join(variant.name for variant in coarser)}")
    more = [_session(source, draft, variant, threads) for variant in coarser]
    return (*variants, *coarser), [*sessions, *more], answers.with_those_of(_ask(source, more, settings))


def _ask(source: Source, sessions: Sequence[Session], settings: ExportSettings) -> Answers:
    test = some(source.test, settings.certificate_images, seed=settings.seed)
    lacking = max(0, settings.certificate_images_at_least - len(test))
    more = some([*source.validation, *source.train], lacking, seed=settings.seed)
    return ask(source, sessions, test, more)


def _seconds(
    source: Source, sessions: Sequence[Session], settings: ExportSettings
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Of one inference by variant, measured in turn on the same input: as they pass, and by the clock that compares."""
    tensor = next(tensors(source.test, source.preprocessing))
    calls = {session.variant: partial(session.infer, tensor) for session in sessions}
    passed, compared = interleaved_by_clocks(
        calls, [time.perf_counter, fair_clock(sessions)], runs=settings.latency_runs
    )
    return passed, compared


def _default(certificates: Sequence[Certificate], seconds: Mapping[str, Sequence[float]]) -> tuple[Certificate, str]:
    """Of the variant that serves, and why it does. Raises BundleError where none has passed."""
    passed = {one.variant: one for one in certificates if one.passed}
    if not passed:
        raise BundleError(f"no variant answers like the trained model: {'; '.join(certificates[-1].reasons)}")
    name, why = fastest({variant: seconds[variant] for variant in passed})
    return passed[name], why


def _references(
    source: Source,
    sessions: Sequence[Session],
    answers: Answers,
    draft: Path,
    *,
    default: str,
    settings: ExportSettings,
) -> dict[str, DriftReference]:
    """By variant name; a variant without one has that of the default variant, which alone has signatures."""
    fitted_on = some(source.train, settings.reference_images, seed=settings.seed)
    session = next(each for each in sessions if each.variant == default)
    serving = write_reference(source, session, fitted_on, draft, components=settings.components)
    fewer = some(fitted_on, settings.other_reference_images, seed=settings.seed)
    others = write_other_references(source, sessions, serving, answers.embeddings, fewer, draft, default=default)
    usual = some([*source.validation, *source.train], 4 * settings.fault_images, seed=settings.seed)
    spoilt = some(usual, settings.fault_images, seed=settings.seed)
    return {default: with_signatures(serving, source, session, draft, usual, spoilt), **others}


def _check(draft: Path, *, threads: int) -> None:
    """Open what was written as a station will, and probe every variant that was certified here."""
    bundle = open_bundle(draft)
    for certificate in bundle.manifest.certificates:
        probe(bundle, Session(bundle, variant=certificate.variant, threads=threads), limit_seconds=60.0, rounds=1)


def _publish(draft: Path, out: Path) -> None:
    """Everything on disk first, then one rename."""
    draft.chmod(0o755)
    for folder, _, files in os.walk(draft):
        for name in files:
            _sync(Path(folder) / name)
        _sync(Path(folder))
    if out.exists():
        out.rmdir()
    draft.rename(out)
    _sync(out.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
