"""A subject's trend state as bytes and back: MessagePack arrays, small and bounded.

Only the form of the record is decided here; what is kept is `SubjectWatch`'s matter.
"""

from collections.abc import Hashable
from typing import Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Struct

from streamapp.contracts.messages import Channel
from streamapp.core.alert import OpenAlert
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.open_minute import Headline, OpenMinute, OrderKey, StorySample
from streamapp.core.story import Evidence, Leader, StoryLeaders
from streamapp.core.subject_watch import ClosedMinute, SubjectWatch
from streamapp.core.surge import Baseline, SurgeRules
from streamapp.core.version_past import CommonScale, Origin, Part, PastOrigins, Tally, settled

STATE_VERSION = 2
# Until 2 a minute named its model versions and did not count its posts by them.
READ_VERSIONS = (1, 2)
CHANNELS: tuple[Channel, ...] = get_args(Channel)

T = TypeVar("T", bound=Hashable)
Source = tuple[str, int]


class StateError(ValueError):
    """A state record that this release cannot read; the text says whose and why."""


class SubjectRecord(Struct, array_like=True):
    """The record. `sources` rows are (UUID's index in `uuids`, partition, applied offset); entries and headlines name
    their source by its row, posts their model by its place in `models`. `origins` rows are (model, channel, fraction
    of stories, fraction of negative stories), of an only origin the first two.
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
    origins: list[tuple[Any, ...]] = []


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
    origins = _origin_rows(watch.origins, models)
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
        origins=origins,
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
    if head.version not in READ_VERSIONS:
        raise StateError(
            f"state of {subject}: version {head.version}, this release reads up to {STATE_VERSION}"
        )
    return head.offset


def decode_subject(subject: str, raw: bytes, rules: SurgeRules, scale: CommonScale) -> SubjectWatch:
    """The watch of `subject` as it was when `raw` was written; StateError as `included_offset`.

    A record from before counts were kept by version is read as well: its minutes count as news of their version.
    """
    included_offset(subject, raw)
    try:
        return _watch_of(subject, _decoder.decode(raw), rules, scale)
    except (msgspec.DecodeError, msgspec.ValidationError, IndexError, TypeError) as error:
        raise StateError(f"state of {subject}: {error}") from error


def _watch_of(subject: str, record: SubjectRecord, rules: SurgeRules, scale: CommonScale) -> SubjectWatch:
    sources = [(record.uuids[uuid], partition) for uuid, partition, _ in record.sources]
    watch = SubjectWatch(subject, rules, record.baseline, scale)
    watch.decided_before = record.decided_before
    watch.watched_since = record.watched_since
    watch.offset = record.offset
    watch.last_seen_hour = record.last_seen_hour
    watch.applied = {source: row[2] for source, row in zip(sources, record.sources, strict=True)}
    old_form = record.version == 1
    watch.open = dict(_open_minute(row, sources, record.models, old_form) for row in record.open)
    watch.closed = dict(_closed_minute(row, record.models, old_form) for row in record.closed)
    watch.leaders = StoryLeaders(record.leaders)
    watch.alert = record.alert
    watch.origins = PastOrigins(dict(_origin(row, record.models) for row in record.origins))
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
        _tally_fields(opened.tallies, models),
    )


def _tally_fields(tallies: tuple[Tally, ...], models: _Numbering[str]) -> list[int]:
    """Model and channel of an only tally, whose counts are the minute's; else four numbers a tally."""
    if len(tallies) == 1:
        return [models.of(tallies[0].version), CHANNELS.index(tallies[0].channel)]
    fields: list[int] = []
    for tally in tallies:
        fields += (models.of(tally.version), CHANNELS.index(tally.channel), tally.negative, tally.other)
    return fields


def _tallies(fields: list[int], models: list[str], negative: int, other: int) -> tuple[Tally, ...]:
    if len(fields) == 2:
        return (Tally(models[fields[0]], CHANNELS[fields[1]], negative, other),)
    # Fewer than two numbers: a minute of the old form without a version.
    rows = (fields[at : at + 4] for at in range(0, len(fields) // 4 * 4, 4))
    return tuple(Tally(models[model], CHANNELS[channel], *counts) for model, channel, *counts in rows)


def _origin_rows(origins: PastOrigins, models: _Numbering[str]) -> list[tuple[Any, ...]]:
    rows = [
        (models.of(version), CHANNELS.index(channel), part.stories, part.negative)
        for (version, channel), part in origins.parts.items()
    ]
    if len(rows) == 1 and rows[0][2:] == (1.0, 1.0):
        return [rows[0][:2]]
    return rows


def _origin(row: tuple[Any, ...], models: list[str]) -> tuple[Origin, Part]:
    model, channel, *fractions = row
    return (models[model], CHANNELS[channel]), Part(*fractions) if fractions else Part(1.0, 1.0)


def _sample_fields(sample: StorySample, minute: int, sources: _Numbering[Source]) -> list[int]:
    """One flat list: 1 if the sample overflowed, then five numbers an entry."""
    fields = [int(sample.overflowed)]
    for fingerprint, (key, copies) in sample.entries.items():
        fields += (fingerprint, *_key_fields(key, minute, sources), copies)
    return fields


def _key_fields(key: OrderKey, minute: int, sources: _Numbering[Source]) -> tuple[int, int, int]:
    event_time_ms, uuid, partition, offset = key
    return (event_time_ms - minute * MINUTE_MS, sources.of((uuid, partition)), offset)


def _open_minute(
    row: tuple[Any, ...], sources: list[Source], models: list[str], old_form: bool
) -> tuple[int, OpenMinute]:
    minute, negative, neutral, positive, negatives, others, headlines, fields = row
    opened = OpenMinute()
    opened.negative, opened.neutral, opened.positive = negative, neutral, positive
    _fill(opened.negatives, negatives, minute, sources)
    _fill(opened.others, others, minute, sources)
    opened.headlines = [
        Headline(_order_key(minute, sources, *fields[:3]), fields[3], Evidence(*fields[4]))
        for fields in headlines
    ]
    tallies = _tallies([*fields[:1], 0] if old_form else fields, models, negative, neutral + positive)
    opened.counts = {(tally.version, tally.channel): [tally.negative, tally.other] for tally in tallies}
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
        _tally_fields(closed.tallies, models) or [models.of(version) for version in closed.late_versions],
    )


def _closed_minute(row: tuple[Any, ...], models: list[str], old_form: bool) -> tuple[int, ClosedMinute]:
    minute, *numbers, fields = row
    closed = ClosedMinute(*numbers)
    if len(fields) == 1 and not old_form:
        closed.late_versions = (models[fields[0]],)
    else:
        closed.tallies = _tallies([*fields[:1], 0] if old_form else fields, models, 0, 0)
        if len(closed.tallies) == 1:
            closed.tallies = settled(closed.tallies, closed.stories, closed.negative_stories)
    return minute, closed
