"""Sampling: which images go to the monitor, each once, and what happens while it is away."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.errors import LinkError
from contracts.frame import OutcomeSource
from contracts.orders import Sample
from contracts.telemetry import Event, EventKind
from edge_agent.buffer import ImageBuffer
from edge_agent.courtesy import Courtesy
from edge_agent.draw import draw
from edge_agent.orders import Orders
from edge_agent.outbox import Outbox
from edge_agent.record import Record
from edge_agent.sampling import Sampler
from edge_agent.store import Store
from edge_agent.upload import ImageUploader
from edge_agent.uploads import Uploads
from tests.simulators.captures import START, inspection
from tests.simulators.turns import commits, watched
from tests.simulators.upload_server import UploadServer

RUNNING = threading.Event()
SILENT = Courtesy(lambda: math.inf)


@pytest.fixture
def server() -> Iterator[UploadServer]:
    server = UploadServer()
    yield server
    server.close()


class Bench:
    """A sampler with its store, buffer and orders, moved step by step."""

    def __init__(
        self,
        store: Store,
        url: str,
        *,
        random_fraction: float = 1.0,
        atypical_fraction: float = 0.0,
        unsure_fraction: float = 0.0,
        courtesy: Courtesy = SILENT,
    ) -> None:
        self.store = store
        self.record = Record(store)
        self.outbox = Outbox(store, agent="agent-1", max_bytes=10**9)
        self.orders = Orders(store, self.outbox)
        self.orders.begin = {"sample": lambda order: None}
        self.buffer = ImageBuffer(
            store,
            store.path.parent / "images",
            quota_bytes=10**9,
            random_fraction=random_fraction,
            atypical_fraction=atypical_fraction,
            unsure_fraction=unsure_fraction,
            fresh_bytes=10**7,
        )
        self.results: list[str] = []
        self.sampler = Sampler(
            store,
            self.record,
            self.buffer,
            self.orders,
            ImageUploader(url, token="t0ken"),
            site="plant",
            agent="agent-1",
            count=self.results.append,
            courtesy=courtesy,
        )

    def see(self, numbers: range, **changes: Any) -> None:
        """Images go by. A change may depend on the number."""
        with self.store.transaction():
            for number in numbers:
                own = {name: value(number) if callable(value) else value for name, value in changes.items()}
                item = inspection(number, **own)
                self.record.append([(item.verdict, None)])
                write = self.buffer.offer(item)
                if write is not None:
                    write()

    def order(self, order_id: str = "s-1", **changes: Any) -> Sample:
        values: dict[str, Any] = {
            "order_id": order_id, "issued_at": datetime.now(UTC), "expires_at": datetime.now(UTC) + timedelta(hours=1),
            "reason": "drift", "camera": "cam-a", "product": "cap", "random": 10, "since": START, **changes,
        }  # fmt: skip
        order = Sample(**values)
        self.orders.receive(order.model_dump_json().encode())
        return order

    def step(self, now: datetime | None = None) -> None:
        self.sampler.choose()
        self.sampler.upload_waiting(RUNNING)
        self.sampler.close_finished(now or datetime.now(UTC))

    def events(self) -> list[Event]:
        bodies = [message.envelope.body for message in self.outbox.waiting(after=0, limit=1000)]
        return [body for body in bodies if isinstance(body, Event)]


def test_a_sample_is_uploaded_with_verdict_image_and_token(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(30))
    order = bench.order()
    bench.step()
    upload, image = server.uploads[0]
    assert len(server.uploads) == 10
    assert (upload.site, upload.agent, upload.order_id, upload.source) == (
        "plant", "agent-1", order.order_id, OutcomeSource.DRIFT_SAMPLE
    )  # fmt: skip
    entry = bench.record.latest_of(upload.verdict.frame.part_id)
    assert entry is not None
    assert upload.verdict == entry.verdict
    assert image.startswith(b"\x89PNG")
    assert server.tokens == {"Bearer t0ken"}


def test_the_order_is_reported_done_with_its_counts(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url, random_fraction=0.5, atypical_fraction=1.0)
    bench.see(range(90), distance=float)
    bench.order(atypical=3)
    for _ in range(2):
        bench.step()
    (event,) = bench.events()
    assert (event.event, event.order_id, event.details) == (
        EventKind.ORDER_DONE, "s-1", {"random": 10, "atypical": 3, "unsure": 0, "overruled": 0, "lost": 0}
    )  # fmt: skip


def test_the_random_draw_does_not_look_at_the_answer(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(40), distance=1.0)
    bench.see(range(40, 80), distance=99.0, vector=(9, 9))
    bench.order(random=20)
    bench.step()
    wanted = sorted((f"cam-a-{n}" for n in range(80)), key=lambda part: draw("s-1", part))[:20]
    assert server.parts == wanted


def test_images_kept_for_what_they_show_are_no_random_images(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url, random_fraction=0.0, atypical_fraction=0.1)
    bench.see(range(100), distance=float)
    assert bench.buffer.size()[0] > 10
    bench.order(random=5)
    bench.step()
    assert server.parts == []


def test_a_standing_order_collects_until_it_has_enough(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(4))
    bench.order()
    bench.step()
    assert len(server.uploads) == 4
    bench.see(range(4, 30))
    bench.step()
    assert len(server.uploads) == len(set(server.parts)) == 10


def test_images_from_before_the_order_wants_them_are_left_alone(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(30))
    bench.order(since=START + timedelta(seconds=25))
    bench.step()
    assert sorted(server.parts) == sorted(f"cam-a-{n}" for n in range(25, 30))


def test_other_cameras_and_products_are_left_alone(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(10), camera="cam-b")
    bench.see(range(10), product="nut")
    bench.order()
    bench.step()
    assert server.parts == []


def test_picked_images_come_on_top_after_the_random_ones_the_most_telling_first(
    store: Store, server: UploadServer
) -> None:
    bench = Bench(store, server.url, random_fraction=0.3, atypical_fraction=1.0, unsure_fraction=1.0)
    bench.see(range(120), distance=float, defect_score=lambda n: 0.4 - 0.3 * n / 120)
    outside = [f"cam-a-{n}" for n in range(120) if draw("buffer", f"cam-a-{n}") >= 0.3 and n >= 50]
    bench.order(random=5, atypical=4, unsure=3)
    for _ in range(2):
        bench.step()
    by_source = [(upload.source, upload.verdict.frame.part_id) for upload, _ in server.uploads]
    assert {source for source, _ in by_source[:5]} == {OutcomeSource.DRIFT_SAMPLE}
    assert by_source[5:9] == [(OutcomeSource.ATYPICAL, part) for part in reversed(outside[-4:])]
    assert by_source[9:] == [(OutcomeSource.UNSURE, part) for part in outside[:3]]


def test_what_somebody_contradicted_is_uploaded_even_where_the_line_stands_still(
    store: Store, server: UploadServer
) -> None:
    bench = Bench(store, server.url, random_fraction=0.3)
    bench.see(range(60))
    bench.order(random=3, overruled=5)
    for _ in range(2):
        bench.step()
    assert len(server.uploads) == 3
    wrong = [n for n in range(60) if draw("buffer", f"cam-a-{n}") >= 0.3][:2]
    for n in wrong:
        bench.buffer.said(inspection(n).verdict, wrong=True)
    bench.step()
    assert sorted(server.parts[3:]) == sorted(f"cam-a-{n}" for n in wrong)
    assert {upload.source for upload, _ in server.uploads[3:]} == {OutcomeSource.OVERRULED}


def test_what_somebody_contradicted_is_not_picked_for_another_reason(store: Store, server: UploadServer) -> None:
    """The monitor counts such labels beside what the line said of the part; those of overruled images it does not."""
    bench = Bench(store, server.url, random_fraction=0.0, atypical_fraction=1.0, unsure_fraction=1.0)
    bench.see(range(120), distance=float, defect_score=lambda n: 0.4 - 0.3 * n / 120)
    contradicted = [*range(55, 60), *range(110, 120)]
    for n in contradicted:
        bench.buffer.said(inspection(n).verdict, wrong=True)
    bench.order(random=0, atypical=1000, unsure=1000, overruled=4)
    bench.step()
    found = {upload.verdict.frame.part_id: upload.source for upload, _ in server.uploads}
    assert len(found) > 50
    said = [found[part] for n in contradicted if (part := f"cam-a-{n}") in found]
    assert said == [OutcomeSource.OVERRULED] * 4


def test_no_random_draw_lacks_what_was_picked_before(store: Store, server: UploadServer) -> None:
    """Else the share of errors among random images falls with each image that is picked for being one."""
    bench = Bench(store, server.url, random_fraction=0.4, atypical_fraction=1.0, unsure_fraction=1.0)
    bench.see(range(150), distance=float, defect_score=0.4)
    with store.transaction():
        for n in range(150):
            bench.buffer.said(inspection(n).verdict, wrong=True)
    bench.order("s-1", random=0, atypical=1000, unsure=1000, overruled=1000)
    bench.step()
    assert len(server.uploads) > 50
    bench.order("s-2", random=1000)
    bench.step()
    drawn = [f"cam-a-{n}" for n in range(150) if draw("buffer", f"cam-a-{n}") < 0.4]
    random = [each.verdict.frame.part_id for each, _ in server.uploads if each.source is OutcomeSource.DRIFT_SAMPLE]
    assert sorted(random) == sorted(drawn)


def test_an_audit_that_was_raised_does_not_draw_what_was_kept_for_standing_out(
    store: Store, server: UploadServer
) -> None:
    bench = Bench(store, server.url, random_fraction=0.0, atypical_fraction=1.0)
    bench.see(range(100), distance=float)
    assert bench.buffer.size()[0] > 40
    bench.buffer.audit_fraction = 0.5
    bench.see(range(100, 140), distance=0.0)
    bench.step()
    assert server.parts == [f"cam-a-{n}" for n in range(100, 140) if draw("audit", f"cam-a-{n}") < 0.5]


def test_one_part_is_uploaded_once_whatever_asks_for_it(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(12))
    bench.see(range(12))  # every part a second time
    bench.buffer.audit_fraction = 0.5
    bench.order("s-1", random=8)
    bench.order("s-2", random=8)
    for _ in range(3):
        bench.step()
    assert sorted(server.parts) == sorted(f"cam-a-{n}" for n in range(12))


def test_the_audit_draws_its_share_of_all_parts_and_goes_on_where_it_was(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url, random_fraction=0.0)
    bench.buffer.audit_fraction = 0.3
    for numbers in (range(50), range(50, 100)):
        bench.see(numbers)
        bench.step()
    assert server.parts == [f"cam-a-{n}" for n in range(100) if draw("audit", f"cam-a-{n}") < 0.3]
    assert {upload.source for upload, _ in server.uploads} == {OutcomeSource.AUDIT}
    assert {upload.order_id for upload, _ in server.uploads} == {None}


def test_while_the_monitor_is_away_everything_waits(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(30))
    bench.order()
    server.status = 503
    with pytest.raises(LinkError):
        bench.step()
    again = Bench(store, server.url)  # and over a restart
    server.status = 201
    again.step()
    assert len(set(server.parts)) == len(server.uploads) == 10
    assert [event.event for event in again.events()] == [EventKind.ORDER_DONE]


def test_a_monitor_that_cannot_be_reached_is_a_link_error(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(3))
    bench.order()
    server.close()
    with pytest.raises(LinkError, match="cannot be reached"):
        bench.step()


@pytest.mark.parametrize(("status", "result"), [(409, "done"), (422, "refused"), (413, "refused")])
def test_what_the_monitor_has_or_never_takes_is_not_sent_again(
    store: Store, server: UploadServer, status: int, result: str
) -> None:
    bench = Bench(store, server.url)
    bench.see(range(3))
    bench.order(random=3)
    server.status = status
    for _ in range(3):
        bench.step()
    assert bench.results == [result] * 3


def test_lost_images_are_replaced_by_others(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(10))
    bench.order(random=10)
    bench.sampler.choose()
    for file in list((store.path.parent / "images").iterdir())[:4]:
        file.unlink()
    bench.step()
    bench.see(range(10, 40))
    bench.step()
    (event,) = bench.events()
    assert event.details == {"random": 10, "atypical": 0, "unsure": 0, "overruled": 0, "lost": 4}


def test_an_order_whose_time_is_over_says_how_far_it_came(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(4))
    order = bench.order()
    bench.step(now=order.expires_at)
    (event,) = bench.events()
    assert event.event is EventKind.ORDER_FAILED
    assert event.reason == "expired with 4 of 10 random images uploaded"


def test_an_order_whose_random_images_are_there_is_done_when_its_time_is_over(
    store: Store, server: UploadServer
) -> None:
    bench = Bench(store, server.url)
    bench.see(range(12))
    order = bench.order(overruled=5)
    bench.step()
    assert bench.events() == []
    bench.step(now=order.expires_at)
    (event,) = bench.events()
    assert (event.event, event.details["random"], event.details["overruled"]) == (EventKind.ORDER_DONE, 10, 0)


def test_an_order_of_an_older_monitor_is_carried_out(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(12))
    order = bench.order("s-0", random=1).model_dump(mode="json")
    older = {name: value for name, value in order.items() if name not in ("unsure", "overruled")}
    bench.orders.receive(json.dumps({**older, "order_id": "s-1"}).encode())
    bench.step()
    assert [event.order_id for event in bench.events()] == ["s-0", "s-1"]


def test_uploads_that_are_long_over_are_forgotten(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(20))
    bench.order("s-1", random=15)
    bench.step()
    bench.order("s-2", random=1000)  # stays open
    bench.step()
    bench.see(range(20, 22))
    bench.sampler.choose()  # two wait
    with store.transaction() as db:
        db.execute("UPDATE uploads SET ended_at = ended_at - 86400 WHERE state != 'waiting'")
        old = "INSERT INTO uploads SELECT 'old-' || value, 's-0', 'audit', 0, 'done', 1 FROM json_each(?)"
        db.execute(old, (json.dumps(list(range(500))),))
    uploads, long_ago = Uploads(store), datetime.now(UTC) - timedelta(hours=1)
    with watched(store) as turns:
        uploads.forget_before(long_ago)
    assert turns.longest < 40_000
    left = store.rows("SELECT order_id, state, COUNT(*) AS n FROM uploads GROUP BY order_id, state ORDER BY state")
    assert [tuple(row) for row in left] == [("s-2", "done", 5), ("s-2", "waiting", 2)]
    with store.transaction() as db:
        db.execute("UPDATE orders SET state = 'done'")
    uploads.forget_before(long_ago)
    assert uploads.progress("s-2")["random"] == len(uploads.waiting()) == 2


def test_candidates_are_looked_at_a_few_at_a_time(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    index(store, 3000)
    bench.order(random=100)
    with watched(store) as turns:
        bench.sampler.choose()
    assert turns.longest < 40_000
    listed = {row["part_id"] for row in store.rows("SELECT part_id FROM uploads")}
    assert listed == set(sorted((f"cam-a-{n}" for n in range(3000)), key=lambda part: draw("s-1", part))[:100])


def test_an_order_that_cannot_be_filled_looks_again_only_once_there_is_something_new(
    store: Store, server: UploadServer
) -> None:
    bench = Bench(store, server.url)
    index(store, 500)
    bench.order(random=5000)
    for _ in range(2):
        bench.step()
    with watched(store) as turns:
        bench.sampler.choose()
    assert sum(turns.steps) < 5_000
    bench.see(range(500, 501))
    bench.sampler.choose()
    assert store.rows("SELECT COUNT(*) AS n FROM uploads")[0]["n"] == 501


def test_how_uploads_end_is_written_down_for_many_in_one_commit(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    with store.transaction():
        bench.see(range(60))
    bench.order(random=60)
    bench.sampler.choose()
    before = commits(store)
    bench.sampler.upload_waiting(RUNNING)
    assert len(server.uploads) == 60
    assert commits(store) - before <= 4


def test_what_was_taken_before_the_monitor_went_away_is_written_down(store: Store, server: UploadServer) -> None:
    bench = Bench(store, server.url)
    bench.see(range(6))
    bench.order(random=6)
    bench.sampler.choose()
    count = bench.sampler._count
    bench.sampler._count = lambda state: (count(state), len(server.uploads) < 3 or server.close())[0]
    with pytest.raises(LinkError):
        bench.sampler.upload_waiting(RUNNING)
    states = [row["state"] for row in store.rows("SELECT state FROM uploads ORDER BY rowid")]
    assert states == ["done"] * 3 + ["waiting"] * 3


def test_while_the_line_works_uploads_take_a_share_of_the_time(store: Store, server: UploadServer) -> None:
    rested: list[float] = []

    class Noting(Courtesy):
        def rest(self, worked: float, stopping: threading.Event) -> None:
            rested.append(self.rest_seconds(worked))

    bench = Bench(store, server.url, courtesy=Noting(lambda: 0.0))
    bench.see(range(4))
    bench.order(random=4)
    bench.step()
    assert len(rested) == 4
    assert min(rested) > 0.0


def index(store: Store, images: int) -> None:
    """Rows of images of which nothing else is there."""
    with store.transaction() as db:
        db.executemany(
            "INSERT INTO images (id, file, part_id, camera, product, triggered_at, drawn, draw, distance, decision,"
            " bundle_hash, bytes, recorded_at) VALUES (?, ?, ?, 'cam-a', 'cap', ?, 1, 0.5, 1.0, 'OK', NULL, 100, 0)",
            [(n + 1, f"{n}.png", f"cam-a-{n}", START.timestamp() + n % 7) for n in range(images)],
        )
