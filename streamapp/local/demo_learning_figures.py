"""What the topics told so far of a stream that lives through a change of the model. Pure.

Record by record, in any order between partitions; repeats by source offset count once. Must not know Kafka or how
anything is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from msgspec import Struct

from streamapp.contracts.codec import decode
from streamapp.contracts.dead_letter import parse_dead_letter
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import (
    SENTIMENTS,
    Channel,
    Label,
    ModelAnnounced,
    ModelEvent,
    ScoredPost,
    SourceOffset,
)
from streamapp.contracts.raw_record import RawRecord
from streamapp.contracts.topics import (
    DEAD_LETTERS,
    LABELS,
    MODEL_ANNOUNCEMENTS,
    MODEL_EVENTS,
    SCORED_POSTS,
)
from streamapp.core.foreign_text import printable
from streamapp.local.sample import Intended, SamplePost, SampleRecord

FOLLOWED: Final = (SCORED_POSTS, DEAD_LETTERS, LABELS, MODEL_ANNOUNCEMENTS, MODEL_EVENTS)


class VersionFigures(Struct, frozen=True, kw_only=True):
    """The verdicts of one model version, and how many are what the author of the post meant (sentiment)."""

    version: str
    verdicts: int
    sentiments: dict[str, int]
    as_meant: int
    chat_verdicts: int
    chat_as_meant: int


class LearningBooks(Struct, frozen=True, kw_only=True):
    """The identity `in = scored + dead` across the swap; `published` is the broker's own count."""

    published: int
    scored: int
    dead: int
    unversioned: int
    by_two_versions: int
    repeated_records: int

    @property
    def balanced(self) -> bool:
        """Whether every record that came in is accounted for, by a model that has a name."""
        return self.published == self.scored + self.dead and self.unversioned == 0


def meanings(day: Iterable[SampleRecord]) -> dict[tuple[Channel, str], Intended]:
    """What the author of each post meant, by channel and cleaned text."""
    return {
        (post.channel, clean_text(post.text)): post.intended for post in day if isinstance(post, SamplePost)
    }


class LearningFigures:
    """The fold. `prefix` stands before our topic names; `inputs` are the input topics, `meant` what authors meant."""

    def __init__(
        self, prefix: str, inputs: Collection[str], meant: Mapping[tuple[Channel, str], Intended]
    ) -> None:
        self._inputs, self._meant = inputs, meant
        self._folds: dict[str, Callable[[RawRecord], str | None]] = {
            prefix + SCORED_POSTS.name: self._fold_scored,
            prefix + DEAD_LETTERS.name: self._fold_dead_letter,
            prefix + LABELS.name: self._fold_label,
            prefix + MODEL_ANNOUNCEMENTS.name: self._fold_announced,
            prefix + MODEL_EVENTS.name: self._fold_event,
        }
        self.version_of: dict[SourceOffset, str] = {}
        self.dead: set[SourceOffset] = set()
        self.labels = 0
        self.announced: ModelAnnounced | None = None
        self.events: list[ModelEvent] = []
        self._by_two_versions: set[SourceOffset] = set()
        self._repeated = 0
        self._tallies: dict[str, Counter[str]] = {}

    def apply(self, record: RawRecord) -> str | None:
        """Counts one record; returns a line about it where it is news. Records of other topics say nothing."""
        fold = self._folds.get(record.topic)
        return fold(record) if fold else None

    @property
    def scored(self) -> int:
        return len(self.version_of)

    def verdicts(self, version: str) -> int:
        """How many posts `version` scored."""
        return self._tallies.get(version, Counter())["verdicts"]

    def versions(self) -> list[VersionFigures]:
        """Every version in the order in which it first scored."""
        return [_version_figures(version, tally) for version, tally in self._tallies.items()]

    def has(self, event: str, sequence: int = 1) -> bool:
        """Whether a worker said that of the announcement `sequence`."""
        return any(each.event == event and each.sequence == sequence for each in self.events)

    def books(self, published: int) -> LearningBooks:
        """The books, given the broker's own count of what came in."""
        return LearningBooks(
            published=published,
            scored=self.scored,
            dead=len(self.dead),
            unversioned=sum(not version for version in self.version_of.values()),
            by_two_versions=len(self._by_two_versions),
            repeated_records=self._repeated,
        )

    def _fold_scored(self, record: RawRecord) -> None:
        scored = decode(record.value, ScoredPost)
        source, version = scored.source_offset, scored.model_version
        if source in self.version_of:
            self._repeated += 1
            if self.version_of[source] != version:
                self._by_two_versions.add(source)
            return
        self.version_of[source] = version
        self._tallies.setdefault(version, Counter()).update(self._seen_in(scored))

    def _seen_in(self, scored: ScoredPost) -> list[str]:
        post, sentiment = scored.post, scored.verdict.sentiment
        label = sentiment.label if sentiment else "none"
        meant = self._meant.get((post.channel, post.text))
        right = meant is not None and meant.sentiment == label
        seen = ["verdicts", f"{post.channel} verdicts", f"sentiment {label}"]
        return [*seen, "as meant", f"{post.channel} as meant"] if right else seen

    def _fold_dead_letter(self, record: RawRecord) -> None:
        letter = parse_dead_letter(record.headers)
        if letter.origin.topic not in self._inputs:  # a bad label, or one of watch's: no post became it
            return
        if letter.origin.source_offset in self.dead:
            self._repeated += 1
        self.dead.add(letter.origin.source_offset)

    def _fold_label(self, record: RawRecord) -> None:
        decode(record.value, Label)
        self.labels += 1

    def _fold_announced(self, record: RawRecord) -> str:
        self.announced = decode(record.value, ModelAnnounced)
        announced = self.announced
        return (
            f"announced: {announced.model_version}, sequence {announced.sequence}, by {announced.announced_by}:"
            f" {printable(announced.reason)}"
        )

    def _fold_event(self, record: RawRecord) -> str:
        event = decode(record.value, ModelEvent)
        self.events.append(event)
        words = f": {printable(event.detail)}" if event.detail else ""
        return f"{event.worker} {event.event} {event.model_version}{words}"


def _version_figures(version: str, tally: Counter[str]) -> VersionFigures:
    return VersionFigures(
        version=version,
        verdicts=tally["verdicts"],
        sentiments={name: tally[f"sentiment {name}"] for name in SENTIMENTS},
        as_meant=tally["as meant"],
        chat_verdicts=tally["chat verdicts"],
        chat_as_meant=tally["chat as meant"],
    )
