"""A device serves the fastest variant that is certified for it or proves itself there, and says which and why."""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from contracts.bundle import Precision
from contracts.certificate import Certificate
from contracts.channel import Release
from contracts.errors import BundleError
from contracts.schema import EXAMPLE_FOLDER
from contracts.telemetry import Event, EventKind
from edge_agent import selection
from edge_agent.engines import Engines
from edge_agent.selection import Selector
from runtime import targets, trial
from runtime.bundle import Bundle
from runtime.machine import device_class
from runtime.session import Session
from runtime.targets import Model, Runner
from runtime.trial import Trials
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_follower import Shelf
from tests.simulators.small_bundle import write_small_bundle

OTHER = "aarch64" if device_class() != "aarch64" else "x86-vnni"
CPU, SECOND, BUILT = "onnxruntime-cpu/fp32", "second-cpu/fp32", "builder/fp32"
EXPECTED = [0.998, 0.002]


class SecondCpu:
    """A target for tests: onnxruntime under another name."""

    name = "second-cpu"
    precisions: tuple[Precision, ...] = ("fp32",)
    graph = "x86"

    def unavailable(self) -> str | None:
        return None

    def device_class(self) -> str:
        return device_class()

    def version(self) -> str:
        return "1.0"

    def open(self, model: Model) -> Runner:
        return targets.targets()["onnxruntime-cpu"].open(model)


class Builder(SecondCpu):
    """One that builds an engine first: a file with its version."""

    name = "builder"
    release = "1.0"

    def version(self) -> str:
        return self.release

    def built(self, data: bytes, *, precision: Precision, engines: Path) -> bool:
        return (engines / f"engine-{self.release}").exists()

    def build(
        self, data: bytes, *, precision: Precision, file: str, engines: Path, progress: Callable[[str, float], bool]
    ) -> None:
        if not progress("building", 0.5):
            raise BundleError("stopped")
        (engines / f"engine-{self.release}").touch()


@pytest.fixture(autouse=True)
def _second_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets of these tests, beside onnxruntime."""
    known = {"onnxruntime-cpu": targets.targets()["onnxruntime-cpu"], "second-cpu": SecondCpu(), "builder": Builder()}
    for module in (targets, selection, "runtime.choice", "edge_agent.engines"):
        name = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{name}.targets", lambda: known)
    monkeypatch.setattr(trial, "try_bundle", lambda *_, **__: None)  # another process does not know these targets


class Memory:
    """A store's facts."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}

    def fact(self, name: str) -> str | None:
        return self.facts.get(name)

    def remember(self, name: str, value: str) -> None:
        self.facts[name] = value


def certificate(variant: str, where: str, *, passed: bool = True) -> dict[str, Any]:
    example = json.loads((EXAMPLE_FOLDER / "v1" / "manifest.json").read_text(encoding="utf-8"))["certificates"][0]
    reasons = () if passed else ("it answers otherwise",)
    changed = {**example, "variant": variant, "device_class": where, "passed": passed, "reasons": reasons}
    return Certificate.model_validate(changed).model_dump(mode="json")


def bundle_with(
    folder: Path,
    *certificates: dict[str, Any],
    variants: tuple[str, ...] = (CPU, SECOND),
    spoilt: str = "",
    failed: str = "",
) -> Bundle:
    """A small bundle; the golden answers of the `spoilt` variant are wrong, the `failed` one did not pass here."""
    if failed:
        certificates = (*certificates, certificate(failed, device_class(), passed=False))
    probe_of = write_small_bundle(folder / "plain").manifest.golden_samples[0]
    right = probe_of.expected[CPU]
    expected = {name: right if name != spoilt else right[::-1] for name in variants}
    return write_small_bundle(
        folder / "bundle",
        variants=[
            {"target": name.split("/")[0], "precision": name.split("/")[1], "file": "model.onnx"} for name in variants
        ],
        golden_samples=[{"file": probe_of.file, "expected": expected}],
        certificates=list(certificates),
        default_variant=variants[0],
    )


def selector(memory: Memory | None = None, folder: Path = Path(os.devnull), variant: str | None = None) -> Selector:
    trials = Trials(folder / "trials.json")
    return Selector(memory or Memory(), variant=variant, threads=1, engines=folder, trials=trials)


def timed(monkeypatch: pytest.MonkeyPatch, **milliseconds: float) -> None:
    """Instead of a clock."""
    times = {name.replace("_", "-") + "/fp32": value for name, value in milliseconds.items()}
    monkeypatch.setattr(selection, "_seconds", lambda bundle, found, _: {name: [times[name]] * 20 for name in found})


def test_the_fastest_certified_variant_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, onnxruntime_cpu=2.0, second_cpu=1.0)
    bundle = bundle_with(tmp_path, certificate(CPU, device_class()), certificate(SECOND, device_class()))
    inspector, chosen = selector().select(bundle)
    assert (inspector.session.variant, chosen.variant, chosen.basis) == (SECOND, SECOND, "certificate")
    assert chosen.note == ""
    assert inspector.session.runtime == "second-cpu 1.0"


def test_the_line_passes_before_everything_that_proves_and_times_a_variant(tmp_path: Path) -> None:
    breaths: list[None] = []
    bundle = bundle_with(tmp_path, certificate(CPU, device_class()), certificate(SECOND, device_class()))
    trials = Trials(tmp_path / "trials.json")
    breathe = partial(breaths.append, None)
    Selector(Memory(), variant=None, threads=1, engines=tmp_path, trials=trials, breathe=breathe).select(bundle)
    assert len(breaths) == 2 * 2 + 2 * 23  # one golden sample, twice; 23 times of each variant


@pytest.mark.parametrize("serving", [False, True])
def test_a_variant_is_loaded_behind_the_line_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: bool
) -> None:
    asked: list[bool] = []

    def open_it(self: SecondCpu, model: Model) -> Runner:
        asked.append(model.background)
        return targets.targets()["onnxruntime-cpu"].open(model)

    monkeypatch.setattr(SecondCpu, "open", open_it)
    trials = Trials(tmp_path / "trials.json")
    found = Selector(
        Memory(), variant=SECOND, threads=1, engines=tmp_path, trials=trials, serving=lambda: serving
    ).select(bundle_with(tmp_path))
    assert (asked, found[1].variant) == ([serving], SECOND)


def test_a_faster_variant_without_a_certificate_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, onnxruntime_cpu=2.0, second_cpu=1.0)
    _, chosen = selector().select(bundle_with(tmp_path, certificate(CPU, device_class())))
    assert chosen.variant == CPU


def test_on_another_class_a_variant_proves_itself_and_it_is_said(tmp_path: Path) -> None:
    bundle = bundle_with(tmp_path, certificate(CPU, OTHER), certificate(SECOND, OTHER))
    _, chosen = selector().select(bundle)
    assert (chosen.variant, chosen.basis) == (CPU, "golden samples")
    assert f"without a certificate for {device_class()}: it was proven here" in chosen.note


def test_one_that_answers_otherwise_here_gives_its_place_and_it_is_said(tmp_path: Path) -> None:
    _, chosen = selector().select(bundle_with(tmp_path, spoilt=CPU))
    assert chosen.variant == SECOND
    assert "away from the certified answer" in chosen.passed_over[CPU]
    assert f"passed over: {CPU}" in chosen.note


def test_one_that_failed_its_certificate_here_is_not_even_tried(tmp_path: Path) -> None:
    bundle = bundle_with(tmp_path, certificate(CPU, device_class(), passed=False))
    _, chosen = selector().select(bundle)
    assert chosen.variant == SECOND
    assert chosen.passed_over[CPU] == "its certificate did not pass: it answers otherwise"


def test_where_nothing_may_serve_every_reason_is_named(tmp_path: Path) -> None:
    bundle = bundle_with(tmp_path, certificate(SECOND, device_class(), passed=False), spoilt=CPU)
    with pytest.raises(BundleError, match=r"no variant may serve here: .*did not pass.*away from the certified"):
        selector().select(bundle)


def test_the_choice_is_remembered_until_a_runtime_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, memory = bundle_with(tmp_path), Memory()
    timed(monkeypatch, onnxruntime_cpu=2.0, second_cpu=1.0)
    assert selector(memory).select(bundle)[1].variant == SECOND
    timed(monkeypatch, onnxruntime_cpu=1.0, second_cpu=2.0)
    assert selector(memory).select(bundle)[1].variant == SECOND
    monkeypatch.setattr(SecondCpu, "version", lambda self: "1.1")
    assert selector(memory).select(bundle)[1].variant == CPU


def test_what_was_chosen_and_fails_now_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, memory = bundle_with(tmp_path), Memory()
    timed(monkeypatch, onnxruntime_cpu=2.0, second_cpu=1.0)
    assert selector(memory).select(bundle)[1].variant == SECOND

    def broken(self: SecondCpu, data: bytes, **options: object) -> Runner:
        raise BundleError("it does not load any more")

    monkeypatch.setattr(SecondCpu, "open", broken)
    _, chosen = selector(memory).select(bundle)
    assert chosen.variant == CPU
    assert chosen.passed_over[SECOND] == "it does not load any more"


def test_the_settings_decide_where_they_name_one(tmp_path: Path) -> None:
    _, chosen = selector(variant=SECOND).select(bundle_with(tmp_path, certificate(CPU, device_class())))
    assert (chosen.variant, chosen.basis) == (SECOND, "settings")
    assert "because the settings say so" in chosen.note


def test_until_the_engine_of_the_variant_in_the_settings_is_built_another_serves(tmp_path: Path) -> None:
    bundle, folder = bundle_with(tmp_path, variants=(CPU, BUILT)), tmp_path / "engines"
    _, chosen = selector(folder=folder, variant=BUILT).select(bundle)
    assert chosen.variant == CPU
    assert [each.name for each in chosen.unbuilt] == [BUILT]
    folder.mkdir(exist_ok=True)
    (folder / "engine-1.0").touch()
    assert selector(folder=folder, variant=BUILT).select(bundle)[1].variant == BUILT


def test_without_an_agent_a_variant_that_needs_an_engine_is_not_the_first_choice(tmp_path: Path) -> None:
    both = bundle_with(tmp_path / "both", variants=(BUILT, CPU))
    assert Session(both).variant == CPU
    alone = bundle_with(tmp_path / "alone", variants=(BUILT, CPU), failed=CPU)
    with pytest.raises(BundleError, match="builder/fp32: an agent has to build its engine first"):
        Session(alone)


def test_an_engine_is_built_while_another_variant_serves(
    tmp_path: Path, make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch, onnxruntime_cpu=2.0, builder=1.0)
    bundle = bundle_with(tmp_path, variants=(CPU, BUILT))
    waiting = threading.Event()
    build = Builder.build

    def patient(self: Builder, data: bytes, **options: Any) -> None:
        waiting.wait(30)
        build(self, data, **options)

    monkeypatch.setattr(Builder, "build", patient)
    agent = make_agent(bundle=bundle)
    active = agent.core.station.active
    assert active is not None
    assert active.session.variant == CPU
    assert active.selection is not None
    assert active.selection.passed_over[BUILT] == "its engine is not built yet"
    waiting.set()
    wait_for(lambda: agent.core.station.active and agent.core.station.active.session.variant == BUILT)
    assert agent.birth().runtime == "builder 1.0"


def test_after_an_upgrade_the_engine_is_built_anew_meanwhile_another_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch, onnxruntime_cpu=2.0, builder=1.0)
    bundle, folder = bundle_with(tmp_path, variants=(CPU, BUILT)), tmp_path / "engines"
    folder.mkdir()
    (folder / "engine-1.0").touch()
    memory = Memory()
    assert selector(memory, folder).select(bundle)[1].variant == BUILT
    monkeypatch.setattr(Builder, "release", "2.0")
    _, chosen = selector(memory, folder).select(bundle)
    assert chosen.variant == CPU
    assert [each.name for each in chosen.unbuilt] == [BUILT]
    (folder / "engine-2.0").touch()
    assert selector(memory, folder).select(bundle)[1].variant == BUILT


@pytest.mark.parametrize("failure", [BundleError("an operator is not supported"), OSError("no space left")])
def test_an_engine_that_cannot_be_built_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    bundle = bundle_with(tmp_path, variants=(CPU, BUILT))
    tries: list[str] = []

    def failing(self: Builder, data: bytes, *, file: str, **options: object) -> None:
        tries.append(file)
        raise failure

    monkeypatch.setattr(Builder, "build", failing)
    built: list[Bundle] = []
    engines, stopping = Engines(tmp_path / "engines", built=built.append), threading.Event()
    thread = threading.Thread(target=engines.run, args=(stopping,))
    thread.start()
    for _ in range(3):
        engines.want(bundle, bundle.manifest.variant(BUILT))
    wait_for(lambda: len(tries) == 1 and engines.building is None)
    stopping.set()
    thread.join(10)
    assert built == []
    assert len(tries) == 1


def test_a_bundle_that_does_not_load_again_keeps_its_variant(
    tmp_path: Path, make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_with(tmp_path, variants=(CPU, SECOND))
    agent = make_agent(bundle=bundle)
    active = agent.core.station.active

    def broken(place: Path, bundle_hash: str) -> None:
        raise BundleError("it cannot be read")

    monkeypatch.setattr(agent.core.loader, "load", broken)
    agent.core.bundles.renew(bundle)
    assert agent.core.station.active is active
    assert agent.failure is None


def test_the_page_says_what_is_not_certified_for_this_device(tmp_path: Path, make_agent: MakeAgent) -> None:
    bundle = bundle_with(tmp_path, certificate(CPU, OTHER), variants=(CPU,))
    agent = make_agent(bundle=bundle)
    assert (agent.view().variant, agent.view().certified) == (CPU, False)
    page = urllib.request.urlopen(agent.url + "/").read().decode()
    assert CPU in page
    assert "not certified for this kind of device" in page


@pytest.mark.parametrize("where", [device_class(), OTHER])
def test_the_activation_says_which_variant_and_on_which_evidence(
    tmp_path: Path, make_agent: MakeAgent, where: str
) -> None:
    bundle = bundle_with(tmp_path, certificate(CPU, where), variants=(CPU,))
    agent = make_agent(bundle=None)
    release = Release(number=7, bundle_hash=bundle.hash)
    assert agent.core.bundles.install(Shelf(bundle), release, "released")
    bodies = [message.envelope.body for message in agent.core.outbox.waiting(after=0, limit=100)]
    (event,) = [body for body in bodies if isinstance(body, Event) and body.event is EventKind.BUNDLE_ACTIVATED]
    certified = where == device_class()
    assert event.details["variant"] == CPU
    assert event.details["basis"] == ("certificate" if certified else "golden samples")
    assert event.details["release"] == 7
    assert event.reason.startswith("released")
    assert ("without a certificate" in event.reason) == (not certified)
