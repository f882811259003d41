"""Video files and network cameras through the real OpenCV; skipped where that is not installed."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import ConfigurationError, LinkError
from contracts.frame import Decision
from edge_agent.agent import Agent
from edge_agent.sources.address import parse_address
from edge_agent.sources.device import Ended
from edge_agent.sources.settings import CameraSettings
from edge_agent.sources.video import file_opener, load_opencv, stream_opener, usb_opener
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.port import free_port
from tests.simulators.rtsp_camera import RtspCamera
from tests.simulators.small_bundle import picture

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install -c constraints.txt '.[video]'")

LEVELS = (60, 180, 90, 200, 100)  # dark ones are good, bright ones scratched


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Five frames of Motion JPEG."""
    return write_film(tmp_path / "film.avi", LEVELS)


def write_film(path: Path, levels: tuple[int, ...]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for number, level in enumerate(levels):
        writer.write(np.ascontiguousarray(picture(level, number, 64)[:48]))
    writer.release()
    return path


def camera(address: Path | str, **changes: Any) -> CameraSettings:
    return CameraSettings(
        name="cam-a", address=str(address), **{"every_seconds": 0.0, "silent_seconds": 1.0, **changes}
    )


def on_record(agent: Agent) -> list[tuple[int, Decision]]:
    entries = agent.core.record.entries(limit=1000)[::-1]
    return [(entry.verdict.frame.sequence, entry.verdict.decision) for entry in entries]


GOOD, BAD = Decision.OK, Decision.NG
WHOLE = [(0, GOOD), (1, BAD), (2, GOOD), (3, BAD), (4, GOOD)]


class TestFile:
    def test_is_read_frame_by_frame_to_its_end(self, film: Path, make_agent: MakeAgent) -> None:
        agent = make_agent(cameras=(camera(film),))
        wait_for(lambda: len(on_record(agent)) == 5 and agent.cameras["cam-a"]._supervisor.ended)
        assert on_record(agent) == WHOLE
        assert agent.view().troubles == []
        assert agent.core.station.faults == {}

    def test_goes_on_behind_what_is_on_record_after_a_restart(self, film: Path, make_agent: MakeAgent) -> None:
        agent = make_agent(cameras=(camera(film, every_seconds=0.3),))
        wait_for(lambda: len(on_record(agent)) >= 2)
        agent.close()
        before = len(on_record_of(agent))
        assert before < 5
        agent = make_agent(cameras=(camera(film),))
        wait_for(lambda: len(on_record(agent)) == 5)
        assert on_record(agent) == WHOLE

    def test_can_be_played_again_and_again(self, film: Path, make_agent: MakeAgent) -> None:
        agent = make_agent(cameras=(camera(film, at_end="again"),))
        wait_for(lambda: len(on_record(agent)) >= 12)
        assert [decision for _, decision in on_record(agent)][:10] == [decision for _, decision in WHOLE] * 2

    def test_has_its_colours_the_right_way_round(self, tmp_path: Path) -> None:
        path = tmp_path / "red.avi"
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
        red = np.zeros((48, 64, 3), np.uint8)
        red[:, :, 2] = 200  # OpenCV writes BGR
        writer.write(red)
        writer.release()
        device = file_opener(parse_address(str(path)), again=False)()
        assert device.grab()
        image = device.retrieve().image
        assert image.shape == (48, 64, 3)
        assert image[:, :, 0].mean() > 150 > 50 > image[:, :, 2].mean()
        with pytest.raises(Ended):
            device.grab()
        device.close()

    def test_that_is_not_there_is_waited_for(self, tmp_path: Path, make_agent: MakeAgent) -> None:
        agent = make_agent(cameras=(camera(tmp_path / "film.avi"),))
        wait_for(lambda: agent.view().troubles)
        assert "cannot be read (No such file or directory)" in agent.view().troubles[0]
        write_film(tmp_path / "film.avi", LEVELS)
        wait_for(lambda: len(on_record(agent)) == 5)

    def test_that_is_no_video_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.avi"
        path.write_bytes(b"not a video at all" * 100)
        with pytest.raises(LinkError, match="cannot be opened"):
            file_opener(parse_address(str(path)), again=False)()

    def test_cut_short_gives_what_it_has(self, film: Path) -> None:
        film.write_bytes(film.read_bytes()[: film.stat().st_size * 8 // 10])
        device = file_opener(parse_address(str(film)), again=False)()
        assert device.grab()
        with pytest.raises(Ended):
            [device.grab() for _ in range(4)]
        device.close()


def on_record_of(agent: Agent) -> list[int]:
    """Of an agent that is closed: from its file."""
    with closing(sqlite3.connect(agent.settings.state_folder / "agent.sqlite")) as db:
        return [number for (number,) in db.execute("SELECT sequence FROM verdicts")]


class SilentServer:
    """Takes connections and answers with `answer`, or never."""

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.received = b""
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._socket.accept()
            except OSError:
                return
            self._taken.append(taken)
            threading.Thread(target=self._answer_all, args=(taken,), daemon=True).start()

    def _answer_all(self, taken: socket.socket) -> None:
        try:
            while data := taken.recv(10_000):
                self.received += data
                if self._answer:
                    number = data.partition(b"CSeq: ")[2].partition(b"\r\n")[0]
                    taken.sendall(self._answer.replace(b"CSEQ", number))
        except OSError:
            return

    def close(self) -> None:
        self._socket.close()
        for taken in self._taken:
            taken.close()


@pytest.fixture
def silent_server() -> Iterator[SilentServer]:
    server = SilentServer()
    yield server
    server.close()


@pytest.fixture
def network_camera() -> Iterator[RtspCamera]:
    device = RtspCamera(np.ascontiguousarray(picture(180, 0, 64)[:48]), user="viewer", password="pass word/1")
    yield device
    device.stop()


class TestNetworkCamera:
    def test_is_inspected_and_found_again_after_every_way_of_dying(
        self, network_camera: RtspCamera, tmp_path: Path, make_agent: MakeAgent
    ) -> None:
        (tmp_path / "password").write_text("pass word/1\n")
        address = f"rtsp://127.0.0.1:{network_camera.port}/live"
        agent = make_agent(cameras=(camera(address, user="viewer", password_file=tmp_path / "password"),))
        wait_for(lambda: len(on_record(agent)) >= 3)
        assert {decision for _, decision in on_record(agent)} == {BAD}
        for die, live in (
            (network_camera.hang_up, lambda: None),
            (lambda: setattr(network_camera, "frozen", True), lambda: setattr(network_camera, "frozen", False)),
            (network_camera.stop, network_camera.start),
        ):
            die()
            wait_for(lambda: agent.view().troubles)
            live()
            wait_for(lambda: not agent.view().troubles)
            before = len(on_record(agent))
            wait_for(lambda before=before: len(on_record(agent)) >= before + 3)
        assert agent.core.station.faults == {}

    def test_that_is_not_there_is_told_with_what_to_check(self, make_agent: MakeAgent) -> None:
        port = free_port()
        agent = make_agent(cameras=(camera(f"rtsp://127.0.0.1:{port}/live?secret=1"),))
        wait_for(lambda: agent.view().troubles)
        (trouble,) = agent.view().troubles
        assert trouble.startswith(f"camera cam-a (rtsp://127.0.0.1:{port}): it cannot be opened.")
        assert "network cable, its address, and user and password_file" in trouble
        assert agent.core.station.faults == {"cam-a": "dead"}

    def test_that_takes_the_connection_and_says_nothing_is_given_up(self, silent_server: SilentServer) -> None:
        address = parse_address(f"rtsp://127.0.0.1:{silent_server.port}/live")
        with pytest.raises(LinkError):
            stream_opener(address, credentials=None, silent_seconds=0.5)()

    def test_password_is_used_and_never_shown(
        self, make_agent: MakeAgent, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        refusal = b'RTSP/1.0 401 Unauthorized\r\nCSeq: CSEQ\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'
        server = SilentServer(refusal)
        (tmp_path / "password").write_text("pass word/1\n")
        address = f"rtsp://127.0.0.1:{server.port}/live"
        agent = make_agent(cameras=(camera(address, user="viewer", password_file=tmp_path / "password"),))
        wait_for(lambda: agent.view().troubles)
        messages = agent.core.outbox.waiting(after=0, limit=1000)
        told = [message.envelope.model_dump_json() for message in messages]
        said = capfd.readouterr()
        everything = "".join([*agent.view().troubles, *told, said.out, said.err, caplog.text])
        wait_for(lambda: b"Authorization: Basic dmlld2VyOnBhc3Mgd29yZC8x" in server.received)  # viewer:pass word/1
        server.close()
        assert "cam-a" in everything
        assert not [secret for secret in ("pass word", "pass%20word", "viewer", "dmlld2V") if secret in everything]

    def test_password_file_that_is_missing_stops_the_start(self, tmp_path: Path, make_agent: MakeAgent) -> None:
        with pytest.raises(ConfigurationError, match="cannot read a secret"):
            make_agent(cameras=(camera("rtsp://127.0.0.1/x", user="u", password_file=tmp_path / "none"),))


def test_usb_camera_that_is_not_there_is_said() -> None:
    with pytest.raises(LinkError, match="cannot be opened"):
        usb_opener(parse_address("/dev/video97"), width=None, height=None)()


def test_missing_opencv_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigurationError, match=r"pip install -c constraints.txt '.\[video\]'"):
        load_opencv()


def test_opencv_is_not_loaded_unless_a_camera_wants_it() -> None:
    code = "import sys, edge_agent.agent; sys.exit('cv2' in sys.modules or 'harvesters' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
