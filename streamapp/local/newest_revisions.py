"""Of every identity the newest revision: how any reader of `alerts` and `subject-trends` folds them. Pure.

Records repeat after a crash and arrive in any order between partitions; the greatest revision counts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.messages import Alert, TrendMinute
from streamapp.contracts.raw_record import RawRecord

M = TypeVar("M", Alert, TrendMinute)


class NewestRevisions(Generic[M]):
    """Messages of one kind. `wanted` leaves out what the reader did not ask for."""

    def __init__(
        self, kind: type[M], identity: Callable[[M], Hashable], wanted: Callable[[M], bool] = lambda _: True
    ) -> None:
        self._kind: type[M] = kind
        self._identity: Callable[[M], Hashable] = identity
        self._wanted: Callable[[M], bool] = wanted
        self._newest: dict[Hashable, M] = {}
        self.unreadable = 0

    def take(self, records: Iterable[RawRecord]) -> list[M]:
        """Takes records in; returns the revisions that were news.

        What is no message of a contract we know is counted and left out: a reader must outlive newer writers.
        """
        news = []
        for record in records:
            try:
                message: M = decode(record.value, self._kind)
            except DecodeError:
                self.unreadable += 1
                continue
            identity = self._identity(message)
            known = self._newest.get(identity)
            if self._wanted(message) and (known is None or message.revision > known.revision):
                self._newest[identity] = message
                news.append(message)
        return news

    def all(self) -> list[M]:
        """The newest revision of each."""
        return list(self._newest.values())
