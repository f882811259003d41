"""Answers of other threads, in the event loop that waits for them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from contracts.errors import QuotaError
from edge_agent.web.answers import doorbell


def test_what_is_answered_together_wakes_the_loop_once() -> None:
    async def waited() -> tuple[list[int], int]:
        loop, wakes = asyncio.get_running_loop(), 0
        call = loop.call_soon_threadsafe

        def counted(*arguments: Any, **options: Any) -> asyncio.Handle:
            nonlocal wakes
            wakes += 1
            return call(*arguments, **options)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
        answers: list[Future[int]] = [Future() for _ in range(6)]
        tasks = [asyncio.create_task(doorbell().wait(answer, 10.0)) for answer in answers]
        await asyncio.sleep(0)
        for number, answer in enumerate(answers):  # as one commit does, while the loop does something else
            answer.set_result(number)
        return await asyncio.gather(*tasks), wakes

    assert asyncio.run(waited()) == ([0, 1, 2, 3, 4, 5], 1)


def test_no_answer_of_many_threads_is_lost() -> None:
    answers: list[Future[int]] = [Future() for _ in range(400)]

    def answer(first: int) -> None:
        for number in range(first, 400, 4):
            answers[number].set_result(number)

    async def waited() -> list[int]:
        tasks = [asyncio.create_task(doorbell().wait(each, 10.0)) for each in answers]
        threads = [threading.Thread(target=answer, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        return await asyncio.gather(*tasks)

    assert asyncio.run(waited()) == list(range(400))


def test_a_refusal_is_raised_where_somebody_waits() -> None:
    async def waited() -> None:
        answer: Future[int] = Future()
        answer.set_exception(QuotaError("full"))
        await doorbell().wait(answer, 10.0)

    with pytest.raises(QuotaError, match="full"):
        asyncio.run(waited())


def test_an_answer_that_does_not_come_in_time_is_given_up() -> None:
    answer: Future[int] = Future()

    async def waited() -> None:
        await doorbell().wait(answer, 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(waited())
    assert answer.cancelled()
