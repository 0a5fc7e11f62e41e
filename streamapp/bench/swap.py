"""`streamapp bench swap`: models exchanged many times under steady load: what is lost, what waits, what memory does.

The load is open loop: a post is timed from when it was due. Both bundles hold the same model under two versions, so
that only the exchange itself is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec import Struct

from streamapp.bench.figures import Percentiles, megabytes, percentiles_of
from streamapp.bench.house import BenchError, BenchHouse, BenchWorker, Say
from streamapp.bench.load import Load, number_of
from streamapp.bench.machine import Machine, this_machine
from streamapp.bench.traffic import open_receiver, open_sender, partitions_of, run_async
from streamapp.cluster.announcements import announce, read_champions
from streamapp.contracts.bundle import read_bundle, write_bundle
from streamapp.contracts.champion import Announcer, Champion, announcement, first_champion
from streamapp.contracts.topics import MODEL_ANNOUNCEMENTS, SCORED_POSTS
from streamapp.inference.model_store import publish_bundle
from streamapp.local.worker_pages import values
from streamapp.settings import BatchSettings, ModelSettings, SwapSettings

PARTITIONS: Final = 4
WARM_UP_SECONDS: Final = 5.0
SWAP_TIMEOUT_SECONDS: Final = 300.0
DRAIN_SECONDS: Final = 30.0
BURST_POSTS: Final = 1_000
BURST_FROM: Final = 10_000_000
POLL_SECONDS: Final = 0.1
# Counted as "after a swap": posts due from shortly before the new version's first verdict, which waited for the
# exchange, to two seconds after it.
BEFORE_SECONDS: Final = 0.5
AFTER_SECONDS: Final = 2.0
EARLY_SWAP: Final = 5
# One reading is off by some MB either way: how much a session keeps depends on the batches that it has met.
TREND_SWAPS: Final = 10
# Full before the first memory is read: growth is the models' then, not that of the cache of known texts.
CACHED_TEXTS: Final = 1_000
SAID_TIMES: Final = 20


class SwapSizes(Struct, frozen=True, kw_only=True):
    """How often, at which posts a second (0: `load` of what the worker can do), how long between, and how large the
    shadow runs are.
    """

    swaps: int = 100
    rate: float = 0.0
    load: float = 0.3
    pause_seconds: float = 3.0
    recent_posts: int = 100
    live_posts: int = 200


class SwapReport(Struct, frozen=True, kw_only=True):
    """What the swaps cost. `returns`: changes of version in a source partition beyond one a swap."""

    command: str
    machine: Machine
    sizes: SwapSizes
    model: str
    swaps: int
    rate: float
    seconds: float
    posts_in: int
    lost: int
    repeated: int
    unversioned: int
    returns: int
    warming_up: int
    after: Percentiles
    rest: Percentiles
    p99_ratio: float
    shadow_posts: float
    resident_early_bytes: int
    resident_late_bytes: int
    resident_bytes: list[int]

    def lines(self) -> list[str]:
        """All of it for people."""
        growth = self.resident_late_bytes / self.resident_early_bytes - 1
        return [
            f"machine        {self.machine.line()}",
            f"model          {self.model}, under two versions",
            f"load           {self.rate:.0f} posts/s for {self.seconds:.0f} s, arrivals at random",
            f"shadow         {self.sizes.recent_posts} posts kept in memory and {self.sizes.live_posts} live; "
            f"the last run compared {self.shadow_posts:.0f}",
            f"swaps          {self.swaps}",
            f"accounting     {self.posts_in:,} posts in, {self.lost} lost, {self.unversioned} unversioned, "
            f"{self.repeated} repeated, {self.returns} returns to a model that was exchanged",
            f"after swaps    {self.after}",
            f"the rest       {self.rest}",
            f"ratio of p99   {self.p99_ratio:.2f} (aim 2 at most)",
            f"memory         {megabytes(self.resident_early_bytes)} around swap {min(EARLY_SWAP, self.swaps)}, "
            f"{megabytes(self.resident_late_bytes)} resident around the last: {growth:+.1%} (aim 5 % at most)",
            f"its trend      {memory_trend(self.resident_bytes)}",
            f"again          {self.command}",
        ]


class SwapBench:
    """One run."""

    def __init__(self, house: BenchHouse, bundle: Path, sizes: SwapSizes, say: Say) -> None:
        self._sizes = sizes
        self._say = say
        self._house = house
        model = ModelSettings(bundle=str(bundle), cache=str(house.folder / "copies"))
        swap = SwapSettings(shadow_recent_posts=sizes.recent_posts, shadow_posts=sizes.live_posts)
        batching = BatchSettings(duplicate_cache_posts=CACHED_TEXTS)
        self._settings = house.settings("swap", PARTITIONS, bundle, model=model, swap=swap, batching=batching)
        self._champions = two_versions(bundle, house.folder)
        self._seen = _Seen({champion.model_version for champion in self._champions})
        self._rate = sizes.rate
        self._swapped_at: list[float] = []
        self._resident: list[int] = []

    def run(self, command: str) -> SwapReport:
        """Measures and reports."""
        machine = this_machine()
        worker = self._house.start_worker(self._settings)
        began = time.monotonic()
        due = run_async(self._measure(worker))
        shadow_posts = sum(values(worker.metrics(), "streamapp_shadow_posts"))
        seconds = time.monotonic() - began
        worker.stop()
        after, rest = self._latencies(due)
        return SwapReport(
            command=command,
            machine=machine,
            sizes=self._sizes,
            model=self._champions[0].model_version,
            swaps=len(self._swapped_at),
            rate=self._rate,
            seconds=seconds,
            posts_in=len(due),
            lost=len(due) - len(self._seen.received_at),
            repeated=self._seen.repeated,
            unversioned=self._seen.unversioned,
            returns=max(0, self._seen.changes() - len(self._swapped_at)),
            warming_up=len(self._seen.received_at) - after.posts - rest.posts,
            after=after,
            rest=rest,
            p99_ratio=after.p99 / rest.p99,
            shadow_posts=shadow_posts,
            resident_early_bytes=_mean_of_two(self._resident[:EARLY_SWAP]),
            resident_late_bytes=_mean_of_two(self._resident),
            resident_bytes=self._resident,
        )

    async def _measure(self, worker: BenchWorker) -> list[float]:
        """When each post was due."""
        sender, receiver = open_sender(self._settings), open_receiver(self._settings)
        await sender.start()
        await receiver.start()
        receiver.assign(partitions_of(self._settings.topics.prefix + SCORED_POSTS.name, PARTITIONS))
        due: list[float] = []
        ended = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._seen.listen(receiver, worker))
                await self._burst(sender)
                sending = group.create_task(self._send(sender, due, ended))
                await self._swap_all(worker)
                ended.set()
                await sending
                await self._drain(len(due))
                listening.cancel()
        finally:
            await sender.stop()
            await receiver.stop()
        return due

    async def _burst(self, sender: AIOKafkaProducer) -> None:
        """Warms the worker up and tells what it can do. Numbered far from the load's posts."""
        load, topic = Load(), self._settings.inputs[0].topic
        began = time.monotonic()
        for number in range(BURST_FROM, BURST_FROM + BURST_POSTS):
            post = load.post(number, int(time.time() * 1000))
            await sender.send(topic, key=post.key, value=post.value)
        await self._drain(BURST_POSTS)
        able = BURST_POSTS / (time.monotonic() - began)
        self._rate = self._rate or self._sizes.load * able
        self._say(f"the worker does {able:.0f} posts/s; the load is {self._rate:.0f}")
        self._seen.received_at.clear()

    async def _send(self, sender: AIOKafkaProducer, due: list[float], ended: asyncio.Event) -> None:
        load, arrivals = Load(), random.Random(7)
        topic = self._settings.inputs[0].topic
        moment = time.monotonic()
        while not ended.is_set():
            moment += arrivals.expovariate(self._rate)
            wait = moment - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            post = load.post(len(due), int(time.time() * 1000))
            due.append(moment)
            await sender.send(topic, key=post.key, value=post.value)

    async def _drain(self, posts: int) -> None:
        """Wait for all verdicts, until none came for a while: what is missing then is lost."""
        came, since = -1, time.monotonic()
        while came < posts and time.monotonic() < since + DRAIN_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            if len(self._seen.received_at) > came:
                came, since = len(self._seen.received_at), time.monotonic()

    async def _swap_all(self, worker: BenchWorker) -> None:
        await asyncio.sleep(WARM_UP_SECONDS)
        for number in range(1, self._sizes.swaps + 1):
            heir = self._champions[number % 2]
            self._seen.wait_for(heir.model_version)
            await asyncio.to_thread(self._announce, heir)
            self._swapped_at.append(await self._first_verdict(heir, worker))
            await asyncio.sleep(self._sizes.pause_seconds)
            self._resident.append(worker.meter.usage().resident_bytes)
            if number % max(1, self._sizes.swaps // SAID_TIMES) == 0 or number == self._sizes.swaps:
                self._say(f"swap {number}: {megabytes(self._resident[-1])} resident")

    async def _first_verdict(self, heir: Champion, worker: BenchWorker) -> float:
        deadline = time.monotonic() + SWAP_TIMEOUT_SECONDS
        while self._seen.came_at is None:
            worker.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{heir.model_version} did not serve:\n{worker.process.log_tail()}")
            await asyncio.sleep(POLL_SECONDS)
        return self._seen.came_at

    def _announce(self, heir: Champion) -> None:
        topic = self._settings.topics.prefix + MODEL_ANNOUNCEMENTS.name
        first = self._champions[0]
        present = read_champions(self._settings.broker, topic, first)[-1]
        by = Announcer(by="bench", reason="swap", at_ms=time.time_ns() // 1_000_000)
        record = announcement(present, heir, by, pinned=False)
        if not announce(self._settings.broker, topic, record, first).won:
            raise BenchError("somebody else announces models here")

    def _latencies(self, due: list[float]) -> tuple[Percentiles, Percentiles]:
        """Of posts due around a swap, and of the others; those of the warm-up are left out."""
        near: list[float] = []
        rest: list[float] = []
        swaps = iter(sorted(self._swapped_at))
        swap = next(swaps, float("inf"))
        for number, moment in enumerate(due):
            received = self._seen.received_at.get(number)
            if received is None or moment < due[0] + WARM_UP_SECONDS / 2:
                continue
            while moment > swap + AFTER_SECONDS:
                swap = next(swaps, float("inf"))
            (near if moment >= swap - BEFORE_SECONDS else rest).append(received - moment)
        return percentiles_of(near), percentiles_of(rest)


def memory_trend(resident_bytes: Sequence[int]) -> str:
    """What two single readings hide; `resident_bytes` has one a swap."""
    settled = resident_bytes[EARLY_SWAP - 1 :]
    if len(settled) < 2 * TREND_SWAPS:
        return f"not told by fewer than {EARLY_SWAP - 1 + 2 * TREND_SWAPS} swaps"
    first, last = statistics.mean(settled[:TREND_SWAPS]), statistics.mean(settled[-TREND_SWAPS:])
    return (
        f"{last / first - 1:+.1%} from the mean of {TREND_SWAPS} swaps to that of the last {TREND_SWAPS}; "
        f"all between {megabytes(min(settled))} and {megabytes(max(settled))}"
    )


def _mean_of_two(resident: list[int]) -> int:
    """Of the last two swaps: the two bundles do not come to the same memory."""
    return round(statistics.mean(resident[-2:]))


class _Offset(Struct, frozen=True):
    partition: int
    offset: int


class _Verdict(Struct, frozen=True):
    """What is read of a scored post."""

    model_version: str
    source_offset: _Offset


class _Seen:
    """The verdicts as they come."""

    def __init__(self, versions: set[str]) -> None:
        self.received_at: dict[int, float] = {}
        self.repeated = self.unversioned = 0
        self.awaited = ""
        self.came_at: float | None = None
        self._versions = versions
        self._by_partition: dict[int, list[tuple[int, str]]] = defaultdict(list)
        self._decode = msgspec.json.Decoder(_Verdict).decode

    async def listen(self, receiver: AIOKafkaConsumer, worker: BenchWorker) -> None:
        """Until cancelled."""
        while True:
            worker.check()
            for records in (await receiver.getmany(timeout_ms=200)).values():
                now = time.monotonic()
                for record in records:
                    self._take(number_of(record.key), self._decode(record.value), now)

    def wait_for(self, version: str) -> None:
        """From now on `came_at` is when the first verdict of that version came."""
        self.awaited, self.came_at = version, None

    def changes(self) -> int:
        """The most changes of version in any source partition, in the order of its offsets."""
        most = 0
        for verdicts in self._by_partition.values():
            versions = [version for _, version in sorted(verdicts)]
            most = max(most, sum(one != other for one, other in itertools.pairwise(versions)))
        return most

    def _take(self, number: int, verdict: _Verdict, now: float) -> None:
        self.repeated += number in self.received_at
        self.received_at.setdefault(number, now)
        version = verdict.model_version
        self.unversioned += version not in self._versions
        self._by_partition[verdict.source_offset.partition].append((verdict.source_offset.offset, version))
        if version == self.awaited and self.came_at is None:
            self.came_at = now


def two_versions(bundle: Path, folder: Path) -> tuple[Champion, Champion]:
    """The bundle itself, and its files under another version; both in a store below `folder`."""
    original = read_bundle(bundle)
    manifest = msgspec.structs.replace(original.manifest, version=f"{original.manifest.version}-again")
    other = write_bundle(
        folder / "again", manifest, {name: original.path(name) for name in original.manifest.files}
    )
    store = str(folder / "store")
    first, second = (
        msgspec.structs.replace(first_champion(each.manifest), bundle_url=publish_bundle(each.folder, store))
        for each in (original, other)
    )
    return first, second
