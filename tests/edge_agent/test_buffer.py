"""The image buffer: which images are kept, in which form, and what goes when its quota is reached."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.errors import QuotaError
from contracts.frame import Decision
from edge_agent.buffer import ImageBuffer
from edge_agent.draw import draw
from edge_agent.inspection import Inspection
from edge_agent.source import Capture
from edge_agent.store import Store
from edge_agent.uploads import Uploads
from edge_agent.worth import Worth
from tests.simulators.captures import inspection
from tests.simulators.older_agent import make_older
from tests.simulators.small_bundle import encoded, picture


def buffer(
    store: Store,
    *,
    quota_bytes: int = 10**9,
    random_fraction: float = 1.0,
    atypical_fraction: float = 0.0,
    unsure_fraction: float = 0.0,
    fresh_bytes: int = 10**7,
) -> ImageBuffer:
    return ImageBuffer(
        store,
        store.path.parent / "images",
        quota_bytes=quota_bytes,
        random_fraction=random_fraction,
        atypical_fraction=atypical_fraction,
        unsure_fraction=unsure_fraction,
        fresh_bytes=fresh_bytes,
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


def test_images_near_the_threshold_are_kept_whichever_side_they_are_on(store: Store) -> None:
    kept = buffer(store, random_fraction=0.0, unsure_fraction=0.05)
    keep(kept, *(inspection(n, defect_score=0.01 + n % 7 / 1000) for n in range(100)))
    before = kept.size()[0]
    assert before < 12
    near = [inspection(101, defect_score=0.45), inspection(102, defect_score=0.55), inspection(103, defect_score=0.99)]
    assert keep(kept, *near) == [True, True, False]


def test_what_is_near_is_learned_for_each_camera_and_product(store: Store) -> None:
    kept = buffer(store, random_fraction=0.0, unsure_fraction=0.05)
    keep(kept, *(inspection(n, defect_score=0.4) for n in range(60)))
    keep(kept, *(inspection(n, defect_score=0.01, product="nut") for n in range(60)))
    assert keep(kept, inspection(61, defect_score=0.1), inspection(61, defect_score=0.1, product="nut")) == [
        False,
        True,
    ]


def test_of_two_products_in_turn_both_go_on_learning_what_is_near(store: Store) -> None:
    kept = buffer(store, random_fraction=0.0, unsure_fraction=0.05)
    products = ("nut", "bolt")
    keep(kept, *(inspection(n, defect_score=0.01, product=products[n % 2]) for n in range(200)))
    now = (inspection(n, defect_score=0.4, product=products[n % 2]) for n in range(200, 600))
    late = keep(kept, *now)[200:]
    assert max(sum(late[0::2]), sum(late[1::2])) < 10


def test_an_image_whose_verdict_is_contradicted_soon_after_is_kept_after_all(store: Store) -> None:
    kept = buffer(store, random_fraction=0.0)
    seen = [inspection(n, decision=Decision.NG if n % 2 else Decision.OK) for n in range(6)]
    assert not any(keep(kept, *seen))
    kept.said(seen[1].verdict, wrong=True)
    kept.said(seen[2].verdict, wrong=False)
    kept.said(seen[1].verdict, wrong=True)  # twice
    image = kept.find(1)
    assert image is not None
    assert (image.part_id, image.drawn, kept.size()[0]) == ("cam-a-1", False, 1)
    assert np.array_equal(np.asarray(Image.open(image.path)), seen[1].pixels)


def test_what_the_database_refused_is_kept_when_it_is_said_again(store: Store) -> None:
    kept = buffer(store, random_fraction=0.0)
    keep(kept, inspection(0))
    with store.transaction() as db:
        db.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON images BEGIN SELECT no_room(); END")
    for _ in range(2):
        with pytest.raises(QuotaError):
            kept.said(inspection(0).verdict, wrong=True)
    assert (files(store), kept.size(), kept.contradicted) == ([], (0, 0), 0)
    with store.transaction() as db:
        db.execute("DROP TRIGGER full")
    kept.said(inspection(0).verdict, wrong=True)
    assert (len(files(store)), kept.size()[0], kept.contradicted) == (1, 1, 1)


def test_what_the_disk_refused_is_kept_when_it_is_said_again(store: Store) -> None:
    kept, folder = buffer(store, random_fraction=0.0), store.path.parent / "images"
    keep(kept, inspection(0))
    folder.rmdir()
    kept.said(inspection(0).verdict, wrong=True)
    folder.mkdir()
    kept.said(inspection(0).verdict, wrong=True)
    assert (len(files(store)), kept.size()[0], kept.contradicted) == (1, 1, 1)


def test_without_memory_for_the_newest_images_nothing_is_kept_afterwards(store: Store) -> None:
    kept = buffer(store, random_fraction=0.0, fresh_bytes=0)
    keep(kept, inspection(0))
    kept.said(inspection(0).verdict, wrong=True)
    assert kept.size() == (0, 0)


def test_the_random_share_is_never_crowded_out(store: Store) -> None:
    """Whatever else comes in plenty: the newest random images fill their half of the quota."""
    quota = 60_000
    kept = buffer(store, quota_bytes=quota, random_fraction=0.2, atypical_fraction=1.0, fresh_bytes=10**8)
    with store.transaction():
        keep(kept, *(inspection(n, distance=float(n)) for n in range(140)))
        for n in range(140):
            kept.said(inspection(n).verdict, wrong=True)
    kept.trim()
    drawn = [n for n in range(140) if draw("buffer", f"cam-a-{n}") < 0.2]
    left = [image.part_id for image in kept.newest_drawn(999)]
    size = kept.kept_bytes // kept.size()[0]
    assert left == [f"cam-a-{n}" for n in drawn][-len(left) :]
    assert len(left) == len(drawn) or len(left) >= 0.4 * quota / size
    assert kept.kept_bytes <= quota


def test_what_one_reason_leaves_another_may_use(store: Store) -> None:
    kept = buffer(store, quota_bytes=60_000, random_fraction=0.0, atypical_fraction=1.0)
    with store.transaction():
        keep(kept, *(inspection(n, distance=float(n)) for n in range(120)))
    kept.trim()
    assert 0.85 * 60_000 < kept.kept_bytes <= 60_000


def test_how_full_each_share_is_survives_a_restart(store: Store) -> None:
    kept = buffer(store, random_fraction=0.3)
    keep(kept, *(inspection(n) for n in range(20)))
    outside = next(n for n in range(20) if draw("buffer", f"cam-a-{n}") >= 0.3)
    kept.said(inspection(outside).verdict, wrong=True)
    assert kept._bytes == buffer(store, random_fraction=0.3)._bytes
    assert kept._bytes[Worth.OVERRULED] > 0


def test_a_database_of_the_version_before_knows_why_its_images_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "agent.sqlite")
    keep(buffer(store, random_fraction=0.3, atypical_fraction=1.0), *(inspection(n, distance=n) for n in range(60)))
    before = buffer(store)._bytes
    with store.transaction() as db:
        db.execute("INSERT INTO uploads (part_id, order_id, drawn, image, state) VALUES ('p', 'o', 'audit', 9, 'done')")
    store.close()
    make_older(tmp_path / "agent.sqlite", 5)
    store = Store(tmp_path / "agent.sqlite")
    assert buffer(store)._bytes == before
    assert min(before[Worth.RANDOM], before[Worth.ATYPICAL]) > 0
    Uploads(store).forget_before(datetime.now(UTC) + timedelta(days=1))
    assert store.rows("SELECT * FROM uploads") == []
    store.close()


def _written_to_a_full_disk(store: Store, write: Callable[[], object]) -> None:
    with store.transaction():
        write()
        raise QuotaError("full")


def test_commits_that_failed_cost_no_images_that_are_there(store: Store) -> None:
    kept = buffer(store, quota_bytes=60_000)
    keep(kept, *(inspection(n) for n in range(10)))
    again = kept.offer(inspection(11))
    assert again is not None
    for _ in range(200):  # what waits is written again and again
        with pytest.raises(QuotaError):
            _written_to_a_full_disk(store, again)
    assert kept.trim() == 0
    assert kept.size() == (10, sum(row["bytes"] for row in store.rows("SELECT bytes FROM images")))


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
        db.execute(
            "INSERT INTO uploads (part_id, order_id, drawn, image, state)"
            " VALUES ('cam-a-0', 'order-1', 'drift-sample', 1, 'waiting')"
        )
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
