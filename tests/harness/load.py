"""A deterministic stream for fault tests, and the open-loop publisher that a slow worker cannot slow down.

Made for the tiny bundle: topics by words, companies by symbols, exact duplicates, reposts, a few records that are no
JSON, and surges of negative stories about one company. Event times are fixed and lie in the past, so that two runs of
one stream must give the same trends and alerts. Every input partition ends with a neutral post beyond the lateness,
which must be sent after all others were acknowledged: sixteen event minutes cannot pass in a millisecond.
"""

import contextlib
import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError
from msgspec import Struct

from streamapp.cluster.access import kafka_python_options
from streamapp.settings import EventTimeSettings, SurgeSettings
from tests.harness.cluster import TestCluster

MINUTE_MS = 60_000
# 1,000 posts a second at 60 ms of event time each: sixty times real time.
POSTS_PER_SECOND = 1_000
STEP_MS = 60
# The design asks for at least speed x 10 s; this is speed x 15 s, because a fail-over may take a whole session.
LATENESS_SECONDS = 900
EVENT_TIME = EventTimeSettings(lateness_seconds=LATENESS_SECONDS, backfill_after_seconds=1e9)
SURGE = SurgeSettings(window_minutes=3, warm_up_minutes=2)

SURGE_SYMBOL = "AAPL"
SURGE_EVERY_MINUTES = 12
SURGE_MINUTES = (4, 5, 6)
SYMBOLS = ("MSFT", "AMZN", "TSLA", "JPM", "XOM")
TOPIC_WORDS = (
    "fed",
    "oil",
    "bank",
    "earnings",
    "inflation",
    "merger",
    "gold",
    "dividend",
    "court",
    "launches",
)
BAD_WORDS = ("plunges", "default", "losses", "fraud", "slumps", "warns")
GOOD_WORDS = ("soars", "profit", "gains", "beats", "rallies", "growth")
PLAIN_WORDS = (
    "the", "company", "said", "on", "monday", "that", "its", "plan", "for", "new", "offices", "in", "london", "will",
    "be", "presented", "to", "investors", "after", "summer", "with", "a", "team", "of", "engineers", "from", "three",
    "cities", "who", "work", "together", "since", "last", "year", "about", "half", "customers", "asked", "longer",
    "opening", "hours", "while", "others", "prefer", "online", "service", "report", "describes", "how", "people",
    "use", "products", "every", "morning", "before", "travel", "between", "home", "and", "school", "local", "market",
    "prices", "remain", "close", "average", "according", "statement", "published", "today", "by", "group", "which",
    "operates", "stores", "across", "northern", "countries", "under", "different", "names", "manager", "expects",
    "little", "change", "until", "next", "spring", "when", "building", "should", "finished", "city", "council",
    "approved", "drawings", "without", "further", "questions", "this", "week", "number", "visitors", "was", "similar",
)  # fmt: skip


class LoadRecord(Struct, frozen=True):
    """One record of the stream, as it is sent."""

    topic: str
    partition: int
    value: bytes
    event_time_ms: int | None


class Stream(Struct, frozen=True):
    """Records in the order in which they are sent, and those that close every minute before `closed_before_ms`."""

    records: tuple[LoadRecord, ...]
    closing: tuple[LoadRecord, ...]
    closed_before_ms: int

    @property
    def size(self) -> int:
        """All records, closing ones included."""
        return len(self.records) + len(self.closing)

    @property
    def posts(self) -> int:
        """Records that are posts, closing ones included."""
        return sum(record.event_time_ms is not None for record in (*self.records, *self.closing))


def make_stream(posts: int, base_ms: int, partitions: int = 4, seed: int = 7) -> Stream:
    """`posts` records from the whole minute `base_ms` on, then one neutral post a partition that closes them all."""
    draw = random.Random(seed)
    records = tuple(_records(draw, posts, base_ms, partitions))
    closed_before_ms = -(-(base_ms + posts * STEP_MS) // MINUTE_MS) * MINUTE_MS
    end_ms = closed_before_ms + LATENESS_SECONDS * 1000 + MINUTE_MS
    closing = []
    for index in range(2 * partitions):
        post = {"id": f"end-{index}", "text": "The council opens the market", "published_at": end_ms + index}
        topic, number = ("news", "chat")[index % 2], index // 2
        closing.append(LoadRecord(topic, number, msgspec.json.encode(post), end_ms + index))
    return Stream(records, tuple(closing), closed_before_ms)


def _records(draw: random.Random, posts: int, base_ms: int, partitions: int) -> Iterator[LoadRecord]:
    texts: list[str] = []
    for index in range(posts):
        topic = "news" if draw.random() < 0.7 else "chat"
        partition = draw.randrange(partitions)
        event_time_ms = base_ms + index * STEP_MS
        if draw.random() < 0.002:
            yield LoadRecord(topic, partition, b"no json %d" % index, None)
            continue
        text, symbols = _text(draw, (index * STEP_MS) // MINUTE_MS, texts)
        post = {"id": f"p{index}", "text": text, "published_at": event_time_ms, "symbols": symbols}
        yield LoadRecord(topic, partition, msgspec.json.encode(post), event_time_ms)


def _text(draw: random.Random, minute: int, texts: list[str]) -> tuple[str, list[str]]:
    """A text and its symbols; some repeat an earlier text or pass it on."""
    chance = draw.random()
    if chance < 0.04 and texts:
        earlier = draw.choice(texts[-300:])
        return (earlier if chance < 0.02 else f"RT @desk{draw.randrange(90)}: {earlier}"), []
    surging = minute % SURGE_EVERY_MINUTES in SURGE_MINUTES and draw.random() < 0.15
    if surging:
        words, symbols = [draw.choice(BAD_WORDS), draw.choice(("oil", "shares"))], [SURGE_SYMBOL]
    else:
        mood = draw.random()
        tone = draw.choice(BAD_WORDS) if mood < 0.15 else draw.choice(GOOD_WORDS) if mood < 0.4 else "states"
        # The company of the surges is quiet between them, so that they resolve.
        quiet = draw.random() < 0.02
        words = [draw.choice(TOPIC_WORDS), "states" if quiet else tone]
        symbols = [SURGE_SYMBOL] if quiet else draw.sample(SYMBOLS, draw.randrange(3))
    words += draw.sample(PLAIN_WORDS, 10)
    draw.shuffle(words)
    texts.append(text := " ".join(words))
    return text, symbols


class LoadPublisher:
    """Sends records at a set rate from a thread of its own, whatever becomes of them; `finish` waits for all acks."""

    def __init__(
        self,
        cluster: TestCluster,
        records: Iterable[LoadRecord],
        posts_per_second: float = POSTS_PER_SECOND,
        *,
        as_if_live: bool = False,
    ) -> None:
        """`as_if_live`: Kafka's time of a record is its event time, as it was when the records came."""
        self._as_if_live = as_if_live
        self._cluster = cluster
        self._records: Sequence[LoadRecord] = tuple(records)
        self._posts_per_second = posts_per_second
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self._abandoned = threading.Event()
        self._producer: Any = None
        self.sent = 0

    def start(self) -> "LoadPublisher":
        self._thread.start()
        return self

    def running(self) -> bool:
        return self._thread.is_alive()

    def abandon(self) -> None:
        """Send nothing more and wait for nothing."""
        self._abandoned.set()
        if self._producer is not None and self.running():
            with contextlib.suppress(
                KafkaError
            ):  # what is left was never acknowledged, which nobody asks any more
                self._producer.close(timeout=0)

    def finish(self, timeout_seconds: float) -> None:
        """Wait until Kafka has everything; an assertion where it has not."""
        self._thread.join(timeout_seconds)
        assert self._error is None, f"publishing failed: {self._error!r}"
        assert not self.running(), (
            f"only {self.sent} of {len(self._records)} records sent in {timeout_seconds} s"
        )

    def _run(self) -> None:
        try:
            self._publish()
        except BaseException as error:  # noqa: BLE001  # raised again in `finish`, by the thread that asks
            self._error = error

    def _publish(self) -> None:
        # An outage of minutes must cost nothing here: what is due waits in the producer, in order.
        producer = self._producer = KafkaProducer(
            **kafka_python_options(self._cluster.settings.broker),
            acks="all",
            enable_idempotence=True,
            allow_auto_create_topics=False,
            linger_ms=5,
            delivery_timeout_ms=900_000,
            max_block_ms=900_000,
        )
        futures: list[Any] = []
        began = time.monotonic()
        for index, record in enumerate(self._records):
            if self._abandoned.is_set():
                return
            ahead = began + index / self._posts_per_second - time.monotonic()
            if ahead > 0.005:
                time.sleep(ahead)
            futures.append(
                producer.send(
                    self._cluster.name(record.topic),
                    value=record.value,
                    partition=record.partition,
                    timestamp_ms=record.event_time_ms if self._as_if_live else None,
                )
            )
            self.sent += 1
        for future in futures:
            future.get(timeout=900)
        producer.close()
