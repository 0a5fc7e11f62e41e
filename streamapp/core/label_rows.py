"""One entry of a file of labels as a label: names of fields, spellings of classes, times, companies.

Takes what label_file.py and label_exports.py read; label_rules.py decides whether the label can be used.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, cast, get_args

from msgspec import Struct

from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import (
    SENTIMENTS,
    Channel,
    CompanyMention,
    DrawnBy,
    Label,
    Sentiment,
)
from streamapp.core.payload_time import parse_time

# What people and tools call our fields.
FIELD_NAMES: Final[Mapping[str, str]] = {
    "post_id": "post_id", "external_id": "post_id", "id": "post_id",
    "text": "text", "sentence": "text", "content": "text",
    "channel": "channel", "source": "source", "drawn": "drawn",
    "sentiment": "sentiment", "label": "sentiment", "topic": "topic",
    "companies": "companies", "symbols": "companies", "tickers": "companies",
    "author": "author", "annotator": "author", "completed_by": "author",
    "labelled_at_ms": "labelled_at", "labelled_at": "labelled_at", "labeled_at": "labelled_at",
    "updated_at": "labelled_at", "created_at": "labelled_at",
}  # fmt: skip
VERDICT_FIELDS: Final = ("sentiment", "topic", "companies")
NO_COMPANIES: Final = frozenset({"none", "-"})

_BETWEEN_SYMBOLS: Final = re.compile(r"[\s,;|]+")


class LabelRow(Struct, frozen=True, kw_only=True):
    """One entry that was read: where it stands in the file, and its values under our names of fields."""

    where: str
    values: dict[str, Any]


class RefusedRow(Struct, frozen=True, kw_only=True):
    """One entry that cannot be used: where it stands in the file, and why."""

    where: str
    reason: str


class ImportRules(Struct, frozen=True, kw_only=True):
    """What holds for a whole file where an entry does not say it, and other spellings of classes (lower case)."""

    author: str
    labelled_at_ms: int
    channel: Channel | None = None
    spellings: dict[str, str] = {}


class _UnusableError(ValueError):
    """A value of an entry that cannot be read; the text names the field."""


def our_names(entry: Mapping[Any, Any]) -> dict[str, Any]:
    """The entry under our names of fields; the first name of a field wins, null and empty values are left out."""
    named: dict[str, Any] = {}
    for name, ours in FIELD_NAMES.items():
        value = entry.get(name)
        if ours not in named and value is not None and value != "":
            named[ours] = value
    return named


def read_row(row: LabelRow, rules: ImportRules) -> Label | RefusedRow:
    """The label in an entry. Text and channel may be missing still; an entry without id is named by its text."""
    try:
        return _label(row.values, rules)
    except _UnusableError as error:
        return RefusedRow(where=row.where, reason=str(error))


def _label(values: Mapping[str, Any], rules: ImportRules) -> Label:
    raw_text = _scalar(values, "text")
    text = None if raw_text is None else clean_text(raw_text)
    post_id = _scalar(values, "post_id") or _named_by_text(text)
    if post_id is None:
        raise _UnusableError("neither an id nor a text")
    companies = _companies(values.get("companies"))
    if raw_text != text and companies is not None:  # cleaning moved the characters that spans count
        companies = tuple(CompanyMention(symbol=each.symbol, sentiment=each.sentiment) for each in companies)
    return Label(
        post_id=post_id,
        text=text,
        channel=_channel(values, rules),
        source=_scalar(values, "source"),
        sentiment=_sentiment(values, rules),
        topic=_class(values, "topic", rules),
        companies=companies,
        author=_scalar(values, "author") or rules.author,
        labelled_at_ms=_time(values, rules),
        origin="import",
        drawn=_drawn(values),
    )


def _named_by_text(text: str | None) -> str | None:
    # The same text is the same post, in whatever file it comes.
    return f"import:{hashlib.sha256(text.encode()).hexdigest()[:32]}" if text else None


def _scalar(values: Mapping[str, Any], field: str) -> str | None:
    value = values.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _UnusableError(f"{field} is not a text")
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise _UnusableError(f"{field} is not UTF-8") from error
    return str(value)


def _class(values: Mapping[str, Any], field: str, rules: ImportRules) -> str | None:
    value = values.get(field)
    if isinstance(value, list) and len(value) == 1:
        values = {field: value[0]}
    written = _scalar(values, field)
    if written is None:
        return None
    plain = written.strip().lower()
    return rules.spellings.get(plain) or re.sub(r"[\s-]+", "_", plain)


def _sentiment(values: Mapping[str, Any], rules: ImportRules) -> Sentiment | None:
    named = _class(values, "sentiment", rules)
    if named is not None and named not in SENTIMENTS:
        raise _UnusableError(f"unknown sentiment {named[:60]!r}; there are {', '.join(SENTIMENTS)}")
    return named


def _channel(values: Mapping[str, Any], rules: ImportRules) -> Channel | None:
    named = _scalar(values, "channel")
    if named is None:
        return rules.channel
    if named not in get_args(Channel):
        raise _UnusableError(f"unknown channel {named[:60]!r}; there are {', '.join(get_args(Channel))}")
    return cast(Channel, named)


def _drawn(values: Mapping[str, Any]) -> DrawnBy:
    named = _scalar(values, "drawn") or "none"
    if named not in get_args(DrawnBy):
        raise _UnusableError(f"drawn {named[:60]!r} is none of {', '.join(get_args(DrawnBy))}")
    return cast(DrawnBy, named)


def _time(values: Mapping[str, Any], rules: ImportRules) -> int:
    if "labelled_at" not in values:
        return rules.labelled_at_ms
    moment = parse_time(values["labelled_at"], "auto")
    if moment is None:
        raise _UnusableError(f"labelled_at {str(values['labelled_at'])[:60]!r} is no time")
    return moment


def _companies(value: Any) -> tuple[CompanyMention, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        written = value.strip()
        named = [] if written.lower() in NO_COMPANIES else _BETWEEN_SYMBOLS.split(written)
        value = [symbol for symbol in named if symbol]
    if not isinstance(value, list):
        raise _UnusableError("companies is not a list of symbols")
    return tuple(_mention(each) for each in value)


def _mention(value: Any) -> CompanyMention:
    if isinstance(value, str):
        return CompanyMention(symbol=value.strip().removeprefix("$").upper())
    if not isinstance(value, dict) or not isinstance(value.get("symbol"), str):
        raise _UnusableError("a company is neither a symbol nor an object with one")
    span, sentiment = value.get("span"), value.get("sentiment")
    if sentiment is not None and sentiment not in SENTIMENTS:
        raise _UnusableError(f"unknown sentiment {str(sentiment)[:60]!r} of company {value['symbol'][:40]}")
    if span is not None and not (
        isinstance(span, list) and len(span) == 2 and all(type(each) is int for each in span)
    ):
        raise _UnusableError(f"span of company {value['symbol'][:40]} is not two whole numbers")
    return CompanyMention(
        symbol=value["symbol"].strip().removeprefix("$").upper(),
        span=(span[0], span[1]) if span is not None else None,
        sentiment=sentiment,
    )
