"""The headers of dead letters and redriven records: where a record came from first and last, why it failed.

A dead letter keeps the key, value and own headers of the record that could not be used; ours stand beside
them under the prefix `streamapp-`. It names the record that failed (its origin) and the record that the
user's feed once wrote (its first origin); both are the same until something redriven fails again.
"""

from collections.abc import Iterable
from typing import cast, get_args

from msgspec import Struct

from streamapp.contracts.messages import Channel, DeadLetterReason, SourceOffset
from streamapp.contracts.raw_record import RawRecord

PREFIX = "streamapp-"
REASON = PREFIX + "reason"
DETAIL = PREFIX + "detail"
FAILED_AT_MS = PREFIX + "failed-at-ms"
RELEASE = PREFIX + "release"
VALUE_BYTES = PREFIX + "value-bytes"
REDRIVEN_AT_MS = PREFIX + "redriven-at-ms"
ORIGIN = PREFIX + "origin-"
FIRST_ORIGIN = PREFIX + "first-origin-"

MAX_DETAIL_CHARS = 300
# What a metadata-only dead letter keeps of a record that was too large: enough to find it, little enough to
# send.
MAX_METADATA_KEY_BYTES = 1024
MAX_METADATA_HEADER_BYTES = 16_384

HeaderList = list[tuple[str, bytes]]
# kafka clients give header values as bytes or None
AnyHeaders = Iterable[tuple[str, bytes | None]]


class DeadLetterError(ValueError):
    """Headers that are not those of a dead letter or redriven record; the text names the header."""


class Origin(Struct, frozen=True, kw_only=True):
    """Where a record was read. `channel` is None where the reader knows none (watch, retrain)."""

    topic: str
    topic_uuid: str
    partition: int
    offset: int
    timestamp_ms: int
    channel: Channel | None = None

    @property
    def source_offset(self) -> SourceOffset:
        """The identity of the record."""
        return SourceOffset(self.topic_uuid, self.partition, self.offset)


class DeadLetterOrigin(Struct, frozen=True, kw_only=True):
    """What the headers of a dead letter say.

    `value_bytes` is the size the value had, None for a null value; the value of a `too_large` one is not
    kept.
    """

    origin: Origin
    first: Origin
    reason: DeadLetterReason
    detail: str
    failed_at_ms: int
    release: str
    value_bytes: int | None

    @property
    def metadata_only(self) -> bool:
        """Whether the value was left behind, so that it cannot be sent again."""
        return self.reason == "too_large"


def dead_letter_headers(
    record: RawRecord,
    channel: Channel | None,
    reason: DeadLetterReason,
    detail: str,
    now_ms: int,
    release: str,
) -> HeaderList:
    """The record's own headers, then ours. Headers of ours that the record brought are replaced, not doubled.

    `now_ms` is the wall clock. `detail` is cut to 300 characters. A redriven record is named as the origin,
    and the first origin is kept where its headers can be read. Never raises.
    """
    first = _first_origin(record)
    channel = channel or (first.channel if first else None)
    origin = own_origin(record, channel)
    size = [] if record.value is None else [(VALUE_BYTES, b"%d" % len(record.value))]
    return [
        *_kept_headers(record, reason),
        *_origin_headers(ORIGIN, origin),
        *_origin_headers(FIRST_ORIGIN, first or origin),
        (REASON, reason.encode()),
        (DETAIL, detail[:MAX_DETAIL_CHARS].encode("utf-8", "replace")),
        (FAILED_AT_MS, b"%d" % now_ms),
        (RELEASE, release.encode("utf-8", "replace")),
        *size,
    ]


def dead_letter_key_and_value(
    record: RawRecord, reason: DeadLetterReason
) -> tuple[bytes | None, bytes | None]:
    """What to send as key and value: the record's own; without value, and without a key over 1 KiB, if too
    large.
    """
    if reason != "too_large":
        return record.key, record.value
    return (record.key if len(record.key or b"") <= MAX_METADATA_KEY_BYTES else None), None


def own_origin(record: RawRecord, channel: Channel | None = None) -> Origin:
    """The record itself as an origin."""
    return Origin(
        topic=record.topic,
        topic_uuid=record.topic_uuid,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        channel=channel,
    )


def parse_dead_letter(headers: AnyHeaders) -> DeadLetterOrigin:
    """What the headers of a dead letter say, or `DeadLetterError` where one of ours is missing or
    unusable.
    """
    ours = _ours(headers)
    reason = _text(ours, REASON)
    if reason not in get_args(DeadLetterReason):
        raise DeadLetterError(f"header {REASON}: unknown reason {reason!r}")
    return DeadLetterOrigin(
        origin=_parse_origin(ours, ORIGIN),
        first=_parse_origin(ours, FIRST_ORIGIN),
        reason=cast(DeadLetterReason, reason),
        detail=_text(ours, DETAIL),
        failed_at_ms=_integer(ours, FAILED_AT_MS),
        release=_text(ours, RELEASE),
        value_bytes=_integer(ours, VALUE_BYTES) if VALUE_BYTES in ours else None,
    )


def redriven_headers(headers: AnyHeaders, now_ms: int) -> HeaderList:
    """The headers of a dead letter's second chance, from the dead letter's own.

    Kept: what the first record brought, both origins and the reason. `now_ms` is the wall clock.
    Raises `DeadLetterError` where the headers are not those of a dead letter.
    """
    headers = list(headers)
    letter = parse_dead_letter(headers)
    return [
        *_foreign(headers),
        *_origin_headers(ORIGIN, letter.origin),
        *_origin_headers(FIRST_ORIGIN, letter.first),
        (REASON, letter.reason.encode()),
        (REDRIVEN_AT_MS, b"%d" % now_ms),
    ]


def parse_redriven(headers: AnyHeaders) -> Origin | None:
    """The first origin of a redriven record (rules, id and times of the post rest on it); None: not redriven.

    Only headers of a record on our own topic `redriven` deserve trust. Raises `DeadLetterError` for half of
    them.
    """
    ours = _ours(headers)
    return _parse_origin(ours, FIRST_ORIGIN) if REDRIVEN_AT_MS in ours else None


def parse_redriven_letter(headers: AnyHeaders) -> Origin | None:
    """The dead letter's origin that a redriven record used up: the ledger's key. None: not redriven."""
    ours = _ours(headers)
    return _parse_origin(ours, ORIGIN) if REDRIVEN_AT_MS in ours else None


def _first_origin(record: RawRecord) -> Origin | None:
    if not record.redriven:
        return None
    try:
        return parse_redriven(record.headers)
    except DeadLetterError:
        return None


def _kept_headers(record: RawRecord, reason: DeadLetterReason) -> HeaderList:
    kept = _foreign(record.headers)
    if (
        reason == "too_large"
        and sum(len(name) + len(value) for name, value in kept) > MAX_METADATA_HEADER_BYTES
    ):
        return []
    return kept


def _foreign(headers: AnyHeaders) -> HeaderList:
    return [(name, value or b"") for name, value in headers if not name.startswith(PREFIX)]


def _ours(headers: AnyHeaders) -> dict[str, bytes]:
    return {name: value for name, value in headers if value is not None and name.startswith(PREFIX)}


def _origin_headers(prefix: str, origin: Origin) -> HeaderList:
    channel = [] if origin.channel is None else [(prefix + "channel", origin.channel.encode())]
    return [
        (prefix + "topic", origin.topic.encode()),
        (prefix + "topic-uuid", origin.topic_uuid.encode()),
        (prefix + "partition", b"%d" % origin.partition),
        (prefix + "offset", b"%d" % origin.offset),
        (prefix + "timestamp-ms", b"%d" % origin.timestamp_ms),
        *channel,
    ]


def _parse_origin(ours: dict[str, bytes], prefix: str) -> Origin:
    channel = _text(ours, prefix + "channel") if prefix + "channel" in ours else None
    if channel is not None and channel not in get_args(Channel):
        raise DeadLetterError(f"header {prefix}channel: unknown channel {channel!r}")
    return Origin(
        topic=_text(ours, prefix + "topic"),
        topic_uuid=_text(ours, prefix + "topic-uuid"),
        partition=_integer(ours, prefix + "partition"),
        offset=_integer(ours, prefix + "offset"),
        timestamp_ms=_integer(ours, prefix + "timestamp-ms"),
        channel=cast("Channel | None", channel),
    )


def _text(ours: dict[str, bytes], name: str) -> str:
    try:
        return ours[name].decode()
    except KeyError:
        raise DeadLetterError(f"header {name} is missing") from None
    except UnicodeDecodeError as error:
        raise DeadLetterError(f"header {name}: {error}") from error


def _integer(ours: dict[str, bytes], name: str) -> int:
    text = _text(ours, name)
    if len(text) > 20 or not text.removeprefix("-").isdecimal():
        raise DeadLetterError(f"header {name}: {text[:40]!r} is not a whole number")
    return int(text)
