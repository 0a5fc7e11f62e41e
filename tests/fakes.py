"""Stand-ins for what is outside the house: clock, Kafka's producer, Faust's stream, a model. Hand-written, typed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError
from faust.types import TP
from msgspec import Struct

from streamapp.agents.outbox import Headers, Outgoing
from streamapp.core.verdict import HeadLabels
from streamapp.inference.onnx_model import NotFiniteError, Prediction

UNLIMITED = 1 << 30


class FakeClock:
    """Time that stands still until a test moves it."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Sent(Struct, frozen=True):
    """A message that the producer took, and what its broker will answer."""

    message: Outgoing
    acknowledged: "asyncio.Future[object]"


class FakeBatch:
    """Three records, as aiokafka's builder holds some kilobytes."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.closed = False

    def append(self, *, timestamp: int | None, **record: Any) -> object | None:
        assert timestamp is None
        if self.closed or len(self.records) == 3:
            return None
        self.records.append(record)
        return record

    def close(self) -> None:
        self.closed = True


class FakeProducer:
    """Takes messages as aiokafka's producer does; acknowledges at once, or, `held`, when the test says so.

    It knows of no partitions but those of `partitions`, by topic.
    """

    def __init__(
        self, *, held: bool = False, limit_bytes: int = UNLIMITED, broker_limit_bytes: int = UNLIMITED,
        partitions: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.sent: list[Sent] = []
        known = {topic: set(range(count)) for topic, count in (partitions or {}).items()}
        self.client = SimpleNamespace(cluster=SimpleNamespace(partitions_for_topic=known.get))
        self._held, self._limit_bytes, self._broker_limit_bytes = held, limit_bytes, broker_limit_bytes

    async def send(
        self, topic: str, *, headers: list[tuple[str, bytes]], **parts: Any
    ) -> asyncio.Future[object]:
        message = Outgoing(topic=topic, headers=tuple(headers), **parts)
        size_bytes = len(message.value or b"")
        if size_bytes > self._limit_bytes:
            raise MessageSizeTooLargeError
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.sent.append(Sent(message, future))
        if size_bytes > self._broker_limit_bytes:
            future.set_exception(MessageSizeTooLargeError())
        elif not self._held:
            future.set_result(None)
        return future

    def create_batch(self) -> "FakeBatch":
        return FakeBatch()

    async def send_batch(self, batch: "FakeBatch", topic: str, *, partition: int) -> asyncio.Future[object]:
        """Its records one after the other; acknowledged when all of them are, failed when one is."""
        taken = [await self.send(topic, partition=partition, **record) for record in batch.records]
        return asyncio.shield(asyncio.gather(*taken))

    @property
    def messages(self) -> list[Outgoing]:
        return [sent.message for sent in self.sent]

    def waiting(self) -> list[Sent]:
        return [sent for sent in self.sent if not sent.acknowledged.done()]


class FakeModel:
    """A serving model with one answer, which fails on the texts it is told to; `gate` is awaited before each call."""

    labels = HeadLabels(sentiment=("negative", "neutral", "positive"), topic=("macro", "markets"))

    def __init__(
        self,
        version: str = "fake-1",
        *,
        poison: Iterable[str] = (),
        not_finite: Iterable[str] = (),
        gate: Callable[[Sequence[str]], Awaitable[None]] | None = None,
    ) -> None:
        self.version, self.poison, self.not_finite = version, set(poison), set(not_finite)
        self.calls: list[list[str]] = []
        self._gate = gate

    async def predict(self, texts: Sequence[str]) -> list[Prediction]:
        self.calls.append(list(texts))
        if self._gate is not None:
            await self._gate(texts)
        if self.poison.intersection(texts):
            raise ValueError("a text that no model can read")
        if infinite := [index for index, text in enumerate(texts) if text in self.not_finite]:
            raise NotFiniteError(infinite)
        return [Prediction(sentiment=(0.5, 0.25, 0.25), topic=(0.75, 0.25)) for _ in texts]

    def close(self) -> None: ...


class FakeMessage(Struct, frozen=True, kw_only=True):
    """The parts of a Faust message that score reads; `timestamp` in seconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float = 1_790_000_000.0
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers | None = None

    @property
    def tp(self) -> TP:
        """Topic and partition, as Faust's messages have them."""
        return TP(self.topic, self.partition)


class FakeEvent(Struct, frozen=True):
    """A Faust event, as far as an agent of ours looks at it."""

    message: FakeMessage


class FakeStream:
    """A Faust stream without automatic acks: hands events over, keeps the order of acks and the futures."""

    def __init__(self) -> None:
        self.arrivals: asyncio.Queue[FakeEvent] = asyncio.Queue()
        self.acked: list[FakeMessage] = []
        self.futures: list[asyncio.Task[Any]] = []

    def noack(self) -> "FakeStream":
        return self

    async def events(self) -> AsyncIterator[FakeEvent]:
        while True:
            yield await self.arrivals.get()

    async def ack(self, event: FakeEvent) -> None:
        self.acked.append(event.message)

    def add_future(self, coroutine: Any) -> None:
        self.futures.append(asyncio.ensure_future(coroutine))
