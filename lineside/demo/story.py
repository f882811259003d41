"""The story of the demo, chapter by chapter. Each chapter says what it does, waits for the product to act, and notes
what happened; nothing here decides anything that the product decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.report import Figure
from lineside.demo.backstage import Backstage
from lineside.demo.engineer import Engineer
from lineside.demo.first import int8_figures, write_gold, yardstick_figures
from lineside.demo.live import LiveRecord
from lineside.demo.measure import Quality, quality_of_bundle, quality_of_run
from lineside.demo.narrator import Narrator
from lineside.demo.scene import CAMERAS, Labelled, NoHarm, Scene
from lineside.demo.settings import Pace, Shortened
from lineside.demo.watcher import StoryError, Watcher
from lineside.plant import Plant
from lineside.stream.control import write_control
from lineside.train_options import TrainOptions
from lineside.training import export_model, export_settings, train_model
from runtime.bundle import Bundle, open_bundle
from trainer.trained import load_run

ENDED = {"promoted", "refused", "withdrawn"}


@dataclass
class Notes:
    """What happened, for the figures."""

    quality: dict[str, Quality] = field(default_factory=dict)
    false_drifts_before: int | None = None
    quiet_windows: int = 0
    tickets_for_dirt: int | None = None
    retrains_for_dirt: int | None = None
    drift_delay_windows: float | None = None
    labels_used: int | None = None
    people_asked: int | None = None
    loop_seconds: float | None = None
    refused_worse_candidate: bool | None = None
    withdrawn_bad_release: bool | None = None
    bundles: dict[str, Bundle] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    extra: list[Figure] = field(default_factory=list)


@dataclass
class Story:
    """Plays one scene on one plant."""

    scene: Scene
    plant: Plant
    watcher: Watcher
    narrator: Narrator
    backstage: Backstage
    live: LiveRecord
    shortened: Shortened
    pace: Pace
    folder: Path
    weights: Path | None = None
    notes: Notes = field(default_factory=Notes)
    scene_can_harm: bool = True

    def tell(self) -> None:
        """All chapters in order. Raises LinesideError when one cannot go on."""
        self.first_model()
        self.go_live()
        self.commissioning()
        self.quiet_hours()
        self.nuisance()
        if self.scene_can_harm:
            self.harmful_drift()
            self.recovery()
        self.worse_candidate()
        self.bad_release()
        self.look_back()

    # chapters -------------------------------------------------------------------------------------------------------

    def first_model(self) -> None:
        """Images -> model -> certified bundle, in this process."""
        self.narrator.chapter("The first model", f"training for site {self.scene.site!r}")
        home = self.scene.write_home(self.folder / "home")
        options = TrainOptions(
            data=home,
            out=self.folder / "first" / "run",
            workspace=self.plant.workspace,
            site=self.scene.site,
            product=self.scene.product,
            weights=self.weights,
            good_labels=self.scene.good_labels,
            owner="the demo",
            licence=self.scene.licence,
            permitted_use="demonstration",
            seed=self.scene.seed,
            threads=self.backstage.threads,
            yardstick=True,
        )
        with self.narrator.working("training ..."):
            model = train_model(options, lambda *_, **__: None)
        metrics = model.record.test_metrics
        self.narrator.good(
            f"trained in {model.record.seconds:.0f} s: balanced accuracy {metrics.balanced_accuracy or 0:.3f} "
            f"on {metrics.examples} images nobody trained on"
        )
        with self.narrator.working("exporting ..."):
            settings = export_settings(components=self.shortened.components)
            bundle = export_model(model, self.folder / "first" / "bundle", threads=1, settings=settings)
        self.notes.bundles["before"] = bundle
        self._settle_shift(bundle)
        self.backstage.prepare(home, bundle)
        self.notes.extra += [*yardstick_figures(model), *int8_figures(bundle)]
        for certificate in bundle.manifest.certificates:
            self.narrator.say(
                f"{certificate.variant}: same answer on {certificate.argmax_agreement:.1%} of {certificate.images}, "
                f"{certificate.latency.p50_seconds * 1000:.2f} ms, {'passed' if certificate.passed else 'refused'}"
            )

    def _settle_shift(self, bundle: Bundle) -> None:
        """Which change will come: one that harms this model."""

        def wrong(images: Iterator[Labelled]) -> float:
            return 1.0 - (quality_of_bundle(bundle, images, "").accuracy or 0.0)

        try:
            tried = self.scene.settle_shift(wrong)
        except NoHarm as error:
            self.scene_can_harm = False
            self.notes.reasons["no harm"] = str(error)
            self.narrator.bad(str(error))
        else:
            if tried:
                self.notes.reasons["shift"] = tried

    def go_live(self) -> None:
        """Registry, broker, monitor and agent; release 1 is published, fetched, verified, probed, activated."""
        self.narrator.chapter("Going live", f"monitor {self.plant.monitor_url}  operator {self.plant.agent_url}")
        self.plant.init_registry()
        self.plant.start_broker()
        self.plant.start_monitor(self.shortened.of_monitor())
        control, truth = self.folder / "line" / "control.json", self.folder / "line" / "truth.jsonl"
        control.parent.mkdir(parents=True, exist_ok=True)
        self._line("home", paused=True)
        self.plant.start_agent(self.shortened.of_agent(), self.scene.stream(control, truth))
        gold = write_gold(
            self.folder / "first" / "gold.csv", load_run(self.folder / "first" / "run").snapshot.of("test")
        )
        state, reason = self._submit(self.notes.bundles["before"].path, "the site's first model", gold_csv=str(gold))
        if state != "promoted":
            raise StoryError(f"release 1 was not published: {reason}")
        self._wait(self.watcher.agent_follows, "the agent serves release 1", 60)
        self.narrator.good("release 1 is fetched, verified, probed and active")

    def commissioning(self) -> None:
        """The monitor learns what normal looks like, from the served bundle on this machine."""
        count = self.shortened.commissioning_windows
        self.narrator.chapter("Commissioning", f"learning the normal state from {count} windows a camera")
        self._line("home")
        self._wait(lambda: self.watcher.all_cameras(len(CAMERAS), "OK"), "every camera is commissioned", 240)
        self.narrator.good("every camera has its profile")

    def quiet_hours(self) -> None:
        """Nothing happens, and nothing may be raised."""
        self.narrator.chapter("Quiet hours", f"{self.pace.quiet_windows} windows a camera with nothing wrong")
        before = self.watcher.windows()
        drifts = len(self.watcher.drifts())
        goal = {camera: count + self.pace.quiet_windows for camera, count in before.items()}
        self._wait(
            lambda: all(self.watcher.windows()[camera] >= goal[camera] for camera in goal), "the hours passed", 240
        )
        self.notes.quiet_windows = sum(self.watcher.windows()[camera] - before[camera] for camera in goal)
        self.notes.false_drifts_before = len(self.watcher.drifts()) - drifts
        self.narrator.good(f"{self.notes.quiet_windows} windows, {self.notes.false_drifts_before} drifts raised")

    def nuisance(self) -> None:
        """Dirt on one lens: a ticket in plain words, no retrain."""
        self.narrator.chapter("A dirty lens", self.scene.nuisance)
        retrains = len(self.watcher.retrains())
        self._line("nuisance")
        tickets: list[dict[str, object]] = []
        try:
            self._wait(lambda: bool(self.watcher.tickets()), "a ticket is opened", 60)
        except StoryError as error:
            self.narrator.bad(str(error))
        else:
            tickets = self.watcher.tickets()
            self.narrator.good(f"ticket: {tickets[0]['title']}")
        self.notes.tickets_for_dirt = len(tickets)
        self._line("home")
        self._settle(2)
        for ticket in tickets:
            self.watcher.post(f"/v1/incidents/{ticket['incident_id']}/repaired", {"by": "operator-7"})
        if tickets:
            self.narrator.say("the lens is cleaned, and a person clicks 'repaired'", mark="☞")
            self._wait(lambda: self.watcher.all_cameras(len(CAMERAS), "OK"), "every camera is quiet again", 90)
        self.notes.retrains_for_dirt = len(self.watcher.retrains()) - retrains

    def harmful_drift(self) -> None:
        """The product changes for good: drift, labels, proof of harm, retrain, gate, replay, shadow, promotion. Once
        the retrain is done the offline model, to compare with, is trained on the same labels."""
        self.narrator.chapter("A drift that harms", self.scene.shift)
        began, windows, drifts = time.monotonic(), self.watcher.windows(), len(self.watcher.drifts())
        self._line("shifted")
        self._wait(lambda: len(self.watcher.drifts()) > drifts, "drift is raised", 90)
        self.notes.drift_delay_windows = self._delay(self.watcher.drifts()[drifts], windows)
        self.narrator.good(f"drift raised in window {self.notes.drift_delay_windows:.0f} after the change")
        self._wait(lambda: bool(self.watcher.retrains()), "harm is proven and a retrain ordered", 240)
        self._line("shifted", parts_per_second=self.pace.busy_parts_per_second)
        self._wait(lambda: bool(self.watcher.retrained()), "the retrained model is handed in", 900)
        self._line("shifted")
        order = max((self.plant.folder / "monitor").rglob("order.json"), key=lambda path: path.stat().st_mtime)
        self.backstage.train_offline(order, self.plant.workspace)
        first = self.watcher.release(1)["bundle_hash"]
        engineer = Engineer(self.watcher, self.narrator)

        def decided() -> bool:
            engineer.step()
            return self.watcher.active()["bundle_hash"] != first or bool(self.watcher.refusals())

        self._wait(decided, "the retrain is decided", 600)
        if self.watcher.active()["bundle_hash"] == first:
            raise StoryError(f"the retrained candidate was refused: {self.watcher.refusals()}")
        self.notes.loop_seconds = time.monotonic() - began
        self.notes.labels_used = self.watcher.operator.answered
        self.notes.people_asked = engineer.asked
        self.notes.bundles["after"] = self._bundle(self.watcher.active()["bundle_hash"])
        self._wait(self.watcher.agent_follows, "the agent serves the new release", 60)
        self.narrator.good(
            f"release {self.watcher.active()['number']} is active, {self.notes.labels_used} labels were used"
        )

    def recovery(self) -> None:
        """How good the new release is on the line."""
        self.narrator.chapter("Recovery", "the new release on the line")
        self._line("shifted")
        self._settle(self.pace.after_windows)

    def worse_candidate(self) -> None:
        """Somebody submits a candidate that is worse: refused, with the reason."""
        self.narrator.chapter("A candidate that is worse", "trained from labels of which most are shuffled")
        self._line("shifted", parts_per_second=self.pace.busy_parts_per_second)
        state, reason = self._submit(self.backstage.candidate("worse"), "a colleague's quick try")
        self.notes.refused_worse_candidate = state == "refused"
        self.notes.reasons["worse"] = reason
        (self.narrator.good if state == "refused" else self.narrator.bad)(f"{state}: {reason}")

    def bad_release(self) -> None:
        """A release that passes the gate and is wrong on the line: withdrawn by itself."""
        convention = self.backstage.convention
        self.narrator.chapter("A release that is wrong on the line", f"a rater's convention: {convention}")
        before = self.watcher.active()["bundle_hash"]
        gold = {"csv": str(self.backstage.wrong_gold()), "reason": "new rating convention", "by": "rater-3"}
        self.watcher.post("/v1/gold", gold)
        self.watcher.operator.reports_wrong_verdicts = True
        rater = Engineer(self.watcher, self.narrator, name="rater-3", origin="hand")
        bundle = self.backstage.candidate("wrong")
        state, reason = self._submit(bundle, "follows the new convention", meanwhile=rater.step)
        if state != "promoted":
            self.narrator.bad(f"{state}: {reason}")
            self.notes.withdrawn_bad_release = False
            return
        bad = self.watcher.active()["bundle_hash"]
        self._line("shifted")
        self.narrator.say(f"release {self.watcher.active()['number']} is active; the line goes on", mark="☞")
        patience = self.pace.withdrawal_patience_seconds
        try:
            self._wait(lambda: self.watcher.active()["bundle_hash"] != bad, "the release is withdrawn", patience)
        except StoryError as error:
            self.notes.withdrawn_bad_release = False
            self.notes.reasons["withdrawn"] = f"{error}: too few labels prove what is wrong with it"
            self.narrator.bad(self.notes.reasons["withdrawn"])
            return
        self._wait(self.watcher.agent_follows, "the agent serves the old release again", 60)
        self.notes.withdrawn_bad_release = self.watcher.active()["bundle_hash"] == before
        self.notes.reasons["withdrawn"] = self.watcher.why_closed(bad)
        self.narrator.good(f"withdrawn: {self.notes.reasons['withdrawn']}")

    def look_back(self) -> None:
        """Everything is measured once more, on the line's record and on images nobody trained on."""
        self.narrator.chapter("Looking back", "accuracy before, during and after")
        self._line("shifted", paused=True)
        self._wait(self._line_is_still, "the last parts are on record", 30)
        self._measure_on_the_line()
        self._measure_held_out()

    def idle(self) -> None:
        """The line goes on slowly."""
        self._line("shifted", parts_per_second=5.0)

    # measuring ------------------------------------------------------------------------------------------------------

    def _measure_on_the_line(self) -> None:
        if not self.scene_can_harm:
            return
        live = self.live.quality()
        before, after = (self.notes.bundles[key].hash for key in ("before", "after"))
        for name, key in (
            ("before", ("home", before)),
            ("drifted", ("shifted", before)),
            ("after", ("shifted", after)),
        ):
            if key in live:
                self.notes.quality[name] = live[key]

    def _measure_held_out(self) -> None:
        note = "images nobody trained on"
        before = self.notes.bundles["before"]
        self.notes.quality["home_before"] = quality_of_bundle(before, self.scene.test_set("home"), note)
        if not self.scene_can_harm:
            return
        after = self.notes.bundles["after"]
        self.notes.quality["home_after"] = quality_of_bundle(after, self.scene.test_set("home"), note)
        held_out = quality_of_bundle(after, self.scene.test_set("shifted"), note)
        self.notes.quality["after_held_out"] = held_out
        if self.scene.judged_on_held_out:
            self.notes.quality["before"] = self.notes.quality["home_before"]
            self.notes.quality["drifted"] = quality_of_bundle(before, self.scene.test_set("shifted"), note)
            self.notes.quality["after"] = held_out
        offline = load_run(self.backstage.offline_run())
        note = "images nobody trained on; float model, all labels at once"
        self.notes.quality["offline"] = quality_of_run(offline, self.scene.test_set("shifted"), note)

    def _delay(self, drift: dict[str, Any], windows: dict[str, int]) -> float:
        """Full windows of the camera between the change and the drift."""
        camera = str(drift["camera"]).split("/")[-1]
        return float(self.watcher.windows()[camera] - windows[camera])

    def _bundle(self, bundle_hash: str) -> Bundle:
        """The bundle as the monitor keeps it."""
        folder = self.plant.folder / "monitor" / "bundles" / bundle_hash
        return open_bundle(folder, expected_hash=bundle_hash)

    # steering --------------------------------------------------------------------------------------------------------

    def _line(self, era: str, *, parts_per_second: float = 0.0, paused: bool = False) -> None:
        control = self.scene.control(era, parts_per_second=parts_per_second, paused=paused)
        write_control(self.folder / "line" / "control.json", control)

    def _wait(self, happened: Callable[[], bool], what: str, patience_seconds: float) -> None:
        self.watcher.wait_until(happened, what, patience_seconds=patience_seconds)

    def _settle(self, windows: int) -> None:
        """Let that many windows a camera pass."""
        goal = {camera: count + windows for camera, count in self.watcher.windows().items()}
        self._wait(
            lambda: all(self.watcher.windows()[camera] >= goal[camera] for camera in goal),
            f"{windows} windows passed",
            240,
        )

    def _line_is_still(self) -> bool:
        before = self.watcher.windows()
        time.sleep(0.5)
        return before == self.watcher.windows()

    def _submit(
        self, bundle: Path, reason: str, *, meanwhile: Callable[[], None] = lambda: None, **more: str
    ) -> tuple[str, str]:
        """Hand in a candidate and wait for what becomes of it: (state, why)."""
        body = {"bundle_folder": str(bundle), "reason": reason, "submitted_by": "engineer-2", **more}
        candidate_id = self.watcher.post("/v1/candidates", body)["candidate_id"]

        def candidate() -> dict[str, Any]:
            return next(entry for entry in self.watcher.candidates() if entry["candidate_id"] == candidate_id)

        def decided() -> bool:
            meanwhile()
            return candidate()["state"] in ENDED

        self._wait(decided, "the candidate is decided", 300)
        found = candidate()
        return found["state"], found["closing"] or ""
