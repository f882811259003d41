"""What `lineside labels` does: pictures out to an annotation tool, answers back, and how far people agree."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.errors import ConfigurationError, DatasetError
from lineside.monitor_door import MonitorDoor

_console = Console(highlight=False, soft_wrap=True, markup=False)


def run_labels_export(out: Path, door: MonitorDoor, *, site: str | None, labelled: bool, images_at: str) -> None:
    """`lineside labels export`. Raises ConfigurationError where the folder holds something already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"{out} is there already; name a new folder, so that no two exports are mixed")
    found = door.get("/v1/labels/tasks", site=site, labelled=labelled).json()
    (out / "images").mkdir(parents=True, exist_ok=True)
    for task in found["tasks"]:
        name = _fetched(door, task["data"]["lineside_image"], out / "images")
        task["data"]["image"] = f"{images_at}{name}"
    (out / "config.xml").write_text(found["config"], encoding="utf-8")
    (out / "tasks.json").write_text(json.dumps(found["tasks"], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _console.print(f"{len(found['tasks'])} pictures are in {out}: tasks.json to import, config.xml for the project")
    _console.print(f"Label Studio must show {out / 'images'} at {images_at}")


def _fetched(door: MonitorDoor, image_id: str, folder: Path) -> str:
    """The picture as browsers show it; returns its name."""
    answer = door.get(f"/labels/images/{image_id}")
    name = f"{image_id}{mimetypes.guess_extension(answer.headers['content-type']) or ''}"
    (folder / name).write_bytes(answer.content)
    return name


def run_labels_import(
    file: Path, door: MonitorDoor, *, people: Iterable[str], new_classes: Iterable[str], by: str
) -> None:
    """`lineside labels import`. Raises DatasetError for a file that is none of Label Studio's; then nothing counts."""
    body = {"tasks": _tasks(file), "people": _people(people), "new_classes": list(new_classes), "by": by}
    done = door.post("/v1/labels/import", body).json()
    _console.print(f"{done['taken']} labels taken")
    for key, why in (
        ("labelled", "have their label already"),
        ("expired", "are no longer asked about"),
        ("over_share", "are beyond one person's share: others must go on"),
    ):
        if done[key]:
            _console.print(f"{done[key]} left out: they {why}")


def _tasks(file: Path) -> list[dict[str, Any]]:
    try:
        tasks = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"cannot read {file}: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"{file} is not JSON ({error}); export from Label Studio in the format JSON") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DatasetError(f"{file} is no list of tasks; export from Label Studio in the format JSON")
    return tasks


def _people(pairs: Iterable[str]) -> dict[str, str]:
    """`7=ann` as `{"7": "ann"}`."""
    known = {}
    for pair in pairs:
        there, _, here = pair.partition("=")
        if not there or not here:
            raise ConfigurationError(f"--person {pair!r} should read NUMBER_OR_EMAIL=NAME, for example 7=ann")
        known[there] = here
    return known


def run_labels_agreement(door: MonitorDoor, *, site: str | None, as_json: bool) -> None:
    """`lineside labels agreement`."""
    found = door.get("/v1/labels/agreement", site=site).json()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    _console.print(_agreement(found))
    if found["timed"]:
        _console.print(
            f"{found['person_minutes']:g} person-minutes for {found['timed']} answers, "
            f"{found['median_seconds']:g} s the median"
        )


def _agreement(found: dict[str, Any]) -> str:
    if not found["images"]:
        return f"{found['ratings']} answers; no picture was judged by two people yet"
    kappa = "kappa undefined: all of one class"
    if found["kappa"] is not None:
        kappa = f"{found['method']}'s kappa {found['kappa']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
    return (
        f"{found['ratings']} answers; {found['images']} pictures judged by two or more, {found['share']:.0%} of the "
        f"pairs of answers agree, {kappa}; {found['disputed']} disputed"
    )
