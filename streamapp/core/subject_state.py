"""A subject's trend state as bytes and back: MessagePack arrays, small and bounded.

Only the form of the record is decided here; what is kept is `SubjectWatch`'s matter.
"""

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from streamapp.core.alert import OpenAlert
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.open_minute import Headline, OpenMinute, OrderKey, StorySample
from streamapp.core.story import Evidence, Leader, StoryLeaders
from streamapp.core.subject_watch import ClosedMinute, SubjectWatch
from streamapp.core.surge import Baseline, SurgeRules

STATE_VERSION = 1

T = TypeVar("T", bound=Hashable)
Source = tuple[str, int]


class StateError(ValueError):
    """A state record that this release cannot read; the text says whose and why."""


class SubjectRecord(Struct, array_like=True):
    """The record. `sources` rows are (UUID's index in `uuids`, partition, applied offset); entries and headlines name
    their source by its row.
    """

    version: int
    offset: int
    decided_before: int | None
    watched_since: int | None
    last_seen_hour: int
    uuids: list[str]
    sources: list[tuple[int, int, int]]
    models: list[str]
    open: list[tuple[Any, ...]]
    closed: list[tuple[Any, ...]]
    leaders: list[Leader]
    baseline: Baseline
    alert: OpenAlert | None


class _Head(Struct, array_like=True):
    """The begin of a record: all that is needed to see which of two is newer."""

    version: int
    offset: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SubjectRecord)
_head_decoder = msgspec.msgpack.Decoder(_Head)


def encode_subject(watch: SubjectWatch) -> bytes:
    """The whole state of a subject but its name."""
    uuids = _Numbering[str]()
    sources = _Numbering[Source]()
    models = _Numbering[str]()
    rows = []
    for (uuid, partition), offset in watch.applied.items():
        sources.of((uuid, partition))
        rows.append((uuids.of(uuid), partition, offset))
    opened = [_open_row(minute, opened, sources, models) for minute, opened in sorted(watch.open.items())]
    closed = [_closed_row(minute, closed, models) for minute, closed in sorted(watch.closed.items())]
    record = SubjectRecord(
        version=STATE_VERSION,
        offset=watch.offset,
        decided_before=watch.decided_before,
        watched_since=watch.watched_since,
        last_seen_hour=watch.last_seen_hour,
        uuids=uuids.values,
        sources=rows,
        models=models.values,
        open=opened,
        closed=closed,
        leaders=watch.leaders.leaders,
        baseline=watch.baseline,
        alert=watch.alert,
    )
    return _encoder.encode(record)


def included_offset(subject: str, raw: bytes) -> int:
    """The activity offset that a record includes, at a tenth of what the whole record costs.

    StateError where the bytes are no such record, or one of another version.
    """
    try:
        head = _head_decoder.decode(raw)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StateError(f"state of {subject}: {error}") from error
    if head.version != STATE_VERSION:
        raise StateError(f"state of {subject}: version {head.version}, this release reads {STATE_VERSION}")
    return head.offset


def decode_subject(subject: str, raw: bytes, rules: SurgeRules) -> SubjectWatch:
    """The watch of `subject` as it was when `raw` was written; StateError as `included_offset`."""
    included_offset(subject, raw)
    try:
        return _watch_of(subject, _decoder.decode(raw), rules)
    except (msgspec.DecodeError, msgspec.ValidationError, IndexError, TypeError) as error:
        raise StateError(f"state of {subject}: {error}") from error


def _watch_of(subject: str, record: SubjectRecord, rules: SurgeRules) -> SubjectWatch:
    sources = [(record.uuids[uuid], partition) for uuid, partition, _ in record.sources]
    watch = SubjectWatch(subject, rules, record.baseline)
    watch.decided_before = record.decided_before
    watch.watched_since = record.watched_since
    watch.offset = record.offset
    watch.last_seen_hour = record.last_seen_hour
    watch.applied = {source: row[2] for source, row in zip(sources, record.sources, strict=True)}
    watch.open = dict(_open_minute(row, sources, record.models) for row in record.open)
    watch.closed = dict(_closed_minute(row, record.models) for row in record.closed)
    watch.leaders = StoryLeaders(record.leaders)
    watch.alert = record.alert
    return watch


class _Numbering(Generic[T]):
    """Gives equal values one small number."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}

    def of(self, value: T) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[T]:
        return list(self._numbers)


def _open_row(
    minute: int, opened: OpenMinute, sources: _Numbering[Source], models: _Numbering[str]
) -> tuple[Any, ...]:
    headlines = [
        (*_key_fields(headline.key, minute, sources), headline.fingerprint, headline.evidence)
        for headline in opened.headlines
    ]
    return (
        minute,
        opened.negative,
        opened.neutral,
        opened.positive,
        _sample_fields(opened.negatives, minute, sources),
        _sample_fields(opened.others, minute, sources),
        headlines,
        [models.of(version) for version in sorted(opened.versions)],
    )


def _sample_fields(sample: StorySample, minute: int, sources: _Numbering[Source]) -> list[int]:
    """One flat list: 1 if the sample overflowed, then five numbers an entry."""
    fields = [int(sample.overflowed)]
    for fingerprint, (key, copies) in sample.entries.items():
        fields += (fingerprint, *_key_fields(key, minute, sources), copies)
    return fields


def _key_fields(key: OrderKey, minute: int, sources: _Numbering[Source]) -> tuple[int, int, int]:
    event_time_ms, uuid, partition, offset = key
    return (event_time_ms - minute * MINUTE_MS, sources.of((uuid, partition)), offset)


def _open_minute(row: tuple[Any, ...], sources: list[Source], models: list[str]) -> tuple[int, OpenMinute]:
    minute, negative, neutral, positive, negatives, others, headlines, versions = row
    opened = OpenMinute()
    opened.negative, opened.neutral, opened.positive = negative, neutral, positive
    _fill(opened.negatives, negatives, minute, sources)
    _fill(opened.others, others, minute, sources)
    opened.headlines = [
        Headline(_order_key(minute, sources, *fields[:3]), fields[3], Evidence(*fields[4]))
        for fields in headlines
    ]
    opened.versions = {models[index] for index in versions}
    return minute, opened


def _fill(sample: StorySample, fields: list[int], minute: int, sources: list[Source]) -> None:
    for at in range(1, len(fields), 5):
        fingerprint, in_minute_ms, source, offset, copies = fields[at : at + 5]
        sample.add(fingerprint, _order_key(minute, sources, in_minute_ms, source, offset), copies)
    sample.overflowed = bool(fields[0])


def _order_key(minute: int, sources: list[Source], in_minute_ms: int, source: int, offset: int) -> OrderKey:
    uuid, partition = sources[source]
    return (minute * MINUTE_MS + in_minute_ms, uuid, partition, offset)


def _closed_row(minute: int, closed: ClosedMinute, models: _Numbering[str]) -> tuple[Any, ...]:
    return (
        minute,
        closed.negative,
        closed.neutral,
        closed.positive,
        closed.stories,
        closed.negative_stories,
        closed.expected,
        closed.revision,
        closed.late,
        [models.of(version) for version in closed.versions],
    )


def _closed_minute(row: tuple[Any, ...], models: list[str]) -> tuple[int, ClosedMinute]:
    minute, *numbers, versions = row
    closed = ClosedMinute(*numbers)
    closed.versions = tuple(models[index] for index in versions)
    return minute, closed
