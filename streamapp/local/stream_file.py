"""A recorded stream in a file: JSON lines in our own format, plain or gzip, oldest first.

Reads, checks and dates it; a line that cannot be replayed is a value with its number. Must not know Kafka.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from streamapp.contracts.messages import Channel
from streamapp.core.payload_time import parse_time
from streamapp.local.replay import ReplayRecord, rfc3339

CHANNELS: Final = ("news", "chat")
ERRORS_KEPT: Final = 10


class StreamFileError(ValueError):
    """A file that cannot be read as a stream; the text names it."""


class StreamPost(Struct, frozen=True):
    """One line that can be replayed."""

    line: int
    channel: Channel
    time_ms: int
    message: dict[str, Any]


class LineError(Struct, frozen=True):
    """One line that cannot, and why."""

    line: int
    why: str


class StreamScan(Struct, frozen=True):
    """What a first reading of the whole file found. `errors` holds the first ten of `error_count`."""

    posts: Counter[Channel]
    first_ms: int
    last_ms: int
    errors: tuple[LineError, ...]
    error_count: int


def read_stream(path: Path, channel: Channel, limit: int | None = None) -> Iterator[StreamPost | LineError]:
    """Every line in order, blank ones left out, at most `limit`. `channel` is for posts that name none."""
    newest_ms: int | None = None
    for number, line in islice(_lines(path), limit):
        post = parse_line(number, line, channel)
        if isinstance(post, StreamPost):
            if newest_ms is not None and post.time_ms < newest_ms:
                post = LineError(
                    number, f"published_at {rfc3339(post.time_ms)} is earlier than a line before it"
                )
            else:
                newest_ms = post.time_ms
        yield post


def parse_line(number: int, line: bytes, channel: Channel) -> StreamPost | LineError:
    """One line: a JSON object with `text` and `published_at`; `channel`, `tickers` and others may be there."""
    try:
        message = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return LineError(number, f"not JSON: {error}")
    if not isinstance(message, dict):
        return LineError(number, f"a JSON object is needed, this is {type(message).__name__}")
    if not isinstance(message.get("text"), str) or not message["text"].strip():
        return LineError(number, "text: a string with something in it is needed")
    time_ms = parse_time(message.get("published_at"), "auto")
    if time_ms is None:
        return LineError(number, f"published_at: {message.get('published_at')!r} is no time")
    own = message.get("channel", channel)
    if own not in CHANNELS:
        return LineError(number, f"channel: {own!r} is neither news nor chat")
    return StreamPost(number, own, time_ms, message)


def scan_stream(lines: Iterable[StreamPost | LineError]) -> StreamScan:
    """Counts a stream; raises StreamFileError when it holds no post and no error."""
    posts: Counter[Channel] = Counter()
    errors: list[LineError] = []
    error_count = 0
    first_ms: int | None = None
    last_ms = 0
    for line in lines:
        if isinstance(line, LineError):
            error_count += 1
            errors += [line] if len(errors) < ERRORS_KEPT else []
            continue
        posts[line.channel] += 1
        first_ms = line.time_ms if first_ms is None else first_ms
        last_ms = line.time_ms
    if first_ms is None and not errors:
        raise StreamFileError("the file holds no post")
    return StreamScan(posts, first_ms or 0, last_ms, tuple(errors), error_count)


def replay_record(post: StreamPost, shift_ms: int | None) -> ReplayRecord:
    """The record to publish, `shift_ms` later than it was; None keeps its time as it was written.

    `tickers`, which data sets use, becomes our format's `symbols` where that is missing.
    """
    message = dict(post.message)
    if shift_ms is not None:
        message["published_at"] = rfc3339(post.time_ms + shift_ms)
    if "symbols" not in message and isinstance(message.get("tickers"), list):
        message["symbols"] = message.pop("tickers")
    key = str(message.get("id") or f"line-{post.line}")
    return ReplayRecord(
        due_ms=post.time_ms, channel=post.channel, key=key.encode(), value=msgspec.json.encode(message)
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise StreamFileError(f"{path}: {error}") from error
