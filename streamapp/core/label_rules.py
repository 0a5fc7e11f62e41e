"""Decides whether a label can be used: its classes exist, it says something, and its post is known.

The one rule for labels that are imported, made in the terminal and read from Kafka. Must not know files or topics.
"""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from streamapp.contracts.messages import Label
from streamapp.core.companies import MAX_MENTIONS
from streamapp.core.payload_time import LATEST_MS

MAX_POST_ID_CHARS: Final = 300
MAX_AUTHOR_CHARS: Final = 200

_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._=/:-]{0,11}")


class LabelLimits(NamedTuple):
    """What a label may name and hold. `topics` are those of the serving model; texts are counted in characters."""

    topics: Collection[str]
    max_text_chars: int = 20_000


def label_fault(label: Label, limits: LabelLimits, post_known: bool = False) -> str | None:
    """In words why `label` cannot be used, or None. `post_known`: its text and channel stand elsewhere.

    Spans count in the label's own text; where it brings none they are only checked for order.
    """
    return (
        _unusable_name("post_id", label.post_id, MAX_POST_ID_CHARS)
        or _unusable_name("author", label.author, MAX_AUTHOR_CHARS)
        or _unknown_post(label, limits, post_known)
        or _unusable_verdict(label, limits)
        or (
            None
            if 0 <= label.labelled_at_ms <= LATEST_MS
            else f"labelled_at_ms {label.labelled_at_ms} is no time"
        )
    )


def _unusable_name(field: str, value: str, max_chars: int) -> str | None:
    if not value.strip():
        return f"{field} is empty"
    if len(value) > max_chars:
        return f"{field} has {len(value)} characters, more than {max_chars}"
    if not value.isprintable():
        return f"{field} holds control characters"
    return None


def _unknown_post(label: Label, limits: LabelLimits, post_known: bool) -> str | None:
    if label.text is None and not post_known:
        return "neither a text nor a known post"
    if label.text is not None and not label.text.strip():
        return "text is empty"
    if label.text is not None and len(label.text) > limits.max_text_chars:
        return f"text has {len(label.text)} characters, more than {limits.max_text_chars}"
    if label.channel is None and not post_known:
        return "neither a channel nor a known post"
    return None


def _unusable_verdict(label: Label, limits: LabelLimits) -> str | None:
    if label.sentiment is None and label.topic is None and label.companies is None:
        return "it says nothing: no sentiment, no topic, no companies"
    if label.topic is not None and label.topic not in limits.topics:
        return f"unknown topic {label.topic[:60]!r}"
    if len(label.companies or ()) > MAX_MENTIONS:
        return f"{len(label.companies or ())} companies, more than {MAX_MENTIONS}"
    for mention in label.companies or ():
        if not _SYMBOL.fullmatch(mention.symbol):
            return f"company {mention.symbol[:40]!r} is no symbol (upper case, at most 12 characters)"
        if mention.span is not None and not _fits(mention.span, label.text):
            return f"company {mention.symbol}: span {list(mention.span)} is not within the text"
    return None


def _fits(span: tuple[int, int], text: str | None) -> bool:
    start, end = span
    return 0 <= start < end and (text is None or end <= len(text))
