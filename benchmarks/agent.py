"""How fast one edge agent is, everything included, and how it behaves when too much is asked of it.

The agent runs as a user would run it: record, windows, outbox, drift vector, camera rules and image buffer are on. The
model is the shipped small backbone, trained for a moment on the simulated line and exported to int8 (or `--bundle`).
Throughput is stated per second of processor time, which other programs do not change, and by the clock.
"""

from __future__ import annotations

import argparse
import http.client
import io
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.harness import Measured, main
from contracts.frame import Frame
from contracts.report import Figure
from edge_agent.agent import Agent
from edge_agent.settings import AgentSettings, BundleSettings, WebSettings
from edge_agent.source import Capture
from lineside.line import Conditions, SimulatedLine, write_dataset
from runtime.bundle import Bundle, open_bundle
from runtime.latency import measure as measure_latency
from runtime.session import Inference, Session

CAPACITY_PER_SECOND = 50.0
OFFERED_TIMES = 4
MODEL_SECONDS = 0.0015

Picture = NDArray[np.uint8] | bytes


class Pictures:
    """A source that hands on the given pictures in turn, as fast as they are taken."""

    name = "pictures"

    def __init__(self, pictures: Sequence[Picture], count: int) -> None:
        self._pictures, self._count = pictures, count
        self.finished = threading.Event()
        self._closed = threading.Event()

    def captures(self) -> Iterator[Capture | None]:
        """`count` captures."""
        for number in range(self._count):
            frame = Frame(part_id=f"p-{number}", sequence=number, triggered_at=datetime.now(UTC))
            yield Capture(frame, self._pictures[number % len(self._pictures)])
        yield None
        self.finished.set()
        self._closed.wait()

    def close(self) -> None:
        """No more."""
        self._closed.set()


class SlowSession:
    """Takes a fixed time for an image, with the interpreter free meanwhile: a known capacity."""

    def __init__(self, session: Session, seconds: float) -> None:
        self._session, self._seconds = session, seconds
        self.variant = session.variant

    def infer(self, tensor: NDArray[np.float32], *, limit_seconds: float | None = None) -> Inference:
        """The answer, later."""
        due = time.perf_counter() + self._seconds
        answer = self._session.infer(tensor)
        time.sleep(max(0.0, due - time.perf_counter()))
        return answer


def measure(options: argparse.Namespace) -> Measured:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="lineside-agent-") as folder:
        bundle = open_bundle(options.bundle or made_apart(Path(folder), quick=options.quick))
        images = 400 if options.quick else 4000
        figures = [
            *throughput(bundle, Path(folder), images),
            encoded_throughput(bundle, Path(folder), images // 4),
            single_client(bundle, Path(folder), 50 if options.quick else 500),
            *overload(bundle, Path(folder), 2.0 if options.quick else 15.0),
        ]
        manifest = bundle.manifest
        size = f"{manifest.preprocessing.width}x{manifest.preprocessing.height}"
        return Measured(figures, details={"variant": manifest.default_variant, "input": size, "images": images})


def made_apart(folder: Path, *, quick: bool) -> Path:
    """A bundle made in a process of its own, so that the trainer's memory is not taken for the agent's."""
    process = multiprocessing.get_context("spawn").Process(target=make_bundle, args=(folder, quick))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError("the bundle could not be made; see above")
    return folder / "bundle"


def make_bundle(folder: Path, quick: bool) -> None:
    """The shipped backbone with a head for the simulated line; its accuracy does not matter here."""
    from exporter.export import export
    from lineside.train_options import TrainOptions
    from lineside.training import train_model

    line = SimulatedLine(seed=11)
    data = write_dataset(
        folder / "data", line, line.cameras, Conditions(product="cap", defect_rate=0.3), 200 if quick else 400
    )
    options = TrainOptions(data=data, out=folder / "run", workspace=folder / "workspace", product="cap", threads=1)
    train_model(options, lambda *_, **__: None)
    export(folder / "run", folder / "bundle", threads=1)


def simulated_pictures(count: int) -> list[NDArray[np.uint8]]:
    """Different pictures [128, 128, 3], as one camera of the simulated line sends them."""
    line = SimulatedLine(seed=5)
    return [line.next_part(line.cameras[0], Conditions(product="cap", defect_rate=0.1)).image for _ in range(count)]


@contextmanager
def running(bundle: Bundle, folder: Path, *sources: Pictures) -> Iterator[Agent]:
    """An agent with its defaults, on a free port, with a state folder of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as state:
        settings = AgentSettings(
            site="plant",
            agent="agent-1",
            state_folder=Path(state),
            production=False,
            web=WebSettings(port=0),
            bundle=BundleSettings(path=bundle.path, hash=bundle.hash),
        )
        agent = Agent(settings, sources)
        try:
            agent.start()
            yield agent
        finally:
            agent.close()


def throughput(bundle: Bundle, folder: Path, images: int) -> list[Figure]:
    """Images per second of pixels that come from a camera; what is not inference; and memory."""
    session = Session(bundle)
    spec = bundle.manifest.preprocessing
    tensor = np.zeros((spec.inputs, 3, spec.height, spec.width), np.float32)
    inference = processor_seconds(lambda: session.infer(tensor), 300)
    source = Pictures(simulated_pictures(300), images)
    wall, cpu = time.perf_counter(), time.process_time()
    with running(bundle, folder, source):
        wall, cpu = time.perf_counter(), time.process_time()
        source.finished.wait()
        wall, cpu = (time.perf_counter() - wall) / images, (time.process_time() - cpu) / images
        memory = resident_bytes()
    latency = measure_latency(session, tensor, runs=200)
    note = f"{images} pictures of 128 x 128; record, windows, outbox, drift vector, camera rules, buffer of 10 %"
    return [
        Figure(name="images_per_cpu_second", value=round(1 / cpu, 1), unit="1/s", note=note),
        Figure(name="images_per_second", value=round(1 / wall, 1), unit="1/s", note=f"by the clock; {note}"),
        Figure(
            name="overhead_seconds", value=round(cpu - inference, 6), unit="s", note="processor time beside inference"
        ),
        Figure(
            name="images_per_cpu_second_at_1500us",
            value=round(1 / (cpu - inference + MODEL_SECONDS), 1),
            unit="1/s",
            note="had the model taken 1.5 ms: 1 / (overhead + 1.5 ms)",
        ),
        Figure(name="inference_p50_seconds", value=round(latency.p50_seconds, 6), unit="s", note="the session alone"),
        Figure(name="resident_bytes", value=memory, unit="B", note="this process with its pictures, model loaded"),
    ]


def encoded_throughput(bundle: Bundle, folder: Path, images: int) -> Figure:
    """The same with JPEG files of 640 x 480."""
    files = []
    for pixels in simulated_pictures(50):
        file = io.BytesIO()
        Image.fromarray(pixels).resize((640, 480)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    source = Pictures(files, images)
    with running(bundle, folder, source):
        cpu = time.process_time()
        source.finished.wait()
        cpu = (time.process_time() - cpu) / images
    note = f"{images} JPEG files of 640 x 480, decoding included"
    return Figure(name="images_per_cpu_second_jpeg", value=round(1 / cpu, 1), unit="1/s", note=note)


def single_client(bundle: Bundle, folder: Path, images: int) -> Figure:
    """Time to a verdict over HTTP that is on record, one client."""
    files = [png(pixels) for pixels in simulated_pictures(50)]
    with running(bundle, folder) as agent:
        seconds = sorted(post(agent.url, files[n % 50])[1] for n in range(images))
    note = f"{images} PNG files, one client on the same machine; the verdict is on disk before the answer"
    return Figure(name="http_p50_seconds", value=round(seconds[len(seconds) // 2], 5), unit="s", note=note)


def overload(bundle: Bundle, folder: Path, seconds: float) -> list[Figure]:
    """Four times the capacity, offered at fixed times whether or not earlier requests have been answered."""
    files = [png(pixels) for pixels in simulated_pictures(50)]
    count = int(seconds * CAPACITY_PER_SECOND * OFFERED_TIMES)
    answers: list[tuple[int, float]] = []
    with running(bundle, folder) as agent:
        inspector = agent.core.station.active
        if inspector is None:
            raise RuntimeError("the agent has no bundle")
        inspector.session = SlowSession(inspector.session, 1 / CAPACITY_PER_SECOND)  # type: ignore[assignment]
        capacity = saturated(lambda n: post(agent.url, files[n % 50])[0] == 200, seconds / 2)
        began = time.perf_counter()
        offer(lambda n: answers.append(post(agent.url, files[n % 50])), count, began)
        elapsed = time.perf_counter() - began
    good = [took for status, took in answers if status == 200]
    refused = sorted(took for status, took in answers if status == 503)
    others = len(answers) - len(good) - len(refused)
    note = f"{count} images offered in {seconds:g} s to an agent that did {capacity:.0f}/s just before"
    return [
        Figure(
            name="overload_goodput_share", value=round(len(good) / elapsed / capacity, 4), note=f"of capacity; {note}"
        ),
        Figure(name="overload_p99_seconds", value=percentile(sorted(good), 0.99), unit="s", note=f"answered; {note}"),
        Figure(name="overload_refusal_p99_seconds", value=percentile(refused, 0.99), unit="s", note=f"refused; {note}"),
        Figure(name="overload_other_answers", value=others, note="neither 200 nor 503"),
    ]


def saturated(send: Callable[[int], bool], seconds: float) -> float:
    """Successful calls per second by four clients that each wait for their answer before they ask again."""
    done: list[bool] = []
    began = time.perf_counter()

    def work() -> None:
        while time.perf_counter() - began < seconds:
            done.append(send(len(done)))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - began)


def offer(send: Callable[[int], object], count: int, began: float) -> None:
    """Call `send(n)` for n < count at 1 / (4 x capacity) after one another, from as many threads as that takes."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            due = began + number / (CAPACITY_PER_SECOND * OFFERED_TIMES)
            time.sleep(max(0.0, due - time.perf_counter()))
            send(number)

    workers = [threading.Thread(target=work) for _ in range(32)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def post(url: str, image: bytes) -> tuple[int, float]:
    """(status, seconds) of one image on a connection of its own."""
    host, _, port = url.removeprefix("http://").partition(":")
    began = time.perf_counter()
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("POST", "/v1/inspect", image, {"Content-Type": "image/png"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.perf_counter() - began
    finally:
        connection.close()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """As a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def processor_seconds(action: Callable[[], Any], times: int) -> float:
    """Processor time of one call, in the mean, warm."""
    for _ in range(20):
        action()
    began = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - began) / times


def percentile(ordered: list[float], share: float) -> float | None:
    """Of values in order; None where there are none."""
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 5) if ordered else None


def resident_bytes() -> float | None:
    """Memory of this process; None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return float(pages) * 4096


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="an exported bundle instead of the shipped backbone")


if __name__ == "__main__":
    main("agent", measure, add_arguments=_arguments)
