"""What intake makes of every kind of input, edge by edge."""

import json
from typing import Any

import pytest

from streamapp.contracts.dead_letter import dead_letter_headers, redriven_headers
from streamapp.contracts.messages import Post
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import InputFields, InputRules, Rejected, choose_rules, decode_post

RECORD_MS = 1_790_000_000_000
RULES = InputRules(channel="news")


def record(value: Any, **changes: Any) -> RawRecord:
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    fields: dict[str, Any] = {"topic": "news", "topic_uuid": "U", "partition": 2, "offset": 7}
    return RawRecord(**{**fields, "timestamp_ms": RECORD_MS, "value": raw, **changes})


def post(value: Any, rules: InputRules = RULES, **changes: Any) -> Post:
    decoded = decode_post(record(value, **changes), rules)
    assert isinstance(decoded, Post), decoded
    return decoded


def rejected(value: Any, rules: InputRules = RULES, **changes: Any) -> Rejected:
    decoded = decode_post(record(value, **changes), rules)
    assert isinstance(decoded, Rejected), decoded
    return decoded


def with_fields(**fields: Any) -> InputRules:
    return InputRules(channel="news", fields=InputFields(**fields))


def test_our_own_format_needs_no_mapping() -> None:
    value = {
        "id": "n-1",
        "text": "Rates &amp; yields <b>rise</b>",
        "published_at": "2026-09-21T12:00:00Z",
        "source": "wire",
        "symbols": ["aapl", "$MSFT"],
    }
    assert post(value) == Post(
        id="n-1",
        channel="news",
        text="Rates & yields rise",
        event_time_ms=1_789_992_000_000,
        source="wire",
        symbols=("AAPL", "MSFT"),
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null_value"),
        (b"", "not_json"),
        (b"plain words", "not_json"),
        (b'{"text": "cut off', "not_json"),
        (b'{"text": "a"} trailing', "not_json"),
        (b'{"text": "a", "x": NaN}', "not_json"),
        (b'{"text": "a", "x": 1e999}', "not_json"),
        (b'{"text": "a", "x": ' + b"9" * 5000 + b"}", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"a":' * 100_000, "not_json"),
        (b'{"text": "\xff\xfe"}', "bad_utf8"),
        (b"\xff\xfe{\x00}\x00", "bad_utf8"),
        (b'{"text": "\xed\xa0\x80"}', "bad_utf8"),
        (b"null", "wrong_type"),
        (b"3", "wrong_type"),
        (b'["text"]', "wrong_type"),
        (b'{"text": 5}', "wrong_type"),
        (b'{"text": ["a"]}', "wrong_type"),
        (b'{"text": "a", "id": {}}', "wrong_type"),
        (b'{"text": "a", "id": true}', "wrong_type"),
        (b'{"text": "a", "source": ["b"]}', "wrong_type"),
        (b'{"text": "a", "symbols": 5}', "wrong_type"),
        (b'{"text": "a", "symbols": [5]}', "wrong_type"),
        (b"{}", "text_missing"),
        (b'{"text": null}', "text_missing"),
        (b'{"text": ""}', "text_empty"),
        (b'{"text": " \\u200b<br/>&nbsp; "}', "text_empty"),
        (b'{"text": "\\ud83d"}', "text_empty"),
        (b'{"text": "a", "published_at": "yesterday"}', "bad_time"),
        (b'{"text": "a", "published_at": true}', "bad_time"),
        (b'{"text": "a", "published_at": {}}', "bad_time"),
        (b'{"text": "a", "published_at": -1e300}', "bad_time"),
        (b'{"text": "a", "published_at": "NaN"}', "bad_time"),
        (b'{"text": "a", "published_at": "1e999"}', "bad_time"),
    ],
)
def test_bad_input_is_a_rejection_with_its_reason(value: bytes | None, reason: str) -> None:
    assert rejected(value).reason == reason


def test_a_rejection_names_the_field_and_never_quotes_the_text() -> None:
    found = rejected({"title": "secret words", "body": 5}, with_fields(text=("title", "body")))
    assert found.detail == "field body is a number, not a string"


def test_a_record_over_the_limit_counts_key_and_headers() -> None:
    rules = InputRules(channel="news", max_record_bytes=100)
    assert rejected({"text": "a" * 90}, rules).reason == "too_large"
    assert rejected({"text": "a"}, rules, key=b"k" * 90).reason == "too_large"
    assert rejected({"text": "a"}, rules, headers=(("traceparent", b"h" * 90),)).reason == "too_large"
    assert post({"text": "a" * 50}, rules).text == "a" * 50


def test_half_an_emoji_costs_the_emoji_and_not_the_post() -> None:
    assert post(b'{"text": "to the moon \\ud83d", "id": "a\\udc00"}').text == "to the moon"
    assert post(b'{"text": "whole \\ud83d\\ude80 kept"}').text == "whole \U0001f680 kept"


def test_a_byte_order_mark_is_forgiven() -> None:
    assert post(b'\xef\xbb\xbf{"text": "a"}').text == "a"


def test_text_over_the_limit_is_cut_and_flagged() -> None:
    rules = InputRules(channel="news", max_text_chars=10)
    long = post({"text": "abcdefghi jkl", "published_at": RECORD_MS}, rules)
    assert (long.text, long.flags) == ("abcdefghi", ("text_truncated",))
    markup = post({"text": "<p>abc</p>" * 9, "published_at": RECORD_MS}, rules)
    assert markup.flags == ("text_truncated",)
    assert post({"text": "<b></b>  abcdefghij", "published_at": RECORD_MS}, rules).flags == ()


@pytest.mark.parametrize(
    ("title", "body", "joined"),
    [
        ("Oil falls", "OPEC meets", "Oil falls. OPEC meets"),
        ("Oil falls.", "OPEC meets", "Oil falls. OPEC meets"),
        ("<h1>Oil falls!</h1>", "OPEC meets", "Oil falls! OPEC meets"),
        ("", "OPEC meets", "OPEC meets"),
        ("Oil falls", None, "Oil falls"),
    ],
)
def test_several_text_fields_are_joined_without_a_double_stop(
    title: str, body: str | None, joined: str
) -> None:
    assert post({"title": title, "body": body}, with_fields(text=("title", "body"))).text == joined


def test_paths_reach_into_objects_and_keys_with_dots_win() -> None:
    rules = with_fields(text=("article.title",), id="meta.id", source="meta.from.name")
    nested = post({"article": {"title": "a"}, "meta": {"id": 5, "from": {"name": "wire"}}}, rules)
    assert (nested.text, nested.id, nested.source) == ("a", "5", "wire")
    assert post({"article.title": "dotted", "article": {"title": "nested"}}, rules).text == "dotted"
    assert post({"article.title": "a", "meta": {"from.name": "half dotted"}}, rules).source == "half dotted"
    assert rejected({"article": "flat"}, rules).reason == "text_missing"


@pytest.mark.parametrize("given", [None, "", "  ", "\x00\x07"])
def test_a_missing_id_is_derived_from_the_source_offset(given: str | None) -> None:
    assert post({"text": "a", "id": given}).id == "U:2:7"


@pytest.mark.parametrize(
    ("given", "kept"),
    [(17, "17"), (2.5, "2.5"), (0, "0"), ("a\nb\x00", "ab"), (" x ", "x"), (10**40, str(10**40))],
)
def test_ids_may_be_numbers_and_lose_control_characters(given: Any, kept: str) -> None:
    assert post({"text": "a", "id": given}).id == kept


def test_a_long_id_is_shortened_and_stays_distinct() -> None:
    first, second = (post({"text": "a", "id": "x" * 300 + end}).id for end in "ab")
    assert len(first) == len(second) == 256
    assert first != second


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("AAPL, msft;TSLA $brk.b", ("AAPL", "MSFT", "TSLA", "BRK.B")),
        (["$aapl", "AAPL", None, " 700.hk ", "^gspc"], ("AAPL", "700.HK", "^GSPC")),
        (["much-too-long-for-a-ticker", "a b", "", "$", "<b>"], ()),
        ([f"S{n}" for n in range(50)], tuple(f"S{n}" for n in range(20))),
        (None, ()),
        ("", ()),
    ],
)
def test_symbols_are_upper_case_plain_and_bounded(given: Any, kept: tuple[str, ...]) -> None:
    assert post({"text": "a", "symbols": given}).symbols == kept


@pytest.mark.parametrize("given", [None, "", " "])
def test_a_missing_time_is_the_records_own_and_flagged(given: str | None) -> None:
    late = post({"text": "a", "published_at": given})
    assert (late.event_time_ms, late.flags) == (RECORD_MS, ("time_missing",))


@pytest.mark.parametrize(
    "given", ["2099-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 1e300, 10**25, RECORD_MS + 600_001]
)
def test_a_time_ahead_of_the_record_is_replaced_and_flagged(given: Any) -> None:
    ahead = post({"text": "a", "published_at": given})
    assert (ahead.event_time_ms, ahead.flags) == (RECORD_MS, ("time_in_future",))


def test_ten_minutes_ahead_and_any_time_behind_are_taken_as_they_are() -> None:
    for moment in (RECORD_MS + 600_000, RECORD_MS, 1_000, 0):
        rules = with_fields(time="t", time_format="epoch_ms")
        assert post({"text": "a", "t": moment}, rules).event_time_ms == moment
        assert post({"text": "a", "t": moment}, rules).flags == ()


def test_a_record_without_a_timestamp_needs_a_time_in_its_payload() -> None:
    assert post({"text": "a", "published_at": 1_000_000}, timestamp_ms=-1).event_time_ms == 1_000_000_000
    assert rejected({"text": "a"}, timestamp_ms=-1).reason == "bad_time"


def redriven(original: RawRecord, **changes: Any) -> RawRecord:
    letter = dead_letter_headers(original, "news", "fails_alone", "", RECORD_MS, "1")
    fields: dict[str, Any] = {
        "topic": "redriven",
        "topic_uuid": "R",
        "partition": 0,
        "offset": 0,
        "redriven": True,
    }
    fields["headers"] = tuple(redriven_headers(letter, RECORD_MS + 5))
    return RawRecord(**{**fields, "timestamp_ms": RECORD_MS + 10**9, "value": original.value, **changes})


def test_a_redriven_record_gives_the_post_that_its_first_origin_would_have_given() -> None:
    for value in (
        {"text": "a"},
        {"text": "a", "published_at": "2099-01-01T00:00:00Z"},
        {"text": "a", "id": "b"},
    ):
        original = record(value)
        assert decode_post(redriven(original), RULES) == decode_post(original, RULES)


def test_the_rules_of_a_redriven_record_are_those_of_its_first_topic() -> None:
    chat = InputRules(channel="chat")
    rules = {"news": RULES, "chat": chat}
    assert choose_rules(redriven(record({"text": "a"}, topic="chat")), rules) is chat
    assert choose_rules(record({"text": "a"}), rules) is RULES
    gone = choose_rules(redriven(record({"text": "a"}, topic="old-feed")), rules)
    assert isinstance(gone, Rejected)
    assert "old-feed" in gone.detail


def test_headers_that_claim_an_origin_count_only_on_our_own_topic() -> None:
    forged = redriven(
        record({"text": "a"}), redriven=False, topic="news", topic_uuid="N", partition=1, offset=3
    )
    assert isinstance(decoded := decode_post(forged, RULES), Post)
    assert decoded.id == "N:1:3"


def test_a_redriven_record_without_usable_headers_is_rejected() -> None:
    assert rejected({"text": "a"}, redriven=True).reason == "wrong_type"
    half = tuple(redriven(record({"text": "a"})).headers[-1:])
    assert "first-origin" in rejected({"text": "a"}, redriven=True, headers=half).detail
