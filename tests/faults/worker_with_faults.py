"""The worker with faults built in: `worker_with_faults.py FAULT... --config FILE`. Only tests start it.

Faults are wrapped around the worker's own seams from outside; the worker has no switch for them.
Where S is a path in slow-state, slow-model and hold, the fault lasts until that file is there.
  POINT:N:kill      SIGKILL at the N-th passage of POINT, after a commit of all that was acknowledged
  POINT:N:raise     the same with an exception
  say-batches       a line before each batch: the agent, and the first offset of each partition in it
  model-posts-per-second:R   a model that takes R posts a second
  slow-batch:S      every scored batch takes S seconds
  slow-state:S      reading trend state takes S seconds
  slow-model:S      loading the model takes S seconds
  block-loop:PATH   the event loop stands still while the file PATH is there
  hold:TOPIC/P:S    partition P of the topic with that ending is not fetched for S seconds after it was to be
  lossy-fetch:PATH  the first fetch of inputs after the file PATH came lacks the first half of its records
  stale-fetch:PATH  the fetch under way when the file PATH comes ends after the next rebalance, with records
  late-seek:PATH    the fetch under way when the file PATH comes ends in a rebalance; what is committed is told after it
  poison            the model raises on the word `poison`, gives no number on `nonnumber`
  slow-version:V:S  the model of version V takes S seconds longer for every forward pass
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from streamapp import app
from streamapp.agents import event_stream, kafka_transport, outbox, pulse, score, trend_store, watch
from streamapp.cli.main import main
from streamapp.core.trend_state import FRONTIERS_KEY
from streamapp.inference import micro_batcher, onnx_model

# Started as a program of its own, so its folder is what Python looks in.
sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from tests.faults import swap_faults

POINTS = (
    "mid-scored", "after-scored", "after-tick", "mid-score-ack", "mid-results", "after-results", "after-alert",
    "mid-subjects", "after-subjects", "after-frontiers", "mid-watch-ack", "mid-pairs", "after-pairs", "after-event",
    *swap_faults.SWAP_POINTS,
)  # fmt: skip

apps: list[Any] = []
Deliver = Callable[[Any, Sequence[outbox.Outgoing]], Awaitable[None]]


class Trap:
    """What happens at the n-th passage of a point."""

    def __init__(self, point: str, nth: int, action: str) -> None:
        self.point, self.left, self.action = point, nth, action

    async def pass_by(self, point: str) -> None:
        if not self._reached(point):
            return
        # The worst moment: whatever was acknowledged by now has just been committed.
        for _ in range(2):
            await apps[0].consumer.commit()
        print(f"fault: {self.action} at {point}", file=sys.stderr, flush=True)
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError(f"a fault of the test's at {point}")

    def pass_now(self, point: str) -> None:
        """For steps outside the event loop, without a commit before."""
        if self._reached(point):
            print(f"fault: kill at {point}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    def _reached(self, point: str) -> bool:
        self.left -= point == self.point
        return point == self.point and self.left == 0


def passing(traps: Sequence[Trap]) -> Callable[[str], None]:
    """What every trap hears of a step outside the event loop."""

    def pass_now(point: str) -> None:
        for trap in traps:
            trap.pass_now(point)

    return pass_now


def kind_of(messages: Sequence[outbox.Outgoing]) -> str:
    """What a delivery is, told from its topics: scored, tick, pairs, event, results, subjects, frontiers."""
    topics = {message.topic.rpartition("-")[2] for message in messages}
    names = {message.topic for message in messages}
    if any(name.endswith("subject-state") for name in names):
        return "frontiers" if messages[-1].key == FRONTIERS_KEY else "subjects"
    if any(name.endswith(("subject-trends", "alerts")) for name in names):
        return "results"
    if any(name.endswith("model-events") for name in names):
        return "event"
    if topics == {"activity"} and all(message.key == swap_faults.PAIRS_KEY for message in messages):
        return "pairs"
    if topics == {"activity"} and all(message.key == b"tick" for message in messages):
        return "tick"
    return "scored" if any(name.endswith("scored-posts") for name in names) else ""


def trap_deliveries(traps: list[Trap]) -> None:
    deliver: Deliver = outbox.Outbox.deliver
    halves = {trap.point for trap in traps if trap.point.startswith("mid-")}

    async def watched(self: Any, messages: Sequence[outbox.Outgoing]) -> None:
        kind = kind_of(messages)
        if f"mid-{kind}" in halves and len(messages) > 1:
            middle = len(messages) // 2
            await deliver(self, messages[:middle])
            for trap in traps:
                await trap.pass_by(f"mid-{kind}")
            await deliver(self, messages[middle:])
        else:
            await deliver(self, messages)
        if any(message.topic.endswith("alerts") for message in messages):
            for trap in traps:
                await trap.pass_by("after-alert")
        for trap in traps:
            await trap.pass_by(f"after-{kind}")

    outbox.Outbox.deliver = watched  # type: ignore[method-assign]


def remember_app() -> None:
    begin = kafka_transport.StreamApp.__init__

    def remembered(self: Any, *args: Any, **kwargs: Any) -> None:
        apps.append(self)
        begin(self, *args, **kwargs)

    kafka_transport.StreamApp.__init__ = remembered  # type: ignore[method-assign]


def trap_acks(traps: list[Trap]) -> None:
    ack = event_stream.EventStream.ack

    async def watched(self: Any, event: Any) -> bool:
        answer: bool = await ack(self, event)
        watching = event.message.topic.endswith("subject-activity")
        for trap in traps:
            await trap.pass_by("mid-watch-ack" if watching else "mid-score-ack")
        return answer

    event_stream.EventStream.ack = watched  # type: ignore[method-assign]


def say_batches() -> None:
    publish, apply = score.ScoreAgent._publish, watch.WatchAgent._watch

    def say(agent: str, records: Iterable[Any]) -> None:
        first: dict[str, int] = {}
        for record in records:
            first.setdefault(f"{record.topic}/{record.partition}", record.offset)
        places = " ".join(f"{place}={offset}" for place, offset in first.items())
        print(f"fault: {agent} batch {places}", file=sys.stderr, flush=True)

    async def publishing(self: Any, batch: score.ScoredBatch) -> None:
        say("score", batch.records)
        await publish(self, batch)

    async def watching(self: Any, events: Sequence[Any]) -> None:
        say("watch", (event.message for event in events))
        await apply(self, events)

    score.ScoreAgent._publish = publishing  # type: ignore[method-assign]
    watch.WatchAgent._watch = watching  # type: ignore[method-assign]


def slow_batch(seconds: float) -> None:
    predict = score.Scorer.score

    async def slowed(self: Any, records: Any) -> score.ScoredBatch:
        print(f"fault: a batch of {len(records)} begins", file=sys.stderr, flush=True)
        await asyncio.sleep(seconds)
        return await predict(self, records)

    score.Scorer.score = slowed  # type: ignore[method-assign]


def begun(path: str) -> bool:
    """Whether the file is there with which a fault begins."""
    return Path(path).exists()


def over(how_long: str, began: float) -> bool:
    """Whether a fault that lasts `how_long`, in seconds or until a file is there, is over."""
    return (
        Path(how_long).exists() if how_long.startswith("/") else time.monotonic() >= began + float(how_long)
    )


async def wait_over(how_long: str) -> None:
    began = time.monotonic()
    while not over(how_long, began):  # noqa: ASYNC110  # another process says when
        await asyncio.sleep(0.05)


def slow_state(how_long: str) -> None:
    read = trend_store.TrendStore._read_to_end

    async def slowed(self: Any, consumer: Any) -> None:
        await wait_over(how_long)
        await read(self, consumer)

    trend_store.TrendStore._read_to_end = slowed  # type: ignore[method-assign]


def slow_model(how_long: str) -> None:
    load = app.Worker._load_model

    def slowed(self: Any) -> Any:
        began = time.monotonic()
        while not over(how_long, began):
            time.sleep(0.05)
        return load(self)

    app.Worker._load_model = slowed  # type: ignore[method-assign]


def block_loop(path: str) -> None:
    measure = pulse.Pulse._measure

    def blocked(self: Any) -> None:
        while Path(path).exists():
            time.sleep(0.05)
        measure(self)

    pulse.Pulse._measure = blocked  # type: ignore[method-assign]


def pace_model(posts_per_second: float) -> None:
    predict = micro_batcher.MicroBatcher.predict
    turn = asyncio.Lock()

    async def paced(self: Any, texts: Sequence[str]) -> list[onnx_model.Prediction]:
        async with turn:
            await asyncio.sleep(len(texts) / posts_per_second)
        return await predict(self, texts)

    micro_batcher.MicroBatcher.predict = paced  # type: ignore[method-assign]


def hold(place: str, how_long: str) -> None:
    ending, _, number = place.partition("/")
    resume = kafka_transport.InputConsumer.resume_partitions
    began: list[float] = []
    releases: list[asyncio.Task[None]] = []

    def held(self: Any, tps: Any) -> None:
        kept = {tp for tp in tps if tp.topic.endswith(ending) and tp.partition == int(number)}
        if kept and not began:
            began.append(time.monotonic())
        if kept and not over(how_long, began[0]):
            print(f"fault: holds {place} until {how_long}", file=sys.stderr, flush=True)
            releases.append(asyncio.get_running_loop().create_task(release(self, kept)))
            self.pause_partitions(kept)
            tps = set(tps) - kept
        resume(self, tps)

    async def release(consumer: Any, kept: Any) -> None:
        while not over(how_long, began[0]):  # noqa: ASYNC110  # another process says when
            await asyncio.sleep(0.05)
        resume(consumer, kept)

    kafka_transport.InputConsumer.resume_partitions = held  # type: ignore[method-assign]


def stale_fetch(path: str) -> None:
    fetch = kafka_transport.InputConsumer._fetch
    left = [True]

    async def stale(self: Any, wanted: Any, timeout: float) -> Any:
        if not (left and begun(path)):
            return await fetch(self, wanted, timeout)
        left.clear()
        generation = self.app.consumer_generation_id
        print("fault: a fetch outlasts a rebalance", file=sys.stderr, flush=True)
        while generation == self.app.consumer_generation_id or not self.flow_active:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        fetched: Any = {}
        while not fetched:
            fetched = await fetch(self, wanted & self.assignment(), 1.0)
        print(f"fault: it brings {sum(map(len, fetched.values()))}", file=sys.stderr, flush=True)
        return fetched

    kafka_transport.InputConsumer._fetch = stale  # type: ignore[method-assign]


def late_seek(path: str) -> None:
    fetch, committed = kafka_transport.InputConsumer._fetch, AIOKafkaConsumer.committed
    left, late = [True], [False]

    async def revoked(self: Any, wanted: Any, timeout: float) -> Any:
        if not (left and begun(path)):
            return await fetch(self, wanted, timeout)
        left.clear()
        while self.flow_active:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        late[0] = True
        return {}

    async def after_rebalance(self: Any, tp: Any) -> Any:
        if late[0]:
            print("fault: a seek outlasts a rebalance", file=sys.stderr, flush=True)
            late[0] = False
            before = self._subscription.subscription.assignment
            while self._subscription.subscription.assignment is before:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return await committed(self, tp)

    kafka_transport.InputConsumer._fetch = revoked  # type: ignore[method-assign]
    AIOKafkaConsumer.committed = after_rebalance


def lossy_fetch(path: str) -> None:
    fetch = kafka_transport.InputConsumer._fetch
    left = [True]

    async def lossy(self: Any, wanted: Any, timeout: float) -> Any:
        fetched = await fetch(self, wanted, timeout)
        if not (left and begun(path) and any(self.app.is_ordered(tp.topic) for tp in fetched)):
            return fetched
        left.clear()
        print("fault: a fetch loses records", file=sys.stderr, flush=True)
        return {tp: records[(len(records) + 1) // 2 :] for tp, records in fetched.items()}

    kafka_transport.InputConsumer._fetch = lossy  # type: ignore[method-assign]


def poison() -> None:
    predict = micro_batcher.MicroBatcher.predict

    async def poisoned(self: Any, texts: Sequence[str]) -> list[onnx_model.Prediction]:
        if any("poison" in text for text in texts):
            raise ValueError("this model cannot read poison")
        indexes = tuple(index for index, text in enumerate(texts) if "nonnumber" in text)
        if indexes:
            raise onnx_model.NotFiniteError(indexes)
        return await predict(self, texts)

    micro_batcher.MicroBatcher.predict = poisoned  # type: ignore[method-assign]


TWO_ARGUMENTS: dict[str, Callable[[str, str], None]] = {
    "hold": hold,
    "slow-version": swap_faults.slow_version,
}


def install(faults: Sequence[str]) -> None:
    traps = []
    for fault in faults:
        name, *rest = fault.split(":")
        if name in POINTS:
            traps.append(Trap(name, int(rest[0]), rest[1]))
        elif name in TWO_ARGUMENTS:
            TWO_ARGUMENTS[name](*rest)
        elif name == "poison":
            poison()
        elif name == "say-batches":
            say_batches()
        else:
            lasting = {
                "slow-state": slow_state, "slow-model": slow_model, "block-loop": block_loop,
                "stale-fetch": stale_fetch, "late-seek": late_seek, "lossy-fetch": lossy_fetch,
            }  # fmt: skip
            one_number = {"slow-batch": slow_batch, "model-posts-per-second": pace_model}
            if name in lasting:
                lasting[name](rest[0])
            else:
                one_number[name](float(rest[0]))
    if traps:
        remember_app()
        trap_deliveries(traps)
        trap_acks(traps)
        swap_faults.trap_swaps(passing(traps))


if __name__ == "__main__":
    split = sys.argv.index("--config")
    install(sys.argv[1:split])
    sys.argv = ["streamapp", "worker", *sys.argv[split:]]
    main()
