"""A record of `labels` is a label to keep or a bad one with its reason; its text is cleaned like every other."""

from retrain.core.label_intake import BadLabel, lacks_its_post, read_label
from retrain.core.labels import KnownPost, StoredRecord
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import CompanyMention, Label
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.label_rules import LabelLimits
from tests.unit.retrain.label_records import UUID, label

LIMITS = LabelLimits(topics=frozenset({"macro"}))
KNOWN = {"n-1": KnownPost(text="Known", channel="news")}


def record(value: Label | bytes | None, timestamp_ms: int = 7_000) -> RawRecord:
    raw = encode(value) if isinstance(value, Label) else value
    return RawRecord(
        topic="labels", topic_uuid=UUID, partition=1, offset=4, timestamp_ms=timestamp_ms, value=raw
    )


def test_a_good_label_keeps_its_position_and_the_time_of_its_record() -> None:
    read = read_label(record(label()), LIMITS, {})
    assert isinstance(read, StoredRecord)
    assert (read.position.offset, read.received_at_ms, read.label.sentiment) == (4, 7_000, "negative")
    without_time = read_label(record(label(at_ms=5), timestamp_ms=-1), LIMITS, {})
    assert isinstance(without_time, StoredRecord)
    assert without_time.received_at_ms == 5


def test_what_cannot_be_used_keeps_the_record_and_says_why() -> None:
    for value, reason in (
        (None, "null value"),
        (b"\xff", "malformed"),
        (b'{"type":"label"}', "missing required field"),
        (b'{"type":"label","post_id":"a","author":"b","labelled_at_ms":1,"origin":"oracle"}', "oracle"),
        (label(topic="sports"), "unknown topic"),
        (label(text="<br>"), "text is empty"),
        (label("n-2", text=None), "neither a text"),
    ):
        read = read_label(record(value), LIMITS, KNOWN)
        assert isinstance(read, BadLabel)
        assert reason in read.reason
        assert read.record.value == (encode(value) if isinstance(value, Label) else value)


def test_a_known_post_stands_in_for_text_and_channel() -> None:
    assert isinstance(read_label(record(label(text=None, channel=None)), LIMITS, KNOWN), StoredRecord)


def test_spans_are_dropped_where_cleaning_moved_the_text() -> None:
    spanned = (CompanyMention(symbol="NVDA", span=(0, 5)),)
    moved = read_label(record(label(text="<b>$NVDA</b>", companies=spanned)), LIMITS, {})
    kept = read_label(record(label(text="$NVDA", companies=spanned)), LIMITS, {})
    assert isinstance(moved, StoredRecord)
    assert isinstance(kept, StoredRecord)
    assert (moved.label.text, moved.label.companies) == ("$NVDA", (CompanyMention(symbol="NVDA"),))
    assert kept.label.companies == spanned


def test_only_labels_without_text_or_channel_need_their_post() -> None:
    assert lacks_its_post(record(label(text=None))) == "n-1"
    assert lacks_its_post(record(label(channel=None))) == "n-1"
    assert lacks_its_post(record(label())) is None
    assert lacks_its_post(record(b"no json")) is None
