"""A label is used only if its classes exist, it says something, and its post is known; else the reason is said."""

from typing import Any

import pytest

from streamapp.contracts.messages import CompanyMention, Label
from streamapp.core.label_rules import LabelLimits, label_fault

LIMITS = LabelLimits(topics=frozenset({"macro"}), max_text_chars=40)


def label(**changes: Any) -> Label:
    fields: dict[str, Any] = {
        "post_id": "n-1",
        "text": "Shares fall",
        "channel": "news",
        "sentiment": "negative",
        "author": "ana",
        "labelled_at_ms": 1_790_000_000_000,
        "origin": "person",
    }
    return Label(**{**fields, **changes})


@pytest.mark.parametrize(
    "usable",
    [
        label(),
        label(sentiment=None, topic="macro"),
        label(sentiment=None, companies=()),
        label(companies=(CompanyMention(symbol="BRK.B", span=(0, 6)),)),
        label(labelled_at_ms=0),
    ],
)
def test_a_whole_label_has_no_fault(usable: Label) -> None:
    assert label_fault(usable, LIMITS) is None


def test_text_and_channel_may_stand_elsewhere_if_the_post_is_known() -> None:
    bare = label(text=None, channel=None)
    assert label_fault(bare, LIMITS) == "neither a text nor a known post"
    assert label_fault(bare, LIMITS, post_known=True) is None
    assert label_fault(label(channel=None), LIMITS) == "neither a channel nor a known post"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"topic": "sports"}, "unknown topic 'sports'"),
        ({"sentiment": None}, "it says nothing"),
        ({"text": " "}, "text is empty"),
        ({"text": "x" * 41}, "text has 41 characters"),
        ({"post_id": ""}, "post_id is empty"),
        ({"post_id": "a\x1b[2J"}, "post_id holds control characters"),
        ({"author": "x" * 201}, "author has 201 characters"),
        ({"labelled_at_ms": -1}, "is no time"),
        ({"labelled_at_ms": 10**17}, "is no time"),
        ({"companies": (CompanyMention(symbol="Apple Inc"),)}, "is no symbol"),
        ({"companies": (CompanyMention(symbol="AAPL", span=(3, 12)),)}, "not within the text"),
        ({"companies": (CompanyMention(symbol="AAPL", span=(3, 3)),)}, "not within the text"),
        ({"companies": (CompanyMention(symbol="AAPL"),) * 21}, "21 companies"),
    ],
)
def test_every_fault_is_said_in_words(changes: dict[str, Any], reason: str) -> None:
    fault = label_fault(label(**changes), LIMITS)
    assert fault is not None
    assert reason in fault
