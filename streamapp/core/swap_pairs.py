"""What the workers' shadow runs counted, per pair of model versions: kept small, merged in any order.

Pure sums. What they say about a subject is decided in `version_scale`.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

from msgspec import Struct

from streamapp.contracts.messages import SwapPair, SwapPairs
from streamapp.core.event_time import HOUR_MS

# An old version's share of a past halves in a day: after two weeks it is nothing.
KEPT_MS = 14 * 24 * HOUR_MS
MAX_LINKS = 4
MAX_CELLS = 64
MAX_WORKERS = 256

# A group's counts: three tables (stayed in the topic, left it, came to it) of four (old negative or other, new
# negative or other), flat: 4 * table + 2 * old + new.
STAYED, LEFT, CAME = 0, 4, 8
GROUP_SIZE = 12
# The same groups seen from the new version: each table transposed, those who left now come.
REVERSED = (0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7)

Counts = list[int]
Cell = tuple[str, str | None]


class SavedLink(Struct, array_like=True):
    """A link as the frontiers record keeps it. `heard_ms`: the watermark when pairs last came."""

    old: str
    new: str
    heard_ms: int | None
    workers: list[int]
    shadow: list[tuple[str, str | None, Counts]]
    gate: list[tuple[str, str | None, Counts]]


class VersionLink:
    """All that is known of one step from a version to another: posts per (channel, topic)."""

    __slots__ = ("gate", "heard_ms", "new", "old", "shadow", "workers")

    def __init__(self, old: str, new: str) -> None:
        self.old = old
        self.new = new
        self.heard_ms: int | None = None
        self.workers: set[int] = set()
        self.shadow: dict[Cell, Counts] = {}
        self.gate: dict[Cell, Counts] = {}

    def add(self, pairs: SwapPairs, now_ms: int | None) -> bool:
        """Count a worker's pairs; False where that worker's were counted before or too many workers reported."""
        worker = int.from_bytes(blake2b(pairs.worker.encode(), digest_size=4).digest())
        if worker in self.workers or len(self.workers) >= MAX_WORKERS:
            return False
        self.workers.add(worker)
        self.heard_ms = now_ms
        _count(self.shadow, pairs.pairs)
        # Every worker reads the gate's counts from the same bundle: counting them twice would double the belief.
        if not self.gate:
            _count(self.gate, pairs.gate)
        return True

    def saved(self) -> SavedLink:
        """As a record, the same for the same counts."""
        return SavedLink(
            self.old,
            self.new,
            self.heard_ms,
            sorted(self.workers),
            [(*cell, self.shadow[cell]) for cell in sorted(self.shadow, key=_cell_order)],
            [(*cell, self.gate[cell]) for cell in sorted(self.gate, key=_cell_order)],
        )

    @classmethod
    def restored(cls, saved: SavedLink) -> "VersionLink":
        """The link that `saved` was made of."""
        link = cls(saved.old, saved.new)
        link.heard_ms = saved.heard_ms
        link.workers = set(saved.workers)
        link.shadow = {(channel, topic): counts for channel, topic, counts in saved.shadow}
        link.gate = {(channel, topic): counts for channel, topic, counts in saved.gate}
        return link


class SwapLinks:
    """The links of one partition, the oldest first; `revision` rises with every change."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], VersionLink] = {}
        self.revision = 0

    def add(self, pairs: SwapPairs, now_ms: int | None) -> None:
        """Take one worker's report at watermark `now_ms`; drops links of two event weeks ago and beyond the fourth."""
        key = (pairs.old_model_version, pairs.new_model_version)
        if key[0] == key[1]:
            return
        link = self._links.get(key) or VersionLink(*key)
        if not link.add(pairs, now_ms):
            return
        self.revision += 1
        self._links.pop(key, None)
        self._links[key] = link
        for known, other in list(self._links.items()):
            aged = now_ms is not None and other.heard_ms is not None and other.heard_ms < now_ms - KEPT_MS
            if aged or len(self._links) > MAX_LINKS:
                del self._links[known]

    def __iter__(self) -> Iterator[VersionLink]:
        return iter(self._links.values())

    def saved(self) -> list[SavedLink]:
        """For the frontiers record."""
        return [link.saved() for link in self]

    def restore(self, saved: Iterable[SavedLink]) -> None:
        """Take over what a frontiers record holds."""
        self._links = {(link.old, link.new): VersionLink.restored(link) for link in saved}
        self.revision += 1


def _cell_order(cell: Cell) -> tuple[str, str]:
    return (cell[0], cell[1] or "")


def _count(cells: dict[Cell, Counts], pairs: Iterable[SwapPair]) -> None:
    for pair in pairs:
        if pair.posts <= 0:
            continue
        place = 2 * (pair.old != "negative") + (pair.new != "negative")
        new_topic = pair.topic if pair.new_topic is None else pair.new_topic or None
        if new_topic == pair.topic:
            _cell(cells, pair.channel, pair.topic)[STAYED + place] += pair.posts
        else:
            _cell(cells, pair.channel, pair.topic)[LEFT + place] += pair.posts
            _cell(cells, pair.channel, new_topic)[CAME + place] += pair.posts


def _cell(cells: dict[Cell, Counts], channel: str, topic: str | None) -> Counts:
    """The counts of that channel and topic; of no topic in particular once there are too many."""
    key = (channel, topic)
    if key not in cells and len(cells) >= MAX_CELLS:
        key = (channel, None)
    return cells.setdefault(key, [0] * GROUP_SIZE)
