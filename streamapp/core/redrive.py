"""Decides which dead letters may be sent again: chosen by a filter, with a value, and not sent before.

Must not know Kafka, files or terminals.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from streamapp.contracts.dead_letter import (
    DeadLetterError,
    DeadLetterOrigin,
    parse_dead_letter,
    parse_redriven_letter,
)
from streamapp.contracts.messages import DeadLetterReason, SourceOffset
from streamapp.contracts.raw_record import RawRecord


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A record of `dead-letters` and what its headers say. `record.headers` still holds all of them."""

    record: RawRecord
    about: DeadLetterOrigin

    @property
    def name(self) -> str:
        """How people name it: `partition:offset` within `dead-letters`."""
        return f"{self.record.partition}:{self.record.offset}"


class DeadLetterFilter(Struct, frozen=True, kw_only=True):
    """Which dead letters are meant; an empty part means any.

    `topics` are those of the first origin; times are when the record failed, from `since_ms` up to before
    `until_ms`; `keys` are compared with the record's key as it is; `names` are `partition:offset`.
    """

    names: frozenset[str] = frozenset()
    reasons: frozenset[DeadLetterReason] = frozenset()
    topics: frozenset[str] = frozenset()
    keys: frozenset[bytes] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def takes_everything(self) -> bool:
        """Whether nothing was asked for."""
        return self == DeadLetterFilter()


class Redrive(Struct, frozen=True, kw_only=True):
    """What is to be done with one dead letter: sent, or refused for the reason given."""

    letter: DeadLetter
    refused: str | None = None


def read_dead_letter(record: RawRecord) -> DeadLetter | str:
    """The dead letter in a record of `dead-letters`, or in words why it is none."""
    try:
        return DeadLetter(record=record, about=parse_dead_letter(record.headers))
    except DeadLetterError as error:
        return str(error)


def matches(letter: DeadLetter, wanted: DeadLetterFilter) -> bool:
    """Whether every part of the filter takes the letter."""
    about = letter.about
    return (
        (not wanted.names or letter.name in wanted.names)
        and (not wanted.reasons or about.reason in wanted.reasons)
        and (not wanted.topics or about.first.topic in wanted.topics)
        and (not wanted.keys or letter.record.key in wanted.keys)
        and (wanted.since_ms is None or about.failed_at_ms >= wanted.since_ms)
        and (wanted.until_ms is None or about.failed_at_ms < wanted.until_ms)
    )


def read_ledger(redriven: Iterable[RawRecord]) -> frozenset[SourceOffset]:
    """The origins sent again, from all records of `redriven`; records with other headers are no entries."""
    sent = set()
    for record in redriven:
        try:
            origin = parse_redriven_letter(record.headers)
        except DeadLetterError:
            continue
        if origin is not None:
            sent.add(origin.source_offset)
    return frozenset(sent)


def plan_redrive(letters: Sequence[DeadLetter], ledger: frozenset[SourceOffset]) -> list[Redrive]:
    """What to do with each letter, in order. An origin is sent once, also where it has several dead letters.

    A redriven record that failed again is a new origin, so it may be sent once more.
    """
    sent = set(ledger)
    plan = []
    for letter in letters:
        origin = letter.about.origin.source_offset
        refused = _refusal(letter, origin in sent)
        if refused is None:
            sent.add(origin)
        plan.append(Redrive(letter=letter, refused=refused))
    return plan


def _refusal(letter: DeadLetter, was_sent: bool) -> str | None:
    if letter.about.metadata_only:
        return "its value was too large to be kept"
    if letter.record.value is None:
        return "it has no value that could be scored"
    if letter.about.reason == "bad_label":
        return "it is a label, which nothing but a new label corrects"
    return "its origin was sent again already" if was_sent else None
