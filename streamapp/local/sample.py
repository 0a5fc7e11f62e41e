"""The sample stream: one invented trading day of news and chat, as values sorted by time.

Turns the files of `sample_stream/` into records that a producer can send. Must not know Kafka, the worker or
the clock: the caller says when the day begins, so that a replay can shift it.
"""

import base64
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeVar

import msgspec
from msgspec import Struct

from streamapp.contracts.messages import Channel, DeadLetterReason, Sentiment

DAY_START = datetime(2026, 3, 12, 13, 30, tzinfo=UTC)
DAY_SECONDS = 23_400
CHANNELS: tuple[Channel, ...] = ("news", "chat")


class Intended(Struct, frozen=True, forbid_unknown_fields=True):
    """What the author of a post meant. For tests and tuning only: it is never sent.

    Posts with the same `story` tell the same thing: copies, reposts and exact duplicates.
    """

    sentiment: Sentiment
    topic: str
    story: str


class SamplePost(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One post, `offset_seconds` after the day begins. Some have no id, as in real feeds."""

    offset_seconds: float
    channel: Channel
    source: str
    text: str
    intended: Intended
    id: str | None = None
    symbols: tuple[str, ...] = ()


class BrokenRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that must become a dead letter with `reason`; `raw_base64` None: a record without value."""

    offset_seconds: float
    channel: Channel
    raw_base64: str | None
    reason: DeadLetterReason
    why: str


T = TypeVar("T", bound=Struct)
SampleRecord = SamplePost | BrokenRecord


def load_sample() -> list[SampleRecord]:
    """Every record of the day, sorted by offset; the order of equal offsets is that of the files."""
    posts = [post for channel in CHANNELS for post in _read_lines(f"{channel}.jsonl", SamplePost)]
    broken = _read_lines("broken.jsonl", BrokenRecord)
    return sorted([*posts, *broken], key=lambda record: record.offset_seconds)


def load_companies() -> dict[str, str]:
    """Ticker to name of the invented companies."""
    table = tomllib.loads(_folder().joinpath("symbols.toml").read_text(encoding="utf-8"))
    return {ticker: company["name"] for ticker, company in table["companies"].items()}


def closing_posts(per_channel: int, offset_seconds: float) -> list[SamplePost]:
    """Neutral posts to send after the day, `per_channel` on each channel, all at `offset_seconds`.

    Windows close by event time, so a stream that ends needs one on every input partition, later than the last
    post by more than the lateness.
    """
    return [
        SamplePost(
            offset_seconds=offset_seconds,
            channel=channel,
            source="sample",
            text=f"Page {page} of {per_channel}: there are no further items on the schedule today",
            intended=Intended("neutral", "general_opinion", f"closing-{page}"),
            id=f"{channel}-closing-{page:02d}",
        )
        for channel in CHANNELS
        for page in range(1, per_channel + 1)
    ]


def value_of(record: SampleRecord, day_start: datetime = DAY_START) -> bytes | None:
    """The record's value as a feed would send it, with the time it has when the day begins at `day_start`.

    A broken record is sent as it is; None is a record without a value. `day_start` must know its time zone.
    """
    if isinstance(record, BrokenRecord):
        return None if record.raw_base64 is None else base64.b64decode(record.raw_base64, validate=True)
    message: dict[str, str | Sequence[str]] = {} if record.id is None else {"id": record.id}
    message["source"] = record.source
    message["published_at"] = _rfc3339(time_of(record, day_start))
    message["text"] = record.text
    if record.symbols:
        message["symbols"] = record.symbols
    return msgspec.json.encode(message)


def time_of(record: SampleRecord, day_start: datetime = DAY_START) -> datetime:
    """When the record happens in a day that begins at `day_start`."""
    return day_start + timedelta(seconds=record.offset_seconds)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_lines(name: str, kind: type[T]) -> list[T]:
    decoder = msgspec.json.Decoder(kind)
    lines = _folder().joinpath(name).read_bytes().splitlines()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise ValueError(f"sample_stream/{name}, line {number}: {error}") from error
    return records


def _folder() -> Traversable:
    return files("streamapp.local").joinpath("sample_stream")
