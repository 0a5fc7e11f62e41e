"""When a worker is ready for its partitions: after what was prepared is still what the group decided last.

A preparation that gives up is an error; one that is cancelled from outside is a shutdown.
"""

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streamapp.agents.assignment import Assignment, AssignmentPlan
from streamapp.agents.outbox import Outbox
from streamapp.agents.trend_store import TrendStore
from streamapp.core.trend_state import WatchRules
from streamapp.health import Vitals


class Group:
    """Kafka's side, for a worker that gets no partition: which rebalance it is, and whether the next one comes."""

    def __init__(self, *, again: bool = False, gives_up: bool = False, hangs: bool = False) -> None:
        self.rebalancing_count = 1
        self.begun = asyncio.Event()
        self._gives_up = gives_up
        self._hangs = hangs
        self.consumer = SimpleNamespace(assignment=set)
        self._again = again

    async def start(self) -> None:
        self.begun.set()
        if self._gives_up:
            raise asyncio.CancelledError
        if self._hangs:
            await asyncio.Event().wait()
        if self._again:
            self.rebalancing_count += 1

    def assign(self, positions: Collection[Any]) -> None:
        assert not positions

    def assigned(self) -> None:
        pass


def assignment_in(group: Group, vitals: Vitals) -> Assignment:
    store = TrendStore("subject-state", WatchRules(), cast("Outbox", None), {})
    stand_in = cast("Any", group)
    plan = AssignmentPlan("subject-activity", {}, {}, timeout_seconds=10.0)
    return Assignment(
        stand_in, store, stand_in, stand_in, stand_in, next_offsets=stand_in, vitals=vitals, plan=plan
    )


async def test_a_worker_that_prepared_its_assignment_is_ready() -> None:
    vitals = Vitals(60.0)
    vitals.ready("worker")
    assignment = assignment_in(Group(), vitals)
    assignment.revoked()
    assert vitals.not_ready == {"partitions": "rebalancing"}
    await assignment.prepare()
    assert vitals.not_ready == {}


async def test_a_rebalance_that_began_meanwhile_keeps_it_from_being_ready() -> None:
    vitals = Vitals(60.0)
    vitals.ready("worker")
    await assignment_in(Group(again=True), vitals).prepare()
    assert "partitions" in vitals.not_ready


async def test_a_preparation_that_gives_up_by_cancelling_itself_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="given up from within"):
        await assignment_in(Group(gives_up=True), Vitals(60.0)).prepare()


async def test_a_preparation_that_is_cancelled_from_outside_ends_as_cancelled() -> None:
    group = Group(hangs=True)
    preparing = asyncio.create_task(assignment_in(group, Vitals(60.0)).prepare())
    await group.begun.wait()
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
