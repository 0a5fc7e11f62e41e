"""Any bytes, any JSON and any mapping give a post or a rejection, never an exception."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamapp.contracts.codec import decode, encode
from streamapp.contracts.messages import Post
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import InputFields, InputRules, Rejected, decode_post

KEYS = st.sampled_from(["id", "text", "published_at", "source", "symbols", "a", "a.b"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**14), 10**14)
    | st.floats()
    | st.text(st.characters())
    | st.datetimes().map(lambda moment: moment.isoformat() + "Z")
)
JSON_VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5)
)
OBJECTS = st.dictionaries(KEYS, JSON_VALUES, max_size=7)
PATHS = st.sampled_from(["id", "text", "published_at", "source", "symbols", "a.b", "a.b.a", ".", ""])
FIELDS = st.builds(
    InputFields,
    id=st.none() | PATHS,
    text=st.lists(PATHS, min_size=1, max_size=3).map(tuple),
    time=st.none() | PATHS,
    time_format=st.sampled_from(["auto", "rfc3339", "epoch_s", "epoch_ms"]),
    source=st.none() | PATHS,
    symbols=st.none() | PATHS,
)
RULES = st.builds(
    InputRules,
    channel=st.just("news"),
    fields=st.just(InputFields()) | FIELDS,
    max_record_bytes=st.integers(1, 1_000_000),
    max_text_chars=st.integers(1, 50),
    future_tolerance_ms=st.integers(0, 10**9),
)


def check(value: bytes | None, rules: InputRules, timestamp_ms: int = 1_790_000_000_000) -> None:
    record = RawRecord(
        topic="news", topic_uuid="U", partition=0, offset=0, timestamp_ms=timestamp_ms, key=None, value=value
    )
    decoded = decode_post(record, rules)
    assert isinstance(decoded, Post | Rejected)
    if isinstance(decoded, Post):
        assert decoded.text
        assert len(decoded.text) <= rules.max_text_chars
        assert 0 < len(decoded.id) <= 256
        assert len(decoded.symbols) <= 20
        if timestamp_ms >= 0:
            assert decoded.event_time_ms <= timestamp_ms + rules.future_tolerance_ms
        assert decode(encode(decoded), Post) == decoded
    else:
        msgspec.json.encode(decoded)


@given(st.none() | st.binary(max_size=300), RULES)
def test_any_bytes_give_a_post_or_a_rejection(value: bytes | None, rules: InputRules) -> None:
    check(value, rules)


@given(OBJECTS, RULES, st.integers(-1, 4 * 10**12))
def test_any_json_gives_a_post_or_a_rejection(
    tree: dict[str, Any], rules: InputRules, timestamp_ms: int
) -> None:
    check(json.dumps(tree).encode(), rules, timestamp_ms)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_damaged_post_gives_a_post_or_a_rejection(noise: bytes, at: int) -> None:
    sound = b'{"id": 1, "text": "Oil \\ud83d\\ude80 falls", "published_at": "2026-09-21T12:00:00Z", "symbols": ["A"]}'
    check(sound[:at] + noise + sound[at + len(noise) // 2 :], InputRules(channel="news"))
