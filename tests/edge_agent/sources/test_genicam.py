"""Industrial cameras through the real harvesters and the virtual cameras that come with the GenICam binding."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from contracts.errors import ConfigurationError, LinkError
from edge_agent.agent import Agent
from edge_agent.sources.genicam import Features, GenicamCamera, Producer, _picture, load_harvesters, producer_of
from edge_agent.sources.settings import CameraSettings
from tests.edge_agent.conftest import MakeAgent, wait_for

RED, GREEN = "0", "1"  # serial numbers


def virtual_producer() -> Path:
    """The producer with three virtual cameras, or the test is skipped."""
    found = importlib.util.find_spec("genicam")
    if importlib.util.find_spec("harvesters") is None or found is None or found.origin is None:
        pytest.skip("harvesters is not installed: pip install -c constraints.txt '.[genicam]'")
    file = Path(found.origin).parent / "viky.cti"
    if not file.is_file():
        pytest.skip(f"this build of the GenICam binding has no virtual cameras ({file})")
    return file


pytestmark = pytest.mark.optional  # not every platform has the binding


@pytest.fixture
def cti() -> Path:
    return virtual_producer()


def camera(cti: Path, name: str, serial: str, **changes: Any) -> CameraSettings:
    values = {"address": f"genicam:{serial}", "producer": cti, "every_seconds": 0.0, "silent_seconds": 5.0}
    return CameraSettings(name=name, **{**values, **changes})


def opened(producer: Producer, serial: str = RED, **features: Any) -> GenicamCamera:
    return GenicamCamera(producer, producer.open(serial, Features(**features)))


def count(agent: Agent, name: str) -> int:
    return len(agent.core.record.entries(limit=1000, camera=name))


def grab(camera: GenicamCamera) -> bool:
    """An image within some tries."""
    return any(camera.grab() for _ in range(5))


def test_two_cameras_of_one_producer_are_inspected_side_by_side(cti: Path, make_agent: MakeAgent) -> None:
    agent = make_agent(cameras=(camera(cti, "cam-a", RED), camera(cti, "cam-b", GREEN)))
    wait_for(lambda: count(agent, "cam-a") >= 3 and count(agent, "cam-b") >= 3)
    assert agent.view().troubles == []


def test_images_are_rgb_in_every_format_of_the_camera(cti: Path) -> None:
    producer = producer_of(cti)
    for pixel_format in ("RGBa8", "Mono8"):
        device = opened(producer, pixel_format=pixel_format)
        assert grab(device)
        image = device.retrieve().image
        device.close()
        assert (image.shape, image.dtype) == ((400, 400, 3), np.uint8)
        assert image.min() < image.max()


def test_one_is_opened_again_while_the_other_goes_on(cti: Path) -> None:
    producer = producer_of(cti)
    red, green = opened(producer, RED), opened(producer, GREEN)
    for _ in range(3):
        green.close()
        assert grab(red)
        green = opened(producer, GREEN)
        assert grab(green)
        assert grab(red)
    red.close()
    green.close()


def test_a_camera_that_is_in_use_is_said(cti: Path) -> None:
    producer = producer_of(cti)
    device = opened(producer)
    with pytest.raises(LinkError, match="another program uses it"):
        producer.open(RED, Features())
    device.close()
    opened(producer).close()


@pytest.mark.parametrize(
    ("serial", "message"), [("4711", "no camera is found with serial"), ("", "3 cameras are found")]
)
def test_a_camera_that_cannot_be_told_is_said(cti: Path, serial: str, message: str) -> None:
    with pytest.raises(LinkError, match=message):
        producer_of(cti).open(serial, Features())


@pytest.mark.parametrize("features", [Features(pixel_format="RGB12"), Features(line="Line0")])
def test_a_feature_that_the_camera_does_not_have_is_said(cti: Path, features: Features) -> None:
    producer = producer_of(cti)
    with pytest.raises(LinkError, match=r"it does not take (PixelFormat = RGB12|TriggerSelector = FrameStart)"):
        producer.open(RED, features)
    opened(producer).close()


def test_a_producer_that_is_not_there_is_said(tmp_path: Path) -> None:
    virtual_producer()
    with pytest.raises(ConfigurationError, match="there is no producer"):
        Producer(tmp_path / "none.cti")


def test_missing_harvesters_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harvesters", None)
    monkeypatch.setitem(sys.modules, "harvesters.core", None)
    with pytest.raises(ConfigurationError, match=r"pip install -c constraints.txt '.\[genicam\]'"):
        load_harvesters()


class Queue:
    """An acquirer that gives buffers with these ids; None: nothing came."""

    def __init__(self, *ids: int | None) -> None:
        self._ids = list(ids)
        self.out = 0

    def try_fetch(self, *, timeout: float) -> Any:
        number = self._ids.pop(0)
        if number is None:
            return None
        self.out += 1
        part = SimpleNamespace(data_format="Mono8", width=4, height=2, data=np.arange(8, dtype=np.uint8))
        payload = SimpleNamespace(components=[part])
        return SimpleNamespace(module=SimpleNamespace(frame_id=number), payload=payload, queue=self._back)

    def _back(self) -> None:
        self.out -= 1


def test_ids_that_are_missing_are_lost_pictures_and_buffers_go_back() -> None:
    acquirer = Queue(5, None, 6, 9, 10, 1, 2)
    device = GenicamCamera(SimpleNamespace(close=lambda _: None), acquirer)  # type: ignore[arg-type]
    assert [device.grab() for _ in range(4)] == [True, False, True, True]
    assert device.retrieve().lost == 2
    assert [device.grab() for _ in range(3)] == [True, True, True]
    assert device.retrieve().lost == 0
    assert acquirer.out == 1
    device.close()
    assert acquirer.out == 0


@pytest.mark.parametrize(
    ("kind", "pixel", "rgb"),
    [
        ("Mono8", [7], [7, 7, 7]),
        ("RGB8", [1, 2, 3], [1, 2, 3]),
        ("BGR8", [1, 2, 3], [3, 2, 1]),
        ("RGBa8", [1, 2, 3, 255], [1, 2, 3]),
        ("BGRa8", [1, 2, 3, 255], [3, 2, 1]),
    ],
)
def test_pixel_formats(kind: str, pixel: list[int], rgb: list[int]) -> None:
    data = np.array(pixel * 6, np.uint8)
    image = _picture(SimpleNamespace(data_format=kind, width=3, height=2, data=data))
    assert image.shape == (2, 3, 3)
    assert image.reshape(-1, 3).tolist() == [rgb] * 6


def test_a_pixel_format_that_cannot_be_read_is_said() -> None:
    part = SimpleNamespace(data_format="BayerRG8", width=2, height=2, data=np.zeros(4, np.uint8))
    with pytest.raises(LinkError, match="set pixel_format to one of Mono8"):
        _picture(part)
