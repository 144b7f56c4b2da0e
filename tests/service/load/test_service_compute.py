"""Where a worker computes, and in which order."""

import asyncio
import threading

import pytest

from service.api.errors import OverloadedError
from service.load.admission import Admission
from service.load.compute import Compute

MOST = 3


@pytest.fixture
def compute():
    made = Compute(MOST, Admission(MOST))
    yield made
    made.close()


def test_brief_work_is_done_on_the_loop_in_the_order_of_asking(compute):
    done = []

    async def ask():
        await asyncio.gather(*(compute.briefly(lambda _, n=n: done.append(n)) for n in range(3)))
        return await compute.briefly(lambda _: threading.current_thread())

    assert asyncio.run(ask()) is threading.main_thread()
    assert done == [0, 1, 2]


def test_between_two_pieces_of_brief_work_the_loop_looks_at_everything_else(compute):
    seen = []

    async def ask():
        loop = asyncio.get_running_loop()

        def work(number):
            seen.append(number)
            loop.call_soon_threadsafe(seen.append, "looked")

        await asyncio.gather(*(compute.briefly(lambda _, n=n: work(n)) for n in range(2)))

    asyncio.run(ask())
    assert seen[:3] == [0, "looked", 1]


def test_long_work_leaves_the_loop_free(compute):
    async def ask():
        hold = threading.Event()
        long = asyncio.create_task(compute.at_length(lambda _: hold.wait(10)))
        assert await compute.briefly(lambda _: "answered meanwhile") == "answered meanwhile"
        assert not long.done()
        hold.set()
        assert await long

    asyncio.run(ask())


def test_what_fails_fails_for_its_request_alone(compute):
    async def ask():
        failing, other = compute.briefly(lambda _: 1 / 0), compute.briefly(lambda _: "answered")
        return await asyncio.gather(failing, other, return_exceptions=True)

    failed, answered = asyncio.run(ask())
    assert isinstance(failed, ZeroDivisionError)
    assert answered == "answered"


def test_work_that_ends_like_an_iterator_fails_and_holds_nobody_up(compute):
    async def ask():
        ending = compute.briefly(lambda _: None), compute.briefly(lambda _: next(iter(())))
        _, failed = await asyncio.gather(*ending, return_exceptions=True)
        return failed, await compute.briefly(lambda _: "answered")

    failed, answered = asyncio.run(ask())
    assert isinstance(failed, RuntimeError)
    assert answered == "answered"


def test_what_nobody_waits_for_any_more_is_not_computed(compute):
    done = []

    async def ask():
        gone = asyncio.create_task(compute.briefly(lambda _: done.append("gone")))
        waits = asyncio.create_task(compute.briefly(lambda _: done.append("waits")))
        asyncio.get_running_loop().call_soon(gone.cancel)
        await asyncio.wait({gone, waits})

    asyncio.run(ask())
    assert done[-1] == "waits"
    assert len(done) <= 2


def test_requests_over_the_bound_are_refused_at_once_and_the_rest_are_answered(compute):
    async def ask():
        hold = threading.Event()
        work = [
            asyncio.create_task(compute.at_length(lambda _: hold.wait(10))) for _ in range(MOST)
        ]
        await asyncio.sleep(0)
        for more in (compute.briefly, compute.at_length):
            with pytest.raises(OverloadedError):
                await more(lambda _: "too much")
        hold.set()
        assert await asyncio.gather(*work) == [True] * MOST
        assert await compute.briefly(lambda _: "again") == "again"

    asyncio.run(ask())
