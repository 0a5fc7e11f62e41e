"""`streamapp bench transport`: the real worker with a model that costs nothing, beside plain aiokafka in the same run.

Each side drains a topic that was filled before, in a fresh process; sides take turns. What Faust, intake and delivery
cost a post is all that is left.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from msgspec import Struct

from streamapp.bench.figures import Rounds, megabytes, number, rounds_of
from streamapp.bench.house import BenchHouse, BenchWorker, Say
from streamapp.bench.load import Load, LoadPost
from streamapp.bench.machine import Machine, this_machine
from streamapp.bench.stages import stage_costs
from streamapp.bench.traffic import (
    end_offset,
    fill,
    open_receiver,
    open_sender,
    partitions_of,
    run_async,
    send_chunk,
)
from streamapp.local.worker_pages import values
from streamapp.settings import Settings

PARTITIONS: Final = 4
RELAY_POSTS: Final = 256
POLL_SECONDS: Final = 0.05
# The first tenth is not counted: the group has just joined and buffers are empty.
SKIPPED_SHARE: Final = 0.1
STAGE_POSTS: Final = 4_000
FIRST_MARK_POSTS: Final = 10_000
STALLED_SECONDS: Final = 60.0
SIDES: Final = ("aiokafka", "drain", "decode", "whole")


class TransportSizes(Struct, frozen=True, kw_only=True):
    """How much is measured."""

    rounds: int = 3
    posts: int = 60_000
    memory_posts: int = 1_000_000


class MemoryMark(Struct, frozen=True):
    """Resident memory of the worker after so many posts."""

    posts: int
    resident_bytes: int


class TransportReport(Struct, frozen=True, kw_only=True):
    """By side: rates in posts a second and CPU in microseconds a post. Stages in CPU microseconds a post."""

    command: str
    machine: Machine
    sizes: TransportSizes
    rates: dict[str, Rounds]
    cpu_us: dict[str, Rounds]
    stages_us: dict[str, float]
    memory: tuple[MemoryMark, ...]
    memory_rate: float
    posts_in: int
    posts_out: int

    def lines(self) -> list[str]:
        """All of it for people."""
        names = {
            "aiokafka": "plain aiokafka, getmany to send_batch",
            "drain": "worker, consumed and acknowledged only",
            "decode": "worker, intake reduced to decoding (aim 25,000)",
            "whole": "worker, whole intake and trends (aim 5,000)",
        }
        plain = self.rates["aiokafka"].median
        sides = [
            f"{names[side]:<50} {self.rates[side]} posts/s, {self.rates[side].median / plain:.3f} of plain, "
            f"CPU {number(self.cpu_us[side].median)} us a post"
            for side in self.rates
        ]
        stages = ", ".join(f"{stage} {cost:.1f}" for stage, cost in self.stages_us.items())
        marks = ", ".join(f"{megabytes(mark.resident_bytes)} at {mark.posts:,}" for mark in self.memory)
        return [
            f"machine     {self.machine.line()}",
            f"sizes       {self.sizes.rounds} rounds of {self.sizes.posts:,} posts a side, {PARTITIONS} partitions",
            *sides,
            f"stages      microseconds of CPU a post: {stages}",
            f"memory      {marks} posts (whole intake, {number(self.memory_rate)} posts/s)"
            if marks
            else "memory      -",
            f"accounting  {self.posts_in:,} posts in, {self.posts_out:,} out",
            f"again       {self.command}",
        ]


class _Reading(Struct, frozen=True):
    """One side at one moment."""

    seconds: float
    posts: int
    cpu_seconds: float
    resident_bytes: int


class Transport:
    """One run."""

    def __init__(self, house: BenchHouse, sizes: TransportSizes, say: Say) -> None:
        self._house = house
        self._sizes = sizes
        self._say = say
        self._load = Load()
        self._posts_in = 0
        self._posts_out = 0
        self._ack_us: list[float] = []

    def run(self, command: str) -> TransportReport:
        """Measures and reports."""
        machine = this_machine()
        rates: dict[str, list[float]] = {side: [] for side in SIDES}
        costs: dict[str, list[float]] = {side: [] for side in SIDES}
        for turn in range(1, self._sizes.rounds + 1):
            for side in SIDES:
                settings = self._filled(f"{side}{turn}", self._sizes.posts)
                rate, cost = self._relay(settings) if side == "aiokafka" else self._drain(settings, side)
                rates[side].append(rate)
                costs[side].append(cost)
            self._say(f"round {turn}: " + ", ".join(f"{side} {number(rates[side][-1])}" for side in SIDES))
        memory, memory_rate = self._memory()
        cpu_us = {side: rounds_of(costs[side]) for side in SIDES}
        return TransportReport(
            command=command,
            machine=machine,
            sizes=self._sizes,
            rates={side: rounds_of(rates[side]) for side in SIDES},
            cpu_us=cpu_us,
            stages_us=self._stages({side: cpu_us[side].median for side in SIDES}),
            memory=memory,
            memory_rate=memory_rate,
            posts_in=self._posts_in,
            posts_out=self._posts_out,
        )

    def _stages(self, cpu_us: dict[str, float]) -> dict[str, float]:
        """Each stage's own cost; what whole processes show and no stage explains is named as the rest."""
        pure = stage_costs(min(STAGE_POSTS, self._sizes.posts))
        ack = sum(self._ack_us) / len(self._ack_us)
        send = max(0.0, cpu_us["decode"] - cpu_us["drain"] - pure["decode"] - pure["encode"])
        known = cpu_us["drain"] + send + sum(pure.values())
        return {
            "drain": cpu_us["drain"] - ack,
            **pure,
            "send": send,
            "ack": ack,
            "rest (trends, metrics, second topic)": cpu_us["whole"] - known,
        }

    def _filled(self, name: str, posts: int) -> Settings:
        settings = self._house.settings(name, PARTITIONS, None)
        now_ms = int(time.time() * 1000)
        source = self._load.posts(0, posts, now_ms - posts, 1.0)
        self._posts_in += run_async(fill(settings, settings.inputs[0].topic, source, PARTITIONS))
        return settings

    def _relay(self, settings: Settings) -> tuple[float, float]:
        cpu_before = time.process_time()
        seconds = run_async(relay(settings, self._sizes.posts))
        self._posts_out += self._sizes.posts
        return self._sizes.posts / seconds, (time.process_time() - cpu_before) / self._sizes.posts * 1e6

    def _drain(self, settings: Settings, side: str) -> tuple[float, float]:
        readings = self._worker(settings, side, self._sizes.posts)
        first, last = counted(readings)
        posts = last.posts - first.posts
        return (
            posts / (last.seconds - first.seconds),
            (last.cpu_seconds - first.cpu_seconds) / posts * 1e6,
        )

    def _memory(self) -> tuple[tuple[MemoryMark, ...], float]:
        posts = self._sizes.memory_posts
        if posts == 0:
            return (), 0.0
        self._say(f"memory: {posts:,} posts through the whole intake")
        readings = self._worker(self._filled("memory", posts), "whole", posts)
        first, last = counted(readings)
        marks = []
        at = min(FIRST_MARK_POSTS, posts)
        while at < posts:
            marks.append(_mark(readings, at))
            at *= 10
        rate = (last.posts - first.posts) / (last.seconds - first.seconds)
        return (*marks, _mark(readings, posts)), rate

    def _worker(self, settings: Settings, side: str, posts: int) -> list[_Reading]:
        worker = self._house.start_worker(settings, ("streamapp.bench.null_worker", side))
        readings = run_async(self._follow(settings, worker, side, posts))
        if side == "drain":
            samples = worker.metrics()
            self._ack_us.append(values(samples, "streamapp_stage_seconds_sum", stage="ack")[0] / posts * 1e6)
        self._posts_out += readings[-1].posts
        worker.stop()
        return readings

    async def _follow(self, settings: Settings, worker: BenchWorker, side: str, posts: int) -> list[_Reading]:
        receiver = open_receiver(settings)
        await receiver.start()
        moved_at = time.monotonic()
        usage = worker.meter.usage()
        readings = [_Reading(moved_at, 0, usage.cpu_seconds, usage.resident_bytes)]
        try:
            while readings[-1].posts < posts:
                await asyncio.sleep(POLL_SECONDS)
                worker.check()
                done = (
                    await asyncio.to_thread(_acknowledged, worker)
                    if side == "drain"
                    else await end_offset(receiver, settings.topics.prefix + "scored-posts", PARTITIONS)
                )
                now = time.monotonic()
                if done > readings[-1].posts:
                    moved_at = now
                if now - moved_at > STALLED_SECONDS:
                    raise TimeoutError(f"the worker stopped at {done:,} of {posts:,} posts")
                usage = worker.meter.usage()
                readings.append(_Reading(now, done, usage.cpu_seconds, usage.resident_bytes))
        finally:
            await receiver.stop()
        return readings


def _acknowledged(worker: BenchWorker) -> int:
    return int(sum(values(worker.metrics(), "streamapp_posts_in_total")))


def counted(readings: list[_Reading]) -> tuple[_Reading, _Reading]:
    """The readings between which rates are taken: from the end of the first tenth to the first that has all."""
    last = readings[-1]
    first = next(
        (
            reading
            for reading in readings
            if reading.posts >= last.posts * SKIPPED_SHARE and reading is not last
        ),
        readings[0],
    )
    return first, last


def _mark(readings: list[_Reading], posts: int) -> MemoryMark:
    reached = next(reading for reading in readings if reading.posts >= posts)
    return MemoryMark(reached.posts, reached.resident_bytes)


async def relay(settings: Settings, posts: int) -> float:
    """Plain aiokafka: getmany to send_batch, each fetch awaited; the seconds it takes from the first record on."""
    receiver, sender = open_receiver(settings), open_sender(settings)
    await receiver.start()
    await sender.start()
    try:
        receiver.assign(partitions_of(settings.inputs[0].topic, PARTITIONS))
        output = settings.topics.prefix + "scored-posts"
        relayed = 0
        began = 0.0
        while relayed < posts:
            fetched = await receiver.getmany(timeout_ms=1000, max_records=RELAY_POSTS)
            began = began or time.monotonic()
            waiting = []
            for partition, records in fetched.items():
                relayed += len(records)
                copies = [LoadPost(record.key, record.value) for record in records]
                waiting += await send_chunk(sender, output, partition.partition, copies)
            await asyncio.gather(*waiting)
        return time.monotonic() - began
    finally:
        await receiver.stop()
        await sender.stop()
