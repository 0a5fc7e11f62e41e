import asyncio

import pytest

from streamapp.agents.ready_batches import ReadyBatches


class Numbers(list[int]):
    def joined(self, later: "Numbers") -> "Numbers":
        return Numbers([*self, *later])


async def computed(*numbers: int) -> Numbers:
    return Numbers(numbers)


async def failed() -> Numbers:
    raise ArithmeticError("no numbers")


async def done(work: asyncio.Task[Numbers]) -> asyncio.Task[Numbers]:
    await asyncio.wait([work])
    return work


async def test_batches_that_are_ready_come_as_one_in_their_order() -> None:
    batches: ReadyBatches[Numbers] = ReadyBatches(4, 100)
    for numbers in ((1, 2), (3,), (4, 5)):
        await batches.put(list(numbers), await done(asyncio.create_task(computed(*numbers))))
    assert await batches.take() == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])


async def test_a_batch_that_is_not_ready_holds_back_the_ready_one_behind_it() -> None:
    batches: ReadyBatches[Numbers] = ReadyBatches(4, 100)
    gate = asyncio.Event()

    async def late() -> Numbers:
        await gate.wait()
        return Numbers([2])

    await batches.put([1], await done(asyncio.create_task(computed(1))))
    await batches.put([2], asyncio.create_task(late()))
    await batches.put([3], await done(asyncio.create_task(computed(3))))
    assert await batches.take() == ([1], [1])
    gate.set()
    assert await batches.take() == ([2, 3], [2, 3])


async def test_what_does_not_fit_waits_for_its_own_turn_and_is_not_lost() -> None:
    batches: ReadyBatches[Numbers] = ReadyBatches(4, 3)
    for numbers in ((1, 2), (3, 4), (5,)):
        await batches.put(list(numbers), await done(asyncio.create_task(computed(*numbers))))
    assert await batches.take() == ([1, 2], [1, 2])
    assert await batches.take() == ([3, 4, 5], [3, 4, 5])


async def test_a_batch_that_failed_raises_before_anything_joined_to_it_is_given_out() -> None:
    batches: ReadyBatches[Numbers] = ReadyBatches(4, 100)
    await batches.put([1], await done(asyncio.create_task(computed(1))))
    await batches.put([2], await done(asyncio.create_task(failed())))
    with pytest.raises(ArithmeticError):
        await batches.take()
