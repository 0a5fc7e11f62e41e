"""The bounded hand-over between Faust's stream and the pump."""

import asyncio

from streamapp.agents.inbox import Inbox


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_events_come_out_in_order_and_at_most_as_many_as_asked_for() -> None:
    inbox: Inbox[int] = Inbox(10)
    for event in range(5):
        await inbox.put(event)
    assert await inbox.take(3) == [0, 1, 2]
    assert await inbox.take(3) == [3, 4]
    assert len(inbox) == 0


async def test_a_batch_is_what_waits_and_never_waits_to_be_full() -> None:
    inbox: Inbox[int] = Inbox(10)
    taking = asyncio.create_task(inbox.take(3))
    await settle()
    assert not taking.done()
    await inbox.put(1)
    assert await taking == [1]


async def test_a_full_inbox_holds_its_writer_back_until_something_is_taken() -> None:
    inbox: Inbox[int] = Inbox(2)
    await inbox.put(0)
    await inbox.put(1)
    putting = asyncio.create_task(inbox.put(2))
    await settle()
    assert not putting.done()
    assert len(inbox) == 2
    assert await inbox.take(1) == [0]
    await putting
    assert await inbox.take(9) == [1, 2]


async def test_the_bound_holds_for_many_writers() -> None:
    inbox: Inbox[int] = Inbox(2)
    writers = [asyncio.create_task(inbox.put(event)) for event in range(6)]
    taken: list[int] = []
    while len(taken) < 6:
        await settle()
        assert len(inbox) <= 2
        taken += await inbox.take(1)
    await asyncio.gather(*writers)
    assert sorted(taken) == list(range(6))


async def test_taking_what_waits_does_not_wait() -> None:
    inbox: Inbox[int] = Inbox(2)
    assert inbox.take_waiting(5) == []
    await inbox.put(1)
    assert inbox.take_waiting(5) == [1]


async def test_taking_what_waits_lets_the_writer_go_on() -> None:
    inbox: Inbox[int] = Inbox(1)
    await inbox.put(0)
    putting = asyncio.create_task(inbox.put(1))
    await settle()
    inbox.take_waiting(5)
    await putting
    assert len(inbox) == 1


async def test_a_cancelled_taker_takes_nothing() -> None:
    inbox: Inbox[int] = Inbox(2)
    taking = asyncio.create_task(inbox.take(1))
    await settle()
    taking.cancel()
    await inbox.put(7)
    assert await inbox.take(1) == [7]


async def test_few_events_wait_until_few_are_wanted() -> None:
    inbox: Inbox[int] = Inbox(100)
    few = False
    taking = asyncio.create_task(inbox.take(10, lambda: few))
    for event in range(3):
        await inbox.put(event)
    await asyncio.sleep(0)
    assert not taking.done()
    few = True
    inbox.wake()
    assert await taking == [0, 1, 2]


async def test_a_full_batch_is_taken_even_where_few_are_not_wanted() -> None:
    inbox: Inbox[int] = Inbox(100)
    taking = asyncio.create_task(inbox.take(3, lambda: False))
    for event in range(4):
        await inbox.put(event)
        await asyncio.sleep(0)
    assert await taking == [0, 1, 2, 3][: len(taking.result())]
    assert len(taking.result()) == 3
