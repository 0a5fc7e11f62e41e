"""`streamapp bench pipeline`: the real worker from broker to broker beside the bare model on the same texts and cores.

Both sides run in turns in one run; each ratio is that of their medians. Latency is open loop: a post is timed from when
it was due, so a slow answer cannot delay the next question and hide itself.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec import Struct

from streamapp.bench.figures import Percentiles, Rounds, megabytes, number, percentiles_of, rounds_of
from streamapp.bench.house import BenchHouse, BenchWorker, Say
from streamapp.bench.load import Load, number_of
from streamapp.bench.machine import CoresInUse, Machine, this_machine
from streamapp.bench.traffic import (
    end_offset,
    open_receiver,
    open_sender,
    partitions_of,
    run_async,
    send_chunk,
)
from streamapp.bench.transformers_side import TransformersSide
from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.encoding import clean_text
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import Settings

PARTITIONS: Final = 4
# Longer than the worker's own backlog, so that the bare side has the better choice of batches.
BARE_WINDOW_POSTS: Final = 512
BARE_CALLS_IN_FLIGHT: Final = 2
WARM_UP_POSTS: Final = 300
WARM_UP_SECONDS: Final = 2.0
START_SECONDS: Final = 0.2
LATENCY_NUMBERS_FROM: Final = 10_000_000
TIMEOUT_SECONDS: Final = 240.0
POLL_SECONDS: Final = 0.02


class PipelineSizes(Struct, frozen=True, kw_only=True):
    """How much is measured. `load` is the share of the median rate at which latency is taken."""

    rounds: int = 5
    posts: int = 2_000
    transformers_posts: int = 100
    latency_seconds: float = 20.0
    load: float = 0.5


class PipelineReport(Struct, frozen=True, kw_only=True):
    """Rates in posts a second, CPU in us a post (user and system), sizes in bytes, cores by process."""

    command: str
    machine: Machine
    sizes: PipelineSizes
    model: str
    provider: str
    batch_policy: str
    sessions: int
    pipeline: Rounds
    bare: Rounds
    transformers: Rounds | None
    transformers_note: str
    of_bare: float
    times_transformers: float | None
    worker_cpu_us: Rounds
    bare_cpu_us: Rounds
    latency_rate: float
    latency: Percentiles
    bare_latency: Percentiles
    latency_cores: dict[str, float]
    latency_cpu_us: float
    bare_latency_cpu_us: float
    worker_peak_resident_bytes: int
    posts_in: int
    posts_out: int

    def lines(self) -> list[str]:
        """All of it for people."""
        beside = self.transformers_note
        if self.transformers is not None and self.times_transformers is not None:
            beside = f"{self.transformers} posts/s, ratio {self.times_transformers:.1f} (aim 9). {beside}"
        in_use = ", ".join(f"{name} {cores:.2f}" for name, cores in self.latency_cores.items())
        return [
            f"machine        {self.machine.line()}",
            f"model          {self.model} on {self.provider}, {self.sessions} sessions, batch policy "
            f"{self.batch_policy}",
            f"sizes          {self.sizes.rounds} rounds of {self.sizes.posts:,} posts a side, in turns",
            f"pipeline       {self.pipeline} posts/s from broker to broker",
            f"bare model     {self.bare} posts/s on the same texts and cores",
            f"ratio          {self.of_bare:.2f} of the bare model (aim 0.85)",
            f"transformers   {beside}",
            f"CPU            worker {self.worker_cpu_us} us a post, bare model {number(self.bare_cpu_us.median)} us",
            f"latency        {self.latency}, due to received, open loop at {number(self.latency_rate)} posts/s "
            f"({self.sizes.load:.0%} of the pipeline's rate; aim p99 50 ms)",
            f"of it          {self.bare_latency} for the same arrivals at the model alone, in the benchmark's process",
            f"CPU then       worker {number(self.latency_cpu_us)} us a post, bare model "
            f"{number(self.bare_latency_cpu_us)} us",
            f"cores          {in_use} in use on average at that load, of {self.machine.cores}",
            f"memory         {megabytes(self.worker_peak_resident_bytes)} resident at most (aim 600 MB)",
            f"accounting     {self.posts_in:,} posts in, {self.posts_out:,} verdicts out",
            f"again          {self.command}",
        ]


class Pipeline:
    """One run. `transformers` is the third side, where it can run."""

    def __init__(
        self, house: BenchHouse, bundle: Path, sizes: PipelineSizes, transformers: TransformersSide, say: Say
    ) -> None:
        self._house = house
        self._sizes = sizes
        self._transformers = transformers
        self._say = say
        self._load = Load()
        self._settings = house.settings("pipeline", PARTITIONS, bundle)
        self._model = OnnxModel.load(read_bundle(bundle), self._settings.model)
        self._sent = 0

    def run(self, command: str) -> PipelineReport:
        """Measures and reports."""
        machine = this_machine()
        self._model.warm_up()
        worker = self._house.start_worker(self._settings)
        measured = run_async(self._measure(worker))
        worker.stop()
        pipeline, bare = rounds_of(measured.pipeline), rounds_of(measured.bare)
        transformers = rounds_of(measured.transformers) if measured.transformers else None
        return PipelineReport(
            command=command,
            machine=machine,
            sizes=self._sizes,
            model=self._model.version,
            provider=self._model.provider,
            batch_policy=self._model.manifest.batch_policy,
            sessions=self._model.sessions,
            pipeline=pipeline,
            bare=bare,
            transformers=transformers,
            transformers_note=self._transformers.note,
            of_bare=pipeline.median / bare.median,
            times_transformers=pipeline.median / transformers.median if transformers else None,
            worker_cpu_us=rounds_of(measured.worker_cpu_us),
            bare_cpu_us=rounds_of(measured.bare_cpu_us),
            latency_rate=measured.latency_rate,
            latency=percentiles_of(measured.latencies_seconds),
            bare_latency=percentiles_of(measured.bare_latencies_seconds),
            latency_cores=measured.latency_cores,
            latency_cpu_us=measured.latency_cores["worker"] / measured.latency_rate * 1e6,
            bare_latency_cpu_us=measured.bare_latency_cpu_us,
            worker_peak_resident_bytes=measured.peak_resident_bytes,
            posts_in=self._sent,
            posts_out=measured.posts_out,
        )

    async def _measure(self, worker: BenchWorker) -> _Measured:
        measured = _Measured()
        wire = await _Wire.open(self._settings)
        batcher = MicroBatcher(self._model, self._settings.batching)
        try:
            await self._drive(wire, worker, WARM_UP_POSTS)
            await self._bare(batcher, self._load.texts(0, WARM_UP_POSTS))
            for turn in range(1, self._sizes.rounds + 1):
                await self._round(turn, wire, worker, batcher, measured)
            measured.latency_rate = self._sizes.load * statistics.median(measured.pipeline)
            cores = CoresInUse(self._house.pids(worker))
            measured.latencies_seconds = await self._latency(wire, worker, measured.latency_rate)
            measured.latency_cores = cores.on_average()
            await self._bare_latency(batcher, measured)
            measured.peak_resident_bytes = worker.meter.usage().peak_resident_bytes
            measured.posts_out = await wire.scored()
        finally:
            batcher.close()
            await wire.close()
        return measured

    async def _round(
        self, turn: int, wire: _Wire, worker: BenchWorker, batcher: MicroBatcher, measured: _Measured
    ) -> None:
        posts = self._sizes.posts
        texts = [clean_text(text) for text in self._load.texts(self._sent, posts)]
        cpu_before = worker.meter.usage().cpu_seconds
        measured.pipeline.append(posts / await self._drive(wire, worker, posts))
        measured.worker_cpu_us.append((worker.meter.usage().cpu_seconds - cpu_before) / posts * 1e6)
        cpu_before = time.process_time()
        measured.bare.append(posts / await self._bare(batcher, texts))
        measured.bare_cpu_us.append((time.process_time() - cpu_before) / posts * 1e6)
        beside = await asyncio.to_thread(self._transformers.posts_per_second, texts)
        if beside is not None:
            measured.transformers.append(beside)
        self._say(
            f"round {turn}: pipeline {number(measured.pipeline[-1])}, bare model {number(measured.bare[-1])}"
            + (f", transformers {number(beside)}" if beside else "")
            + " posts/s"
        )

    async def _drive(self, wire: _Wire, worker: BenchWorker, posts: int) -> float:
        """Publishes `posts` at once; the seconds until the last verdict is in Kafka."""
        chunks = [
            list(self._load.posts(self._sent + part, posts // PARTITIONS, int(time.time() * 1000), 1.0))
            for part in range(0, posts // PARTITIONS * PARTITIONS, posts // PARTITIONS)
        ]
        wanted = await wire.scored() + sum(map(len, chunks))
        self._sent += sum(map(len, chunks))
        began = time.monotonic()
        await asyncio.gather(
            *[f for partition, chunk in enumerate(chunks) for f in await wire.send(partition, chunk)]
        )
        while await wire.scored() < wanted:
            worker.check()
            if time.monotonic() > began + TIMEOUT_SECONDS:
                raise TimeoutError(f"{posts} posts were not scored within {TIMEOUT_SECONDS:.0f} s")
            await asyncio.sleep(POLL_SECONDS)
        return time.monotonic() - began

    async def _bare(self, batcher: MicroBatcher, texts: list[str]) -> float:
        """The seconds that the model alone takes, both cores, the same batch policy."""
        turns = asyncio.Semaphore(BARE_CALLS_IN_FLIGHT)

        async def predict(window: list[str]) -> None:
            async with turns:
                await batcher.predict(window)

        began = time.monotonic()
        await asyncio.gather(
            *(predict(texts[at : at + BARE_WINDOW_POSTS]) for at in range(0, len(texts), BARE_WINDOW_POSTS))
        )
        return time.monotonic() - began

    def _arrivals(self, rate: float) -> list[float]:
        """When posts are due, in seconds from the beginning, at random (Poisson) at `rate`, each call alike."""
        arrivals = random.Random(7)
        offsets = [0.0]
        while offsets[-1] < self._sizes.latency_seconds:
            offsets.append(offsets[-1] + arrivals.expovariate(rate))
        return offsets

    def _warm(self, due: list[float], answered: dict[int, float]) -> list[float]:
        """Seconds from due to answered, without those of the warm-up."""
        first = due[0] + min(WARM_UP_SECONDS, self._sizes.latency_seconds / 4)
        return [answered[place] - at for place, at in enumerate(due) if at >= first]

    async def _latency(self, wire: _Wire, worker: BenchWorker, rate: float) -> list[float]:
        """Seconds from due to received of each post."""
        await wire.receiver.seek_to_end()
        due = _from_now(self._arrivals(rate))
        received: dict[int, float] = {}
        listening = asyncio.create_task(_listen(wire.receiver, received, len(due), worker))
        for place, at in enumerate(due):
            wait = at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            post = self._load.post(LATENCY_NUMBERS_FROM + place, int(time.time() * 1000))
            await wire.sender.send(wire.topic, key=post.key, value=post.value)
        self._sent += len(due)
        await asyncio.wait_for(listening, TIMEOUT_SECONDS)
        return self._warm(due, {number - LATENCY_NUMBERS_FROM: at for number, at in received.items()})

    async def _bare_latency(self, batcher: MicroBatcher, measured: _Measured) -> None:
        """The same of the model alone: no broker, no worker, one post at a time in each session."""
        arrivals = self._arrivals(measured.latency_rate)
        texts = [clean_text(text) for text in self._load.texts(LATENCY_NUMBERS_FROM, len(arrivals))]
        cpu_before = time.process_time()
        due = _from_now(arrivals)
        answered: dict[int, float] = {}
        places = iter(range(len(due)))

        async def take() -> None:
            for place in places:
                wait = due[place] - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                await batcher.predict([texts[place]])
                answered[place] = time.monotonic()

        await asyncio.gather(*(take() for _ in range(self._model.sessions)))
        measured.bare_latency_cpu_us = (time.process_time() - cpu_before) / len(due) * 1e6
        measured.bare_latencies_seconds = self._warm(due, answered)


def _from_now(offsets: Sequence[float]) -> list[float]:
    began = time.monotonic() + START_SECONDS
    return [began + offset for offset in offsets]


async def _listen(
    receiver: AIOKafkaConsumer, received: dict[int, float], posts: int, worker: BenchWorker
) -> None:
    while len(received) < posts:
        worker.check()
        for records in (await receiver.getmany(timeout_ms=500)).values():
            now = time.monotonic()
            for record in records:
                received.setdefault(number_of(record.key), now)


class _Measured:
    def __init__(self) -> None:
        self.pipeline: list[float] = []
        self.bare: list[float] = []
        self.transformers: list[float] = []
        self.worker_cpu_us: list[float] = []
        self.bare_cpu_us: list[float] = []
        self.latency_rate = 0.0
        self.latencies_seconds: list[float] = []
        self.bare_latencies_seconds: list[float] = []
        self.bare_latency_cpu_us = 0.0
        self.latency_cores: dict[str, float] = {}
        self.peak_resident_bytes = 0
        self.posts_out = 0


class _Wire:
    """The benchmark's own ends of the worker: its input topic and its verdicts."""

    def __init__(self, settings: Settings, sender: AIOKafkaProducer, receiver: AIOKafkaConsumer) -> None:
        self.sender = sender
        self.receiver = receiver
        self.topic = settings.inputs[0].topic
        self._verdicts = settings.topics.prefix + "scored-posts"

    @classmethod
    async def open(cls, settings: Settings) -> _Wire:
        sender, receiver = open_sender(settings), open_receiver(settings)
        await sender.start()
        await receiver.start()
        wire = cls(settings, sender, receiver)
        receiver.assign(partitions_of(wire._verdicts, PARTITIONS))
        return wire

    async def send(self, partition: int, posts: list) -> list[asyncio.Future[object]]:  # type: ignore[type-arg]
        return await send_chunk(self.sender, self.topic, partition, posts)

    async def scored(self) -> int:
        return await end_offset(self.receiver, self._verdicts, PARTITIONS)

    async def close(self) -> None:
        await self.sender.stop()
        await self.receiver.stop()
