"""What was acknowledged reaches watch as ticks, in order, on every partition."""

import asyncio
import time

from streamapp.agents.inputs import Inputs
from streamapp.agents.outbox import Outbox
from streamapp.agents.ticker import Ticker, TopicPartition
from streamapp.contracts.codec import decode
from streamapp.contracts.messages import Post, ScoredPost, SourceOffset, SubjectActivity, Tick, Verdict
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.frontier import FrontierTracker
from streamapp.core.intake import InputRules, Rejected
from tests.fakes import FakeProducer

PARTITIONS = 3
T = 1_000 * MINUTE_MS  # long ago, so that no record is young
INPUTS = Inputs({"news": InputRules(channel="news")}, "redriven", {"news": "N", "redriven": "R"})


class Bench:
    """A ticker over a producer of the test's own."""

    def __init__(self, *, held: bool = False) -> None:
        self.ends: dict[TopicPartition, int] = {("news", 0): 100, ("redriven", 0): 100}
        self.producer = FakeProducer(held=held)
        outbox = Outbox(lambda: self.producer, 5.0, lambda: None)
        tracker = FrontierTracker("worker-1", 5_000)
        self.ticker = Ticker(tracker, INPUTS, outbox, ("subject-activity", PARTITIONS), lambda: self.ends)

    def ticks(self) -> list[Tick]:
        """The ticks that partition 0 was told."""
        told = [decode(m.value, SubjectActivity) for m in self.producer.messages if m.partition == 0]
        assert all(isinstance(tick, Tick) for tick in told)
        return told


def record(offset: int, *, topic: str = "news", timestamp_ms: int = T) -> RawRecord:
    return RawRecord(
        topic=topic,
        topic_uuid=INPUTS.uuid_of(topic),
        partition=0,
        offset=offset,
        timestamp_ms=timestamp_ms,
        redriven=topic == "redriven",
    )


def scored(source: RawRecord, event_time_ms: int) -> ScoredPost:
    return ScoredPost(
        post=Post(id="n", channel="news", text="x", event_time_ms=event_time_ms),
        verdict=Verdict(),
        model_version="m-1",
        source_offset=source.source_offset,
        story_fingerprint="0" * 16,
    )


def acknowledge(bench: Bench, source: RawRecord, event_time_ms: int) -> None:
    bench.ticker.acknowledge([source], [scored(source, event_time_ms)])


async def test_a_tick_goes_to_every_partition_of_subject_activity() -> None:
    bench = Bench()
    bench.ticker.assign({("news", 0): 10})
    await bench.ticker.send_due()
    assert [message.partition for message in bench.producer.messages] == list(range(PARTITIONS))
    assert {message.topic for message in bench.producer.messages} == {"subject-activity"}
    assert len({message.value for message in bench.producer.messages}) == 1


async def test_nothing_is_sent_where_nothing_is_due() -> None:
    bench = Bench()
    await bench.ticker.send_due()
    bench.ticker.assign({("news", 0): 10})
    await bench.ticker.send_due()
    await bench.ticker.send_due()
    assert len(bench.ticks()) == 1


async def test_redriven_is_no_source_of_time() -> None:
    bench = Bench()
    bench.ticker.assign({("news", 0): 10, ("redriven", 0): 0})
    acknowledge(bench, record(5, topic="redriven"), T + 50 * MINUTE_MS)
    await bench.ticker.send_due()
    (tick,) = bench.ticks()
    assert [(source.topic_uuid, source.frontier_ms) for source in tick.sources] == [("N", None)]


async def test_a_post_from_the_future_moves_time_no_further_than_its_record() -> None:
    bench = Bench()
    bench.ticker.assign({("news", 0): 10})
    acknowledge(bench, record(10), T + 99 * MINUTE_MS)
    await bench.ticker.send_due()
    assert bench.ticks()[-1].sources[0].frontier_ms == T


async def test_a_late_post_moves_time_no_further_than_itself() -> None:
    bench = Bench()
    bench.ticker.assign({("news", 0): 10})
    acknowledge(bench, record(10), T - 99 * MINUTE_MS)
    await bench.ticker.send_due()
    assert bench.ticks()[-1].sources[0].frontier_ms == T - 99 * MINUTE_MS


async def test_a_dead_letter_moves_the_offset_alone() -> None:
    bench = Bench()
    bench.ticker.assign({("news", 0): 10})
    bench.ticker.acknowledge([record(10)], [Rejected("not_json", "")])
    await bench.ticker.send_due()
    source = bench.ticks()[-1].sources[0]
    assert (source.offset, source.frontier_ms) == (10, None)


async def test_caught_up_follows_the_end_offsets_last_seen() -> None:
    bench = Bench()
    bench.ends = {("news", 0): 11}
    bench.ticker.assign({("news", 0): 10})
    acknowledge(bench, record(10), T)
    await bench.ticker.send_due()
    assert bench.ticks()[-1].sources[0].caught_up


async def test_a_young_record_is_caught_up() -> None:
    bench = Bench()
    bench.ticker.assign({("news", 0): 10})
    acknowledge(bench, record(10, timestamp_ms=int(time.time() * 1000)), T)
    await bench.ticker.send_due()
    assert bench.ticks()[-1].sources[0].caught_up


async def test_a_paused_input_holds_no_watermark_back() -> None:
    bench = Bench()
    bench.ticker.assign({("news", 0): 10})
    bench.ticker.pause([("news", 0), ("redriven", 0)])
    await bench.ticker.send_due()
    assert bench.ticks()[-1].sources[0].caught_up


async def test_ticks_never_overtake_each_other() -> None:
    bench = Bench(held=True)
    bench.ticker.assign({("news", 0): 10})
    first = asyncio.create_task(bench.ticker.send_due())
    await asyncio.sleep(0)
    acknowledge(bench, record(10), T)
    second = asyncio.create_task(bench.ticker.send_due())
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(bench.producer.messages) == PARTITIONS
    for sent in bench.producer.waiting():
        sent.acknowledged.set_result(None)
    await first
    for _ in range(10):
        await asyncio.sleep(0)
    for sent in bench.producer.waiting():
        sent.acknowledged.set_result(None)
    await second
    assert [tick.sources[0].offset for tick in bench.ticks()] == [9, 10]


async def test_a_record_of_a_recreated_topic_is_another_source() -> None:
    bench = Bench()
    bench.ticker.assign({("news", 0): 10})
    stranger = RawRecord(topic="news", topic_uuid="other", partition=0, offset=50, timestamp_ms=T)
    acknowledge(bench, stranger, T)
    assert stranger.source_offset == SourceOffset("other", 0, 50)
    await bench.ticker.send_due()
    assert bench.ticks()[-1].sources[0].offset == 9
