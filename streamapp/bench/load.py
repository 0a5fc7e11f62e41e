"""Posts to measure with: the sample stream's texts in a realistic mix of lengths, no two alike.

Knows nothing of Kafka. The mix follows real feeds: most posts are one headline (about 20 tokens), some are three or
four lines long, one in twenty is a body of ten (about 200 tokens).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from streamapp.local.sample import SamplePost, load_sample

# How many sample texts each of twenty posts in a row is made of.
_PIECES: Final = (1, 1, 2, 1, 1, 4, 1, 1, 1, 2, 1, 10, 1, 1, 4, 1, 1, 2, 1, 1)
_STRIDE: Final = 7


class LoadPost(Struct, frozen=True):
    """One post as a feed sends it: the record's key and JSON value."""

    key: bytes
    value: bytes


class Load:
    """An endless supply: post number `n` is always the same, and no other has its text."""

    def __init__(self) -> None:
        self._posts = [record for record in load_sample() if isinstance(record, SamplePost)]

    def text(self, number: int) -> str:
        """The text of post `number`. Its number is in it, so that no duplicate cache can answer."""
        posts = self._posts
        first = number * _STRIDE
        pieces = [posts[(first + step) % len(posts)].text for step in range(_PIECES[number % len(_PIECES)])]
        return f"{'. '.join(pieces)} ({number})"

    def texts(self, first: int, count: int) -> list[str]:
        """The texts of `count` posts from number `first` on."""
        return [self.text(number) for number in range(first, first + count)]

    def posts(self, first: int, count: int, event_time_ms: int, step_ms: float) -> Iterator[LoadPost]:
        """`count` posts from number `first` on, `step_ms` of event time apart."""
        for number in range(first, first + count):
            yield self.post(number, event_time_ms + int((number - first) * step_ms))

    def post(self, number: int, event_time_ms: int) -> LoadPost:
        """Post `number` with that event time."""
        post_id = f"post-{number}"
        moment = datetime.fromtimestamp(event_time_ms / 1000, UTC)
        sample = self._posts[number * _STRIDE % len(self._posts)]
        value = {
            "id": post_id,
            "source": sample.source,
            "published_at": moment.isoformat(timespec="milliseconds"),
            "text": self.text(number),
        }
        if sample.symbols:
            value["symbols"] = sample.symbols  # type: ignore[assignment]
        return LoadPost(post_id.encode(), msgspec.json.encode(value))


def number_of(key: bytes) -> int:
    """The number of the post with this key."""
    return int(key.rpartition(b"-")[2])
