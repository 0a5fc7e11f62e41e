"""Nothing is under way while the gate is shut, and it never stays shut."""

import asyncio

import pytest

from streamapp.agents.batch_gate import BatchGate


async def test_shutting_waits_for_what_is_under_way() -> None:
    gate = BatchGate()
    said: list[str] = []
    await gate.enter(3)

    async def exchange() -> None:
        async with gate.shut():
            said.append("shut")

    exchanging = asyncio.create_task(exchange())
    await asyncio.sleep(0)
    gate.leave(2)
    await asyncio.sleep(0)
    assert said == [], "one record was still under way"
    gate.leave(1)
    await exchanging
    assert said == ["shut"]


async def test_a_batch_that_comes_while_the_gate_is_shut_begins_after_it() -> None:
    gate = BatchGate()
    said: list[str] = []

    async def begin() -> None:
        await gate.enter(1)
        said.append("begun")

    async with gate.shut():
        beginning = asyncio.create_task(begin())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        said.append("changed")
    await beginning
    assert said == ["changed", "begun"]


async def test_a_batch_that_waits_for_the_gate_does_not_keep_it_from_shutting() -> None:
    gate = BatchGate()
    await gate.enter(1)
    first = asyncio.create_task(shut_once(gate))
    await asyncio.sleep(0)
    late = asyncio.create_task(gate.enter(1))
    await asyncio.sleep(0)
    gate.leave(1)
    await first
    await late
    assert gate.under_way == 1


async def shut_once(gate: BatchGate) -> None:
    async with gate.shut():
        assert gate.under_way == 0


async def test_two_exchanges_come_one_after_the_other() -> None:
    gate = BatchGate()
    inside = 0
    most = 0

    async def exchange() -> None:
        nonlocal inside, most
        async with gate.shut():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(exchange(), exchange())
    assert most == 1


async def test_the_gate_opens_again_when_the_change_fails() -> None:
    gate = BatchGate()
    with pytest.raises(RuntimeError, match="no"):
        async with gate.shut():
            raise RuntimeError("no")
    await asyncio.wait_for(gate.enter(1), 1)
    assert gate.under_way == 1
