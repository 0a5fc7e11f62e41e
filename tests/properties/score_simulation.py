"""The real score agent between a stream, a model and a broker whose every step the test decides.

Inputs, outbox, ticker, input control, text reader and agent are the real ones; only what is outside the process is
replaced. Whatever is checked at a moment (an ack, the first send of a batch) is checked here, at that moment.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from random import Random
from typing import Any

from msgspec import Struct

from streamapp.agents.gap_reader import GapReader
from streamapp.agents.input_control import ControlPlan, InputControl
from streamapp.agents.inputs import Inputs
from streamapp.agents.next_offsets import NextOffsets
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.agents.score import OutputTopics, ScoreAgent, ScoreLimits, Scorer
from streamapp.agents.ticker import Ticker
from streamapp.contracts.codec import decode
from streamapp.contracts.dead_letter import parse_dead_letter
from streamapp.contracts.messages import ActivityBatch, ScoredPost, SourceOffset, SubjectActivity, Tick
from streamapp.core.companies import Company, SymbolTable
from streamapp.core.frontier import FrontierTracker
from streamapp.core.intake import InputRules
from streamapp.core.pausing import PauseRules
from streamapp.health import Vitals
from streamapp.inference.language import LanguageDetector
from streamapp.inference.model_slot import ModelSlot
from streamapp.inference.text_reader import TextReader
from tests.fakes import FakeEvent, FakeMessage, FakeModel, FakeProducer, FakeStream, Sent

POISON = "poison"
UUIDS = {"news": "N", "chat": "C", "redriven": "R"}
TOPICS = OutputTopics("scored-posts", "subject-activity", "dead-letters")
ACTIVITY_PARTITIONS = 2
MINUTE_MS = 60_000
BASE_MS = 1_790_000_000_000
SYMBOLS = SymbolTable([Company(symbol="AAPL", name="Apple Inc."), Company(symbol="MSFT", name="Microsoft")])


class Arrival(Struct, frozen=True):
    """One record of an input: what is in it, where it stands, and how long after the first its event is."""

    topic: str
    partition: int
    text: str | None
    minutes: int = 0

    def message(self, offset: int) -> FakeMessage:
        """The Faust message at `offset`; no text means a value that is no JSON."""
        moment_ms = BASE_MS + self.minutes * MINUTE_MS
        tree = {"id": f"{self.topic}-{self.partition}-{offset}", "text": self.text, "published_at": moment_ms}
        value = b"broken" if self.text is None else json.dumps(tree).encode()
        return FakeMessage(
            topic=self.topic, partition=self.partition, offset=offset, timestamp=moment_ms / 1000, value=value
        )

    @property
    def fate(self) -> str:
        """What must become of it."""
        if self.text is None:
            return "not_json"
        return "fails_alone" if self.text == POISON else "scored"


@cache
def english() -> LanguageDetector:
    return LanguageDetector((), 0.95, 20)


class CheckedStream(FakeStream):
    """Refuses the ack of a record whose messages are not all in Kafka."""

    def __init__(self, producer: FakeProducer) -> None:
        super().__init__()
        self._producer = producer

    async def ack(self, event: FakeEvent) -> None:
        own = SourceOffset(UUIDS[event.message.topic], event.message.partition, event.message.offset)
        caused = [sent for sent in self._producer.sent if own in sources_of(sent.message)]
        assert caused, f"{own} acknowledged, and nothing was sent for it"
        assert all(is_in_kafka(sent) for sent in caused), f"{own} acknowledged before its messages"
        await super().ack(event)


class NoPausing:
    """Faust's app, as far as input control asks it here."""

    paused_topics: frozenset[str] = frozenset()


class Simulation:
    """One worker. `run` hands over all arrivals and completes everything in an order that `chance` draws."""

    def __init__(
        self, arrivals: Sequence[Arrival], *, max_posts: int, in_flight: int, chance: Random
    ) -> None:
        self.chance = chance
        self.producer = FakeProducer(
            held=True, partitions={TOPICS.scored_posts: 1, TOPICS.subject_activity: ACTIVITY_PARTITIONS}
        )
        self.stream = CheckedStream(self.producer)
        self.predictions: list[asyncio.Future[None]] = []
        self.waiting = numbered(arrivals)
        self.sent_messages = [event.message for event in self.waiting]
        self.agent = self._agent(ScoreLimits(max_posts, in_flight))

    def _agent(self, limits: ScoreLimits) -> ScoreAgent:
        inputs = Inputs(
            {"news": InputRules(channel="news"), "chat": InputRules(channel="chat")}, "redriven", UUIDS
        )
        outbox = Outbox(lambda: self.producer, 60.0, self.check_before_send)
        tracker = FrontierTracker("worker-1", 5_000)
        ticker = Ticker(tracker, inputs, outbox, (TOPICS.subject_activity, ACTIVITY_PARTITIONS), dict)
        ticker.assign({(event.message.topic, event.message.partition): 0 for event in self.waiting})
        app: Any = NoPausing()
        next_offsets = NextOffsets(GapReader({}), lambda *_: None)
        control = InputControl(
            app, outbox, ticker, Vitals(60.0), next_offsets=next_offsets, consumer_options={},
            plan=ControlPlan(state_topic="service-state", inputs=["news", "chat"], rules=PauseRules()),
        )  # fmt: skip
        model = FakeModel(poison=[POISON], gate=self._gate)
        reader = TextReader(ModelSlot(model), english(), 50)
        scorer = Scorer(inputs, reader, SYMBOLS)
        return ScoreAgent(scorer, outbox, ticker, control, topics=TOPICS, limits=limits)

    def check_before_send(self) -> None:
        """No send begins before every send of what was delivered before it is acknowledged (design 6.2)."""
        assert not self.producer.waiting(), "a delivery began while an earlier one was not acknowledged"

    async def _gate(self, texts: Sequence[str]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.predictions.append(future)
        await future

    async def run(self, *, fail_send: int | None = None) -> None:
        """Until nothing is left to do; the `fail_send`-th completed send fails, and the agent's error is raised."""
        consuming = asyncio.create_task(self.agent.consume(self.stream))
        completed = 0
        try:
            while True:
                await settle()
                self.raise_error()
                choices = self.choices()
                if not choices:
                    return
                chosen = self.chance.choice(choices)
                if isinstance(chosen, Sent):
                    fails = completed == fail_send
                    completed += 1
                    self.complete(chosen, fails=fails)
                elif isinstance(chosen, asyncio.Future):
                    chosen.set_result(None)
                else:
                    self.arrive(self.chance.randint(1, 12))
        finally:
            for task in (consuming, *self.stream.futures):
                task.cancel()
            await asyncio.gather(consuming, *self.stream.futures, return_exceptions=True)

    def choices(self) -> list[Any]:
        """What may happen next: any prediction, any acknowledgement, more arrivals."""
        open_predictions = [future for future in self.predictions if not future.done()]
        more: list[Any] = [None] if self.waiting else []
        return [*open_predictions, *self.producer.waiting(), *more]

    def complete(self, sent: Sent, *, fails: bool) -> None:
        """Kafka has the message, or says that it never will."""
        if fails:
            sent.acknowledged.set_exception(ConnectionError("the broker went away"))
        else:
            sent.acknowledged.set_result(None)

    def arrive(self, events: int) -> None:
        """Hand over the next events."""
        for event in self.waiting[:events]:
            self.stream.arrivals.put_nowait(event)
        self.waiting = self.waiting[events:]

    def raise_error(self) -> None:
        """The pump's error, if it failed."""
        for task in self.stream.futures:
            if task.done():
                task.result()

    @property
    def acked(self) -> dict[tuple[str, int], list[int]]:
        """Acknowledged offsets by partition, in the order of the acks."""
        offsets: dict[tuple[str, int], list[int]] = defaultdict(list)
        for message in self.stream.acked:
            offsets[message.topic, message.partition].append(message.offset)
        return offsets

    def told(self, topic: str) -> list[Any]:
        """What was sent to `topic`, decoded, in order."""
        return [decoded(sent) for sent in self.producer.messages if sent.topic == topic]


def numbered(arrivals: Iterable[Arrival]) -> list[FakeEvent]:
    """The arrivals with the offsets of their partitions."""
    counts: dict[tuple[str, int], int] = defaultdict(int)
    events = []
    for arrival in arrivals:
        key = (arrival.topic, arrival.partition)
        events.append(FakeEvent(arrival.message(counts[key])))
        counts[key] += 1
    return events


def decoded(message: Outgoing) -> Any:
    """The message, or for a dead letter what its headers say."""
    if message.topic == TOPICS.scored_posts:
        return decode(message.value, ScoredPost)
    if message.topic == TOPICS.subject_activity:
        return decode(message.value, SubjectActivity)
    return parse_dead_letter(message.headers)


def sources_of(message: Outgoing) -> list[SourceOffset]:
    """The records that caused the message; none for a tick, which tells of all before it."""
    match decoded(message):
        case ScoredPost(source_offset=source):
            return [source]
        case ActivityBatch(activities=activities):
            return [activity.source_offset for activity in activities]
        case Tick():
            return []
        case letter:
            return [letter.origin.source_offset]


def is_in_kafka(sent: Sent) -> bool:
    """Whether the broker acknowledged the message, without error."""
    return sent.acknowledged.done() and sent.acknowledged.exception() is None


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(15):
        await asyncio.sleep(0)
