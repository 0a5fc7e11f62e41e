"""Posts in, verdicts and activities out, dead letters aside: one message's way, told by `_publish` and `_score`.

Two loops share a short queue: one computes batches, one publishes them in order. A record is acknowledged after every
message that it caused is, and offsets of one partition are acknowledged in order (design 6.2).
"""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from streamapp import metrics
from streamapp.agents.batch_gate import BatchGate
from streamapp.agents.dead_letters import dead_letter
from streamapp.agents.inbox import Inbox
from streamapp.agents.input_control import InputControl
from streamapp.agents.inputs import Inputs
from streamapp.agents.labelling import Labelling
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.agents.ready_batches import ReadyBatches
from streamapp.agents.ticker import Ticker
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import Post, ScoredPost
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.activity import batches_of
from streamapp.core.batching import BatchSize
from streamapp.core.companies import SymbolTable, find_companies
from streamapp.core.intake import Rejected
from streamapp.core.verdict import ScoredText, give_verdict
from streamapp.inference.text_reader import ModelFailure, TextReader, UnreadableText

AGENT = "score"
UNKNOWN = "unknown"


class OutputTopics(Struct, frozen=True):
    """Full names of the topics that score writes."""

    scored_posts: str
    subject_activity: str
    dead_letters: str


class ScoredBatch(Struct, frozen=True):
    """What one batch of records became: a scored post or a rejection for each record, in order."""

    records: tuple[RawRecord, ...]
    results: tuple[ScoredPost | Rejected, ...]

    def joined(self, later: "ScoredBatch") -> "ScoredBatch":
        """Both batches as one, in order."""
        return ScoredBatch(self.records + later.records, self.results + later.results)


class ModelCare(Protocol):
    """Who looks after the model (agents/model_care.py)."""

    def note(self, results: Sequence[ScoredPost | Rejected]) -> None:
        """A batch was scored."""

    async def rescue(self, failure: ModelFailure) -> None:
        """Put another model in the place of the one that failed, or raise `failure`."""


class Scorer:
    """The decisions of one batch: records to scored posts and rejections. Without `care` a failing model raises."""

    def __init__(
        self, inputs: Inputs, reader: TextReader, symbols: SymbolTable, care: ModelCare | None = None
    ) -> None:
        self.inputs = inputs
        self._reader = reader
        self._symbols = symbols
        self._care = care

    async def score(self, records: tuple[RawRecord, ...]) -> ScoredBatch:
        """One result a record, in order. Raises only what stops the process."""
        with metrics.STAGE_SECONDS.labels("intake").time():
            taken = [self.inputs.take_in(record) for record in records]
        texts = [post.text for post in taken if isinstance(post, Post)]
        with metrics.STAGE_SECONDS.labels("inference").time():
            readings = iter(await self._read(texts))
        results = tuple(
            self._judge(record, post, next(readings)) if isinstance(post, Post) else post
            for record, post in zip(records, taken, strict=True)
        )
        if self._care is not None:
            self._care.note(results)
        return ScoredBatch(records, results)

    async def _read(self, texts: Sequence[str]) -> list[ScoredText | UnreadableText]:
        """Nothing of a batch has left yet, so another model may read all of it."""
        while True:
            try:
                return await self._reader.read(texts)
            except ModelFailure as failure:
                if self._care is None:
                    raise
                await self._care.rescue(failure)

    def _judge(
        self, record: RawRecord, post: Post, reading: ScoredText | UnreadableText
    ) -> ScoredPost | Rejected:
        if isinstance(reading, UnreadableText):
            return Rejected(reading.reason, reading.detail)
        companies = find_companies(post.text, post.symbols, self._symbols, reading.reading.company_spans)
        return give_verdict(post, reading, companies, record.source_offset)


class ScoreLimits(Struct, frozen=True):
    """How much a score agent holds at once."""

    max_posts: int
    max_batches_in_flight: int


class ScoreAgent:
    """The Faust agent. Bounded: at most `max_batches_in_flight` + 3 batches (one is published, one is ready, one waits
    for its place) and one inbox of events are un-acked.
    """

    def __init__(
        self,
        scorer: Scorer,
        outbox: Outbox,
        ticker: Ticker,
        control: InputControl,
        *,
        topics: OutputTopics,
        limits: ScoreLimits,
        labelling: Labelling | None = None,
    ) -> None:
        self._scorer = scorer
        self._inputs = scorer.inputs
        self._outbox = outbox
        self._ticker = ticker
        self._control = control
        self._topics = topics
        self._limits = limits
        self._labelling = labelling
        self._size = BatchSize(limits.max_posts)
        self._gate = BatchGate()

    async def consume(self, stream: Any) -> None:
        """Consume until the stream ends; an error in either loop ends the process without ack."""
        manual = stream.noack()
        inbox: Inbox[Any] = Inbox(self._size.posts * 2)
        stream.add_future(self._run(inbox, manual))
        async for event in manual.events():
            if await self._control.may_take(event.message):
                await inbox.put(event)

    async def exchange(self, change: Callable[[], Awaitable[None]]) -> None:
        """Await `change` at a moment when all that was scored is published and acknowledged and nothing is being
        scored. What comes meanwhile waits. Raises what `change` raises; work goes on in any case.
        """
        async with self._gate.shut():
            await change()

    async def _run(self, inbox: Inbox[Any], manual: Any) -> None:
        batches: ReadyBatches[ScoredBatch] = ReadyBatches(
            self._limits.max_batches_in_flight, self._limits.max_posts
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._compute(inbox, batches, group))
            group.create_task(self._publish_in_order(batches, inbox, manual))

    async def _compute(
        self, inbox: Inbox[Any], batches: ReadyBatches[ScoredBatch], group: asyncio.TaskGroup
    ) -> None:
        while True:
            # A small batch could not be published sooner while another one is, and with what comes until then it
            # makes one larger batch, which costs less a post.
            events = await inbox.take(self._size.posts, lambda: not batches.given_out)
            records = tuple(self._inputs.record_of(event.message) for event in events)
            await self._gate.enter(len(events))
            await batches.put(events, group.create_task(self._score(records, inbox)))

    async def _score(self, records: tuple[RawRecord, ...], inbox: Inbox[Any]) -> ScoredBatch:
        began = time.monotonic()
        batch = await self._scorer.score(records)
        self._size.observe(len(records), time.monotonic() - began)
        inbox.max_events = self._size.posts * 2
        return batch

    async def _publish_in_order(
        self, batches: ReadyBatches[ScoredBatch], inbox: Inbox[Any], manual: Any
    ) -> None:
        while True:
            events, batch = await batches.take()
            await self._publish(batch)
            batches.done()
            inbox.wake()
            for event in events:
                await manual.ack(event)
            self._gate.leave(len(events))
            await self._control.observe(batch.records, batch.results)

    async def _publish(self, batch: ScoredBatch) -> None:
        with metrics.STAGE_SECONDS.labels("publish").time():
            await self._outbox.deliver(self._messages(batch))
            # Ticks stand behind the activities that they cover and before the ack: a crash in between repeats
            # them, while the other order could leave watch without the frontier of the last acknowledged posts.
            self._ticker.acknowledge(batch.records, batch.results)
            await self._ticker.send_due()
        count_batch(batch, self._inputs)

    def _messages(self, batch: ScoredBatch) -> list[Outgoing]:
        messages = []
        scored = []
        for record, result in zip(batch.records, batch.results, strict=True):
            if isinstance(result, ScoredPost):
                scored.append(result)
                messages.append(
                    Outgoing(
                        topic=self._topics.scored_posts,
                        key=result.post.id.encode(),
                        value=encode(result),
                        headers=record.headers,
                    )
                )
            else:
                channel = self._inputs.channel_of(record)
                messages.append(dead_letter(self._topics.dead_letters, record, channel, result))
        messages.extend(
            Outgoing(
                topic=self._topics.subject_activity, key=activity.subject.encode(), value=encode(activity)
            )
            for activity in batches_of(scored)
        )
        if self._labelling is not None:
            messages.extend(self._labelling.messages(batch.records, batch.results))
        return messages


def count_batch(batch: ScoredBatch, inputs: Inputs) -> None:
    """Add one published batch to the metrics."""
    now_seconds = time.time()
    metrics.BATCH_POSTS.labels(AGENT).observe(len(batch.records))
    taken: Tally[str] = Tally()
    duplicate: Tally[str] = Tally()
    verdicts: Tally[tuple[str, str, str]] = Tally()
    dead: Tally[tuple[str, str]] = Tally()
    newest_ms: dict[str, int] = {}
    for record, result in zip(batch.records, batch.results, strict=True):
        channel = (
            result.post.channel if isinstance(result, ScoredPost) else inputs.channel_of(record) or UNKNOWN
        )
        taken[channel] += 1
        if isinstance(result, ScoredPost):
            duplicate[channel] += result.duplicate_text
            topic, sentiment = result.verdict.topic, result.verdict.sentiment
            verdicts[channel, topic.label if topic else "", sentiment.label if sentiment else ""] += 1
            age_seconds = max(0.0, now_seconds - record.timestamp_ms / 1000)
            metrics.PUBLISH_TO_VERDICT_SECONDS.labels(channel).observe(age_seconds)
            newest_ms[channel] = max(newest_ms.get(channel, 0), result.post.event_time_ms)
            if "other_language" in result.post.flags:
                metrics.OTHER_LANGUAGE.labels(channel).inc()
        else:
            dead[channel, result.reason] += 1
    for record in {record.topic: record for record in batch.records}.values():
        if inputs.moves_time(record.topic):
            metrics.LAST_RECORD_SECONDS.labels(record.topic).set(record.timestamp_ms / 1000)
    for channel, event_time_ms in newest_ms.items():
        metrics.EVENT_TIME_LAG_SECONDS.labels(channel).set(now_seconds - event_time_ms / 1000)
    _count(taken, duplicate, verdicts, dead)


def _count(
    taken: Tally[str],
    duplicate: Tally[str],
    verdicts: Tally[tuple[str, str, str]],
    dead: Tally[tuple[str, str]],
) -> None:
    for channel, records in taken.items():
        metrics.POSTS_IN.labels(channel).inc(records)
        metrics.POSTS_DUPLICATE.labels(channel).inc(duplicate[channel])
    for labels, posts in verdicts.items():
        metrics.POSTS_SCORED.labels(labels[0]).inc(posts)
        metrics.VERDICTS.labels(*labels).inc(posts)
    for (channel, reason), records in dead.items():
        metrics.DEAD_LETTERS.labels(channel, reason).inc(records)
