"""Several threads at one source: looked at side by side, concluded in order; nobody waits for one that has failed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from edge_agent.feed import Feed
from edge_agent.settings import WebSettings
from edge_agent.source import Capture
from edge_agent.web.server import WebServer
from tests.edge_agent.conftest import MakeAgent
from tests.simulators.captures import ListSource
from tests.simulators.small_bundle import encoded, picture

SECONDS = 30.0


class Blocked:
    """A source whose next capture comes when it is let."""

    name = "blocked"

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = threading.Event()

    def captures(self) -> Iterator[Capture | None]:
        self.asked.set()
        self.go.wait(SECONDS)
        yield None

    def close(self) -> None:
        self.go.set()


def test_later_capture_is_looked_at_meanwhile_and_concluded_afterwards() -> None:
    feed, concluded = Feed(ListSource([picture(100), picture(101)])), list[int]()
    second_looked = threading.Event()

    def work() -> None:
        taken = feed.take()
        assert taken is not None
        if taken[0] == 0:
            assert second_looked.wait(SECONDS), "the second capture waits for the first"
        else:
            second_looked.set()
        feed.in_turn(taken[0], lambda: concluded.append(taken[0]))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert concluded == [0, 1]


def test_nobody_waits_for_a_thread_that_has_failed() -> None:
    feed = Feed(ListSource([picture(100), picture(101)]))
    assert feed.take() is not None
    second = feed.take()
    assert second is not None
    concluded: list[str] = []
    feed.in_turn(second[0], lambda: concluded.append("waiting"))
    assert not concluded
    feed.give_up()
    feed.in_turn(second[0] + 1, lambda: concluded.append("later"))
    assert concluded == ["waiting", "later"]


def test_threads_wait_once_many_captures_are_ahead_of_a_slow_one() -> None:
    """Until then each of them goes on with the next capture; what they have looked at is concluded by the slow one."""
    feed, concluded, ahead = Feed(ListSource([])), list[int](), threading.Semaphore(0)

    def work(number: int) -> None:
        feed.in_turn(number, lambda: concluded.append(number))
        ahead.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 11)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        assert ahead.acquire(timeout=SECONDS)
    assert not ahead.acquire(timeout=0.1), "what was looked at fills the memory"
    feed.in_turn(0, lambda: concluded.append(0))
    for thread in threads:
        thread.join(SECONDS)
    assert concluded == list(range(11))


def test_who_must_wait_for_another_does_first_what_is_due() -> None:
    source, due = Blocked(), threading.Event()
    feed = Feed(source)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(feed.take)
        assert source.asked.wait(SECONDS)
        second = pool.submit(feed.take, due.set)
        assert due.wait(SECONDS)
        source.close()
        assert sorted([first.result(SECONDS), second.result(SECONDS)], key=str) == [(0, None), None]


def test_pushed_images_are_on_record_in_the_order_of_their_numbers(make_agent: MakeAgent) -> None:
    agent = make_agent(web=WebSettings(port=0, workers=4, queue=64))
    image = encoded(picture(100))
    answers = [
        agent.push.push(image, part_id=f"p-{n}", product="default", camera="cam", line="line-1") for n in range(60)
    ]
    verdicts = [answer.result(SECONDS) for answer in answers]
    assert [verdict.frame.part_id for verdict in verdicts] == [f"p-{n}" for n in range(60)]
    recorded = [entry.verdict.frame.sequence for entry in agent.core.record.entries(limit=99)][::-1]
    assert recorded == [verdict.frame.sequence for verdict in verdicts]
    assert recorded == sorted(recorded)


def test_a_short_answer_does_not_wait_for_the_one_before_to_be_acknowledged() -> None:
    """Nagle's algorithm is off on what the agent's socket accepts, which asyncio does where it sees that it is TCP."""
    server, found = WebServer("127.0.0.1", 0), list[int]()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def connect() -> None:
        async with await asyncio.start_server(accept, sock=server._socket):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            await reader.read()
            writer.close()

    asyncio.run(connect())
    assert found == [1]
