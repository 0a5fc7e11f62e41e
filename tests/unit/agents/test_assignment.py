"""A preparation that gives up is an error; one that is cancelled from outside is a shutdown."""

import asyncio
from typing import Any, cast

import pytest

from streamapp.agents.assignment import Assignment, AssignmentPlan
from streamapp.health import Vitals


class NoPartitions:
    """A worker that was given nothing."""

    consumer: Any

    def __init__(self) -> None:
        self.consumer = self

    def assignment(self) -> set[Any]:
        return set()


class Control:
    """The first step of a preparation, which ends as it is told to."""

    def __init__(self, gives_up: bool) -> None:
        self.gives_up = gives_up
        self.begun = asyncio.Event()

    async def start(self) -> None:
        self.begun.set()
        if self.gives_up:
            raise asyncio.CancelledError
        await asyncio.Event().wait()


def assignment(control: Control) -> Assignment:
    unused = cast(Any, None)
    plan = AssignmentPlan("subject-activity", {}, {}, 10.0)
    app = cast(Any, NoPartitions())
    return Assignment(app, unused, unused, cast(Any, control), vitals=Vitals(30.0), plan=plan)


async def test_a_preparation_that_gives_up_by_cancelling_itself_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="given up from within"):
        await assignment(Control(gives_up=True)).prepare()


async def test_a_preparation_that_is_cancelled_from_outside_ends_as_cancelled() -> None:
    control = Control(gives_up=False)
    preparing = asyncio.create_task(assignment(control).prepare())
    await control.begun.wait()
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
