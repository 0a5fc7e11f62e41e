"""What intake makes of every raw example, and what the headers of dead letters and redriven records say."""

from pathlib import Path
from typing import cast, get_args

import pytest

from streamapp.contracts.dead_letter import (
    PREFIX,
    dead_letter_headers,
    parse_dead_letter,
    parse_redriven,
    parse_redriven_letter,
)
from streamapp.contracts.messages import Channel, DeadLetterReason
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import InputRules, Rejected, choose_rules, decode_post
from streamapp.core.redrive import DeadLetter, read_dead_letter
from tests.contracts.example_files import (
    INPUT_TOPICS,
    RECORD_MS,
    UUID,
    example_paths,
    first_topic,
    label,
    read_expected,
    read_record,
    topic_of,
)

DEAD_LETTERS = example_paths("dead-letters")
REDRIVEN = example_paths("redriven")
RULES = {topic: InputRules(channel=cast(Channel, topic)) for topic in INPUT_TOPICS}


@pytest.mark.parametrize("path", example_paths(*INPUT_TOPICS), ids=label)
def test_raw_input_becomes_what_its_example_expects(path: Path) -> None:
    topic, expected = topic_of(path), read_expected(path)
    record = RawRecord(
        topic=topic, topic_uuid=UUID, partition=2, offset=7, timestamp_ms=RECORD_MS, value=path.read_bytes()
    )
    rules = InputRules(
        channel=cast(Channel, topic),
        fields=expected.fields,
        max_record_bytes=expected.max_record_bytes,
        max_text_chars=expected.max_text_chars,
    )
    decoded = decode_post(record, rules)
    if isinstance(decoded, Rejected):
        assert decoded.reason == expected.rejected
    else:
        assert decoded == expected.post


@pytest.mark.parametrize("path", DEAD_LETTERS, ids=label)
def test_headers_of_a_dead_letter_are_read_and_written_again_the_same(path: Path) -> None:
    letter = read_record(path).raw_record("dead-letters")
    about = parse_dead_letter(letter.headers)
    failed = again(letter)
    assert tuple(
        dead_letter_headers(
            failed, about.origin.channel, about.reason, about.detail, about.failed_at_ms, about.release
        )
    ) == tuple(header for header in letter.headers)


def again(letter: RawRecord) -> RawRecord:
    """The record that failed, as far as its dead letter still tells."""
    about = parse_dead_letter(letter.headers)
    foreign = tuple(header for header in letter.headers if not header[0].startswith(PREFIX))
    redriven = about.first != about.origin
    if redriven:
        first_headers = [
            (name, value) for name, value in letter.headers if name.startswith(PREFIX + "first-origin-")
        ]
        foreign = (*foreign, *first_headers, (PREFIX + "redriven-at-ms", b"0"))
    size = about.value_bytes
    return RawRecord(
        topic=about.origin.topic,
        topic_uuid=about.origin.topic_uuid,
        partition=about.origin.partition,
        offset=about.origin.offset,
        timestamp_ms=about.origin.timestamp_ms,
        key=letter.key,
        value=letter.value if letter.value is not None or size is None else b"\0" * size,
        headers=foreign,
        redriven=redriven,
    )


@pytest.mark.parametrize("path", DEAD_LETTERS, ids=label)
def test_dead_letter_keeps_the_whole_value_unless_it_was_too_large(path: Path) -> None:
    letter = read_record(path).raw_record("dead-letters")
    read = read_dead_letter(letter)
    assert isinstance(read, DeadLetter)
    if read.about.metadata_only:
        assert letter.value is None
    else:
        assert read.about.value_bytes == (None if letter.value is None else len(letter.value))


@pytest.mark.parametrize("path", DEAD_LETTERS, ids=label)
def test_intake_rejects_the_value_again_for_the_same_reason(path: Path) -> None:
    letter = read_record(path).raw_record("dead-letters")
    about = parse_dead_letter(letter.headers)
    rules = RULES.get(about.first.topic)
    if rules is None or about.reason in ("fails_alone", "not_finite"):
        assert about.reason in ("bad_activity", "bad_label", "fails_alone", "not_finite")
        return
    decoded = decode_post(again(letter), rules)
    assert isinstance(decoded, Rejected)
    assert decoded.reason == about.reason


def test_every_reason_has_a_dead_letter() -> None:
    reasons = {
        parse_dead_letter(read_record(path).raw_record("dead-letters").headers).reason
        for path in DEAD_LETTERS
    }
    assert reasons == set(get_args(DeadLetterReason))


@pytest.mark.parametrize("path", REDRIVEN, ids=label)
def test_redriven_record_is_read_by_the_rules_of_its_first_topic(path: Path) -> None:
    record = read_record(path).raw_record("redriven")
    assert choose_rules(record, RULES) == RULES[first_topic(record)]
    assert parse_redriven_letter(record.headers) is not None


def test_redriven_post_has_the_times_and_channel_of_its_first_origin() -> None:
    (path,) = (path for path in REDRIVEN if path.stem == "fails-alone-a-second-chance")
    record = read_record(path).raw_record("redriven")
    origin = parse_redriven(record.headers)
    assert origin is not None
    rules = choose_rules(record, RULES)
    assert isinstance(rules, InputRules)
    post = decode_post(record, rules)
    assert not isinstance(post, Rejected)
    assert (post.channel, post.event_time_ms, post.flags) == (
        "chat", origin.timestamp_ms, ("time_missing",),
    )  # fmt: skip
