"""The image buffer: which images are kept, in which form, and what goes when its quota is reached."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_agent.buffer import ImageBuffer
from edge_agent.draw import draw
from edge_agent.inspection import Inspection
from edge_agent.source import Capture
from edge_agent.store import Store
from tests.simulators.captures import inspection
from tests.simulators.small_bundle import encoded, picture


def buffer(
    store: Store, *, quota_bytes: int = 10**9, random_fraction: float = 1.0, atypical_fraction: float = 0.0
) -> ImageBuffer:
    return ImageBuffer(
        store,
        store.path.parent / "images",
        quota_bytes=quota_bytes,
        random_fraction=random_fraction,
        atypical_fraction=atypical_fraction,
    )


def keep(kept: ImageBuffer, *inspections: Inspection) -> list[bool]:
    found = []
    for item in inspections:
        write = kept.offer(item)
        if write is not None:
            write()
        found.append(write is not None)
    return found


def files(store: Store) -> list[Path]:
    return sorted((store.path.parent / "images").iterdir())


def test_the_random_share_depends_on_the_part_id_alone(store: Store) -> None:
    kept = buffer(store, random_fraction=0.3)
    good = keep(kept, *(inspection(n, distance=1.0) for n in range(300)))
    other = keep(kept, *(inspection(n, distance=999.0, vector=(5, 5)) for n in range(300)))
    assert good == other == [draw("buffer", f"cam-a-{n}") < 0.3 for n in range(300)]
    assert 60 < sum(good) < 120


def test_audited_parts_are_kept_as_well(store: Store) -> None:
    kept = buffer(store, random_fraction=0.0)
    kept.audit_fraction = 0.2
    assert keep(kept, *(inspection(n) for n in range(100))) == [draw("audit", f"cam-a-{n}") < 0.2 for n in range(100)]


def test_the_farthest_images_are_kept_beside_the_random_share(store: Store) -> None:
    kept = buffer(store, random_fraction=0.0, atypical_fraction=0.05)
    rng = np.random.default_rng(0)
    keep(kept, *(inspection(n, distance=float(rng.normal(1, 0.1))) for n in range(200)))
    assert keep(kept, inspection(200, distance=9.0), inspection(201, distance=0.9)) == [True, False]
    assert [image.drawn for image in map(kept.find, range(1, 200)) if image] == [False] * kept.size()[0]


def test_images_without_a_verdict_are_not_kept(store: Store) -> None:
    assert keep(buffer(store), inspection(0, vector=None)) == [False]


def test_a_file_is_kept_as_it_came(store: Store) -> None:
    data = encoded(picture(100, 1), "JPEG")
    made = inspection(0)
    keep(buffer(store), replace(made, capture=Capture(made.capture.frame, data)))
    (file,) = files(store)
    assert file.suffix == ".jpg"
    assert file.read_bytes() == data


def test_pixels_are_kept_without_loss(store: Store) -> None:
    made = inspection(0)
    keep(buffer(store), made)
    (file,) = files(store)
    assert np.array_equal(np.asarray(Image.open(file)), made.pixels)


def test_what_the_region_of_interest_leaves_out_never_touches_the_disk(store: Store) -> None:
    data = encoded(picture(100, 1))
    made = inspection(0)
    assert made.pixels is not None
    seen = np.zeros(made.pixels.shape[:2], bool)
    seen[4:30, 8:40] = True
    keep(buffer(store), replace(made, capture=Capture(made.capture.frame, data), visible=seen))
    (file,) = files(store)
    stored = np.asarray(Image.open(io.BytesIO(file.read_bytes())))
    assert stored[~seen].max() == 0
    assert np.array_equal(stored[4:30, 8:40], made.pixels[4:30, 8:40])


def test_at_the_quota_the_oldest_go_and_are_counted(store: Store) -> None:
    kept = buffer(store, quota_bytes=60_000)
    keep(kept, *(inspection(n) for n in range(40)))
    dropped = kept.trim()
    images, size = kept.size()
    assert size <= 60_000
    assert size == sum(file.stat().st_size for file in files(store))
    assert dropped == kept.dropped == 40 - images > 0
    assert [image.part_id for image in kept.newest_drawn(100)] == [f"cam-a-{n}" for n in range(dropped, 40)]


def test_images_that_wait_for_their_upload_go_last(store: Store) -> None:
    kept = buffer(store, quota_bytes=60_000)
    keep(kept, *(inspection(n) for n in range(40)))
    with store.transaction() as db:
        db.execute("INSERT INTO uploads VALUES ('cam-a-0', 'order-1', 'drift-sample', 1, 'waiting')")
    kept.trim()
    assert kept.find(1) is not None
    assert kept.find(2) is None


def test_a_quota_of_zero_keeps_nothing(store: Store) -> None:
    assert keep(buffer(store, quota_bytes=0), inspection(0)) == [False]


def test_a_disk_that_takes_no_image_costs_the_image_and_not_the_verdict(store: Store) -> None:
    kept = buffer(store)
    shutil.rmtree(store.path.parent / "images")
    assert keep(kept, inspection(0)) == [False]
    assert kept.dropped == 1


def test_after_a_kill_files_and_index_agree_again(store: Store) -> None:
    kept = buffer(store)
    keep(kept, inspection(0), inspection(1))
    kept.offer(inspection(2))  # killed before its commit
    files(store)[0].unlink()  # killed while trimming
    again = buffer(store)
    assert again.size() == (1, sum(file.stat().st_size for file in files(store)))
    assert len(files(store)) == 1


def test_retention_deletes_images_and_files(store: Store) -> None:
    kept = buffer(store)
    keep(kept, *(inspection(n) for n in range(4)))
    between = datetime.now(UTC)
    keep(kept, *(inspection(n) for n in range(4, 6)))
    kept.forget_before(between)
    assert [image.part_id for image in kept.newest_drawn(9)] == ["cam-a-4", "cam-a-5"]
    assert len(files(store)) == 2


@pytest.mark.parametrize("purpose", ["buffer", "audit", "order-1"])
def test_draws_are_uniform(purpose: str) -> None:
    draws = np.array([draw(purpose, f"part-{n}") for n in range(4000)])
    counts = np.histogram(draws, bins=10, range=(0, 1))[0]
    assert counts.min() > 330
    assert counts.max() < 470
