"""Decides what a raw record is: a usable post, or an input that is kept as a dead letter with a reason.

Any bytes give one of the two; nothing here raises. Must not know Kafka clients, settings or models.

How the parts of a post are read (paths come from the input's rules; null counts as missing)
  text     strings at one or several paths, each cleaned, the non-empty ones joined by a full stop and a blank
  id       string or number, without control characters; over 256 characters: its first 223, `~` and 32 hex
           digits of its SHA-256; missing or blank: `topic UUID:partition:offset`
  time     core/payload_time.py; missing, or later than the record's own time by more than the tolerance:
           the record's time, flagged
  source   string or number, at most 256 characters
  symbols  a list of strings, or one string with commas, semicolons or blanks between them; what looks like no
           ticker is dropped, the first 20 are kept
A redriven record has the id, times and channel of its first origin; its identity stays its own offset.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from streamapp.contracts.dead_letter import DeadLetterError, Origin, own_origin, parse_redriven
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import Channel, DeadLetterReason, Post, PostFlag
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.payload import PayloadFault, find_field, json_type, parse_object
from streamapp.core.payload_time import LATEST_MS, TimeFormat, parse_time

MAX_ID_CHARS = 256
MAX_SOURCE_CHARS = 256
MAX_SYMBOLS = 20
MAX_SYMBOL_CHARS = 12
# How much of a symbols field is looked at: a list or string far beyond any real one must not cost time.
MAX_SYMBOLS_READ = 200
MAX_SYMBOLS_CHARS = 4_000
# Markup may outweigh the text it carries; beyond this many times the text limit nothing is read.
RAW_TEXT_FACTOR = 4

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SYMBOL = re.compile(r"\^?[A-Z0-9][A-Z0-9.:=/_-]*")
_BETWEEN_SYMBOLS = re.compile(r"[\s,;]+")


class Rejected(Struct, frozen=True):
    """An input that cannot be used. `detail` names the field and what is wrong, without quoting the text."""

    reason: DeadLetterReason
    detail: str


class InputFields(Struct, frozen=True, kw_only=True):
    """Where in the JSON each part of a post is, as dotted paths; None: the input has no such field."""

    id: str | None = "id"
    text: tuple[str, ...] = ("text",)
    time: str | None = "published_at"
    time_format: TimeFormat = "auto"
    source: str | None = "source"
    symbols: str | None = "symbols"


class InputRules(Struct, frozen=True, kw_only=True):
    """How one input topic is read. Sizes count key, value and headers; texts are measured after cleaning."""

    channel: Channel
    fields: InputFields = InputFields()
    max_record_bytes: int = 1_000_000
    max_text_chars: int = 20_000
    future_tolerance_ms: int = 600_000


def choose_rules(record: RawRecord, rules_by_topic: Mapping[str, InputRules]) -> InputRules | Rejected:
    """The rules of the topic that the record first came from; `wrong_type` where no input has that name."""
    origin = _first_origin(record)
    if isinstance(origin, Rejected):
        return origin
    rules = rules_by_topic.get(origin.topic)
    if rules is None:
        return Rejected("wrong_type", f"topic {origin.topic} is not among the inputs of the settings")
    return rules


def decode_post(record: RawRecord, rules: InputRules) -> Post | Rejected:
    """The post in `record`, or why there is none. Never raises. Texts over the limit are cut and flagged."""
    origin = _first_origin(record)
    if isinstance(origin, Rejected):
        return origin
    if record.value is None:
        return Rejected("null_value", "the record has no value")
    if record.size_bytes > rules.max_record_bytes:
        return Rejected(
            "too_large", f"{record.size_bytes} bytes are over the limit of {rules.max_record_bytes}"
        )
    tree = parse_object(record.value)
    if isinstance(tree, PayloadFault):
        return Rejected(tree.reason, tree.detail)
    return _read_post(tree, origin, rules)


def _first_origin(record: RawRecord) -> Origin | Rejected:
    if not record.redriven:
        return own_origin(record)
    try:
        origin = parse_redriven(record.headers)
    except DeadLetterError as error:
        return Rejected("wrong_type", str(error))
    return origin or Rejected("wrong_type", "a redriven record without the headers that name its origin")


def _read_post(tree: dict[str, Any], origin: Origin, rules: InputRules) -> Post | Rejected:
    fields = rules.fields
    text = _read_text(tree, fields.text, rules.max_text_chars)
    if isinstance(text, Rejected):
        return text
    moment = _read_time(tree, fields, origin.timestamp_ms, rules.future_tolerance_ms)
    if isinstance(moment, Rejected):
        return moment
    post_id = _read_scalar(tree, fields.id)
    if isinstance(post_id, Rejected):
        return post_id
    source = _read_scalar(tree, fields.source)
    if isinstance(source, Rejected):
        return source
    symbols = _read_symbols(tree, fields.symbols)
    if isinstance(symbols, Rejected):
        return symbols
    return Post(
        id=_bounded_id(post_id) or f"{origin.topic_uuid}:{origin.partition}:{origin.offset}",
        channel=rules.channel,
        text=text[0],
        event_time_ms=moment[0],
        source=source[:MAX_SOURCE_CHARS] if source else None,
        symbols=symbols,
        flags=moment[1] + text[1],
    )


def _read_text(
    tree: dict[str, Any], paths: tuple[str, ...], max_chars: int
) -> tuple[str, tuple[PostFlag, ...]] | Rejected:
    present = False
    flags: tuple[PostFlag, ...] = ()
    joined = ""
    for path in paths:
        raw = find_field(tree, path)
        if raw is None:
            continue
        if not isinstance(raw, str):
            return Rejected("wrong_type", f"field {path} is {json_type(raw)}, not a string")
        present = True
        if len(raw) > max_chars * RAW_TEXT_FACTOR:
            raw, flags = raw[: max_chars * RAW_TEXT_FACTOR], ("text_truncated",)
        joined = _join(joined, clean_text(raw))
    if not joined:
        names = ", ".join(paths)
        return Rejected("text_empty" if present else "text_missing", f"no text in {names}")
    if len(joined) > max_chars:
        joined, flags = joined[:max_chars].rstrip(), ("text_truncated",)
    return joined, flags


def _join(first: str, second: str) -> str:
    if not first or not second:
        return first or second
    return f"{first} {second}" if first[-1] in ".!?:;" else f"{first}. {second}"


def _read_time(
    tree: dict[str, Any], fields: InputFields, record_time_ms: int, tolerance_ms: int
) -> tuple[int, tuple[PostFlag, ...]] | Rejected:
    raw = find_field(tree, fields.time) if fields.time else None
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        if record_time_ms < 0:
            return Rejected("bad_time", "neither the payload nor the record has a time")
        return min(record_time_ms, LATEST_MS), ("time_missing",)
    moment = parse_time(raw, fields.time_format)
    if moment is None:
        shown = repr(raw)[:60] if isinstance(raw, str | int | float) else json_type(raw)
        return Rejected("bad_time", f"field {fields.time}: {shown} is no time of format {fields.time_format}")
    if 0 <= record_time_ms < moment - tolerance_ms:
        return record_time_ms, ("time_in_future",)
    return moment, ()


def _read_scalar(tree: dict[str, Any], path: str | None) -> str | Rejected | None:
    raw = find_field(tree, path) if path else None
    if raw is None:
        return None
    if isinstance(raw, str):
        return raw.strip() if raw.isprintable() else _CONTROLS.sub("", raw).strip()
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return repr(raw)
    return Rejected("wrong_type", f"field {path} is {json_type(raw)}, not a string or number")


def _bounded_id(post_id: str | None) -> str | None:
    if post_id is None or len(post_id) <= MAX_ID_CHARS:
        return post_id
    return f"{post_id[:223]}~{hashlib.sha256(post_id.encode()).hexdigest()[:32]}"


def _read_symbols(tree: dict[str, Any], path: str | None) -> tuple[str, ...] | Rejected:
    raw = find_field(tree, path) if path else None
    if not raw and isinstance(raw, str | list | None):
        return ()
    if isinstance(raw, str):
        raw = _BETWEEN_SYMBOLS.split(raw[:MAX_SYMBOLS_CHARS])
    if not isinstance(raw, list):
        return Rejected("wrong_type", f"field {path} is {json_type(raw)}, not a list of strings")
    found: dict[str, None] = {}
    for entry in raw[:MAX_SYMBOLS_READ]:
        if entry is not None and not isinstance(entry, str):
            return Rejected("wrong_type", f"field {path} holds {json_type(entry)}, not only strings")
        symbol = _bounded_symbol(entry or "")
        if symbol and len(found) < MAX_SYMBOLS:
            found[symbol] = None
    return tuple(found)


def _bounded_symbol(raw: str) -> str | None:
    # what is longer or stranger than a ticker is no ticker; it would only blow up the number of subjects
    if len(raw) > 4 * MAX_SYMBOL_CHARS:
        return None
    symbol = raw.strip().lstrip("$").upper()
    return symbol if len(symbol) <= MAX_SYMBOL_CHARS and _SYMBOL.fullmatch(symbol) else None
