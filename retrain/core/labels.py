"""Which label of a post holds: the newest person's over older ones and over rules, part by part.

Pure functions of the whole history of a post, so the order of arrival and repeats cannot change the answer.
Must not know the store, Kafka or clocks.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from streamapp.contracts.messages import (
    Channel,
    CompanyMention,
    DrawnBy,
    Label,
    LabelOrigin,
    Sentiment,
    SourceOffset,
)

# As for posts (design section 3): a clock that is ahead by more must not make a label that nobody can correct.
FUTURE_TOLERANCE_MS: Final = 600_000

T = TypeVar("T")


class StoredRecord(Struct, frozen=True, kw_only=True):
    """One usable record of `labels`. `received_at_ms` is the record's own timestamp."""

    position: SourceOffset
    received_at_ms: int
    label: Label


class KnownPost(Struct, frozen=True, kw_only=True):
    """What is known of a post without any label: from its label request."""

    text: str
    channel: Channel
    source: str | None = None
    drawn: DrawnBy = "none"


class LabelEntry(Struct, frozen=True, kw_only=True):
    """One label as the history keeps it. `author` is no name but its keyed hash."""

    post_id: str
    author: str
    labelled_at_ms: int
    origin: LabelOrigin
    drawn: DrawnBy = "none"
    text: str | None = None
    channel: Channel | None = None
    source: str | None = None
    sentiment: Sentiment | None = None
    topic: str | None = None
    companies: tuple[CompanyMention, ...] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the content as 64 hex digits: the same label sent twice is one entry."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class TrainingLabel(Struct, frozen=True, kw_only=True):
    """What holds for a post, to train on or to judge by.

    A part that nobody labelled is None (`companies` empty: there is none). `origin` and `labelled_at_ms` are those
    of the newest label that holds in any part. `drawn` is `audit` where the post was drawn uniformly, whatever else
    brought it up.
    """

    post_id: str
    text: str
    channel: Channel
    source: str | None = None
    sentiment: Sentiment | None = None
    topic: str | None = None
    companies: tuple[CompanyMention, ...] | None = None
    origin: LabelOrigin
    drawn: DrawnBy = "none"
    labelled_at_ms: int


def make_entry(record: StoredRecord, author: str) -> LabelEntry:
    """The history's entry of a record; `author` is the hash of the label's own.

    A label that claims to be more than ten minutes younger than its record is as old as the record.
    """
    label = record.label
    too_young = label.labelled_at_ms > record.received_at_ms + FUTURE_TOLERANCE_MS
    return LabelEntry(
        post_id=label.post_id,
        author=author,
        labelled_at_ms=record.received_at_ms if too_young else label.labelled_at_ms,
        origin=label.origin,
        drawn=label.drawn,
        text=label.text,
        channel=label.channel,
        source=label.source,
        sentiment=label.sentiment,
        topic=label.topic,
        companies=label.companies,
    )


def settle(entries: Sequence[LabelEntry], known: KnownPost | None = None) -> TrainingLabel | None:
    """What holds for the post of these entries (all of one post, in any order, repeats allowed).

    People and imports (people elsewhere, by their own time) outrank rules whatever their age: once a person has
    labelled a post, no rule counts for it. Each part is the newest that says something of it; of two labels of one
    moment the greater digest holds, so that every reader agrees. None where no text or channel is known, or nothing
    is said.
    """
    people = [entry for entry in entries if entry.origin != "rule"]
    counting = sorted(people or entries, key=lambda entry: (entry.labelled_at_ms, entry.digest), reverse=True)
    parts = [
        _first(counting, lambda entry: entry.sentiment),
        _first(counting, lambda entry: entry.topic),
        _first(counting, lambda entry: entry.companies),
    ]
    holding = [entry for entry in counting if any(entry is winner for winner in parts)]
    text = _said(counting, lambda entry: entry.text, known.text if known else None)
    channel: Channel | None = _said(counting, lambda entry: entry.channel, known.channel if known else None)
    if not holding or text is None or channel is None:
        return None
    by_sentiment, by_topic, by_companies = parts
    return TrainingLabel(
        post_id=holding[0].post_id,
        text=text,
        channel=channel,
        source=_said(counting, lambda entry: entry.source, known.source if known else None),
        sentiment=by_sentiment.sentiment if by_sentiment else None,
        topic=by_topic.topic if by_topic else None,
        companies=_companies(by_companies, text) if by_companies else None,
        origin=holding[0].origin,
        drawn=_drawn(counting, known),
        labelled_at_ms=holding[0].labelled_at_ms,
    )


def _first(entries: Iterable[LabelEntry], part: Callable[[LabelEntry], object]) -> LabelEntry | None:
    return next((entry for entry in entries if part(entry) is not None), None)


def _said(
    entries: Iterable[LabelEntry], part: Callable[[LabelEntry], T | None], otherwise: T | None
) -> T | None:
    return next((said for entry in entries if (said := part(entry)) is not None), otherwise)


def _companies(entry: LabelEntry, text: str) -> tuple[CompanyMention, ...]:
    """The companies; without spans where they were marked in another text than the one that holds."""
    mentions = entry.companies or ()
    if entry.text is None or entry.text == text:
        return mentions
    return tuple(msgspec.structs.replace(mention, span=None) for mention in mentions)


def _drawn(counting: Sequence[LabelEntry], known: KnownPost | None) -> DrawnBy:
    ways: list[DrawnBy] = [entry.drawn for entry in counting]
    if known is not None:
        ways.append(known.drawn)
    if "audit" in ways:
        return "audit"
    return next((way for way in ways if way != "none"), "none")
