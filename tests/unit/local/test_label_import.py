"""Labels of a file before they are sent: completed from known posts, and of one moment the last is the newest."""

from typing import Any

from streamapp.contracts.messages import Label
from streamapp.core.label_rows import ImportRules
from streamapp.core.label_rules import LabelLimits
from streamapp.local.label_import import KnownText, apart_in_time, completed, prepare_labels
from streamapp.settings import Settings

LIMITS = LabelLimits(topics=frozenset({"macro"}))


def label(post_id: str = "n-1", **changes: Any) -> Label:
    fields: dict[str, Any] = {"sentiment": "negative", "author": "a", "labelled_at_ms": 5, "origin": "import"}
    return Label(post_id=post_id, **{**fields, **changes})


def test_a_known_post_gives_what_the_label_lacks_and_no_more() -> None:
    known = KnownText(text="Known", channel="chat", source="forum")
    assert completed(label(), None) == label()
    whole = completed(label(text="Own"), known)
    assert (whole.text, whole.channel, whole.source) == ("Own", "chat", "forum")


def test_of_labels_of_one_post_and_moment_the_last_in_the_file_is_the_newest() -> None:
    first, last = label(sentiment="negative"), label(sentiment="positive")
    apart = apart_in_time([first, label("n-2"), last, first])
    assert [each.labelled_at_ms for each in apart] == [5, 5, 6, 5]


def test_a_file_that_is_whole_needs_no_broker() -> None:
    content = b"id,text,sentiment,topic\nn-1,x,negative,\nn-2,x,,sports\nn-3,x,,\n"
    rules = ImportRules(author="a", labelled_at_ms=5, channel="news")
    prepared = prepare_labels(Settings(), content, None, rules, LIMITS)
    assert [each.post_id for each in prepared.labels] == ["n-1"]
    assert [(each.where, each.reason) for each in prepared.refused] == [
        ("line 3", "unknown topic 'sports'"),
        ("line 4", "it says nothing: no sentiment, no topic, no companies"),
    ]
