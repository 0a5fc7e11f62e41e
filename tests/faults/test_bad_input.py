"""Every kind of bad input becomes a dead letter with the right reason, and its neighbours are scored."""

import time
from collections.abc import Callable
from typing import Any, get_args

import pytest

from streamapp.contracts.dead_letter import parse_dead_letter
from streamapp.contracts.messages import DeadLetterReason
from streamapp.settings import IntakeSettings
from tests.harness.accounting import balance
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

NOW_MS = int(time.time() * 1000)
MAX_RECORD_BYTES = 50_000


def good(number: int) -> dict[str, Any]:
    return {"id": f"good-{number}", "text": f"The bank publishes plan {number}", "published_at": NOW_MS}


BAD: tuple[tuple[DeadLetterReason, dict[str, Any]], ...] = (
    ("not_json", {"_raw": b"{half a record"}),
    ("not_json", {"_raw": b""}),
    ("wrong_type", {"_raw": b"[1, 2]"}),
    ("wrong_type", {**good(0), "text": 12}),
    ("wrong_type", {**good(0), "symbols": {"a": 1}}),
    ("text_missing", {"id": "no text", "published_at": NOW_MS}),
    ("text_missing", {**good(0), "text": None}),
    ("text_empty", {**good(0), "text": "  <b></b> "}),
    ("null_value", {"_raw": None}),
    ("bad_utf8", {"_raw": b'{"text": "caf\xe9"}'}),
    ("too_large", {**good(0), "text": "long " * MAX_RECORD_BYTES}),
    ("bad_time", {**good(0), "published_at": "the day before yesterday"}),
    ("fails_alone", {**good(0), "text": "poison in the well"}),
    ("not_finite", {**good(0), "text": "a nonnumber of stocks"}),
)


def test_every_kind_of_bad_input_is_a_dead_letter_with_its_reason_among_scored_neighbours(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster(intake=IntakeSettings(max_record_bytes=MAX_RECORD_BYTES))
    records = []
    for index, (_, bad) in enumerate(BAD):
        records += [good(3 * index), dict(bad), good(3 * index + 1), good(3 * index + 2)]
    test.publish([{**record, "_partition": 1} for record in records])
    worker = workers(test.settings, faults=("poison",)).start().wait_ready()
    wait_until(lambda: balance(test).balanced, 30, "everything taken in")
    letters = test.read("dead-letters")
    origins = {parse_dead_letter(letter.headers).origin.offset: letter for letter in letters}
    assert len(letters) == len(BAD)
    sent = {record.offset: record for record in test.read("news")}
    for index, (reason, _) in enumerate(BAD):
        letter = origins[4 * index + 1]
        told = parse_dead_letter(letter.headers)
        assert (told.reason, told.origin.partition, told.origin.topic) == (reason, 1, test.name("news"))
        assert letter.value == (None if reason == "too_large" else sent[4 * index + 1].value)
    assert {scored.post.id for scored in test.scored()} == {
        f"good-{number}" for number in range(3 * len(BAD))
    }
    assert {reason for reason, _ in BAD} == set(get_args(DeadLetterReason)) - {"bad_activity", "bad_label"}
    assert balance(test).scored_repeats == 0
    assert worker.stop() == 0


def test_garbage_among_the_activity_is_a_dead_letter_and_stops_no_trend(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster()
    worker = workers(test.settings).start().wait_ready()
    garbage = [b"no json", b'{"type": "unknown"}', None, b'{"type": "tick"}', b"\xff\xfe"]
    test.publish(
        [{"_raw": each, "_partition": index % 4} for index, each in enumerate(garbage)], "subject-activity"
    )
    old_ms = NOW_MS // 60_000 * 60_000 - 3_600_000
    test.publish([{**good(index), "published_at": old_ms, "_partition": index % 4} for index in range(8)])
    test.publish([{**good(10 + index), "_partition": index % 4} for index in range(4)])
    wait_until(lambda: any(trend.minute_start_ms == old_ms for trend in test.trends()), 30, "the trend")
    trend = next(trend for trend in test.trends() if trend.minute_start_ms == old_ms)
    assert trend.posts.neutral == 8
    letters = test.read("dead-letters")
    told = [parse_dead_letter(letter.headers) for letter in letters]
    assert {each.reason for each in told} == {"bad_activity"}
    assert {each.origin.topic for each in told} == {test.name("subject-activity")}
    assert sorted(letter.value or b"" for letter in letters) == sorted(each or b"" for each in garbage)
    assert worker.stop() == 0
