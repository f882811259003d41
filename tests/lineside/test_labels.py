"""`lineside labels` against a running monitor: pictures out, answers back, one clear error for what is wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from contracts.errors import ConfigurationError, DatasetError, LinesideError, LinkError
from lineside.labels import run_labels_agreement, run_labels_export, run_labels_import
from lineside.monitor_door import MonitorDoor
from monitor.registry import Registry
from monitor.settings import MonitorSettings
from monitor.works import Works, make_works
from tests.monitor.test_label_studio import annotated
from tests.monitor.test_labels import upload
from tests.monitor.web.conftest import make_pages
from tests.simulators.small_bundle import encoded, picture


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    """A monitor with two pictures to be labelled."""
    folder = tmp_path_factory.mktemp("monitor")
    Registry.init(folder / "registry", ["mono"])
    settings = {"state_folder": folder, "sites": ("mono",), "labels": {"extra": ("good", "pit")}}
    made = make_works(MonitorSettings.model_validate(settings))
    for number in (1, 2):
        made.desk.accept_image(upload(f"p{number}"), encoded(picture(90, number)), media_type="image/png")
    yield made
    made.close()


@pytest.fixture(scope="module")
def door(works: Works) -> Iterator[MonitorDoor]:
    """Its address and password."""
    config = uvicorn.Config(make_pages(works, password="secret"), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield MonitorDoor(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/", "secret")
    server.should_exit = True
    thread.join()


def test_pictures_go_out_and_their_answers_come_back(
    door: MonitorDoor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "queue"
    run_labels_export(out, door, site="mono", labelled=False, images_at="/data/local-files/?d=images/")
    tasks = json.loads((out / "tasks.json").read_text())
    names = {task["data"]["image"].removeprefix("/data/local-files/?d=images/") for task in tasks}
    assert {path.name for path in (out / "images").iterdir()} == names
    assert (out / "images" / min(names)).read_bytes().startswith(b"\x89PNG")
    assert '<Choice value="pit" hotkey="2"/>' in (out / "config.xml").read_text()
    with pytest.raises(ConfigurationError, match="is there already"):
        run_labels_export(out, door, site="mono", labelled=False, images_at="")

    file = tmp_path / "project.json"
    file.write_text(json.dumps([annotated(tasks[0], "pit"), annotated(tasks[1], "pitt", number=2)]))
    with pytest.raises(LinesideError, match=r"did you mean 'pit'.*nothing was imported"):
        run_labels_import(file, door, people=(), new_classes=(), by="lead")
    file.write_text(json.dumps([annotated(tasks[0], "pit"), annotated(tasks[1], "good", number=2)]))
    run_labels_import(file, door, people=("10=rater-3",), new_classes=(), by="lead")
    run_labels_import(file, door, people=("10=rater-3",), new_classes=(), by="lead")
    told = capsys.readouterr().out
    assert "2 labels taken" in told
    assert "2 left out: they have their label already" in told
    run_labels_agreement(door, site=None, as_json=False)
    assert "2 answers; no picture was judged by two people yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "people", "complaint"),
    [
        ("no json", (), "is not JSON"),
        ('{"a": 1}', (), "is no list of tasks"),
        ("[]", (), "holds no annotation"),
        ("[]", ("7",), "--person '7' should read"),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_error(
    door: MonitorDoor, tmp_path: Path, text: str, people: tuple[str, ...], complaint: str
) -> None:
    file = tmp_path / "project.json"
    file.write_text(text)
    with pytest.raises((LinesideError, DatasetError), match=complaint):
        run_labels_import(file, door, people=people, new_classes=(), by="lead")


def test_a_monitor_that_is_away_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="is it running"):
        run_labels_agreement(MonitorDoor("http://127.0.0.1:9", None), site=None, as_json=True)
