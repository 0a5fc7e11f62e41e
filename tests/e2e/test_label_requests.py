"""Label requests and self-labels through real workers on a real Kafka."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streamapp.contracts.codec import decode
from streamapp.contracts.messages import Label
from streamapp.settings import EventTimeSettings, LabelSettings, SurgeSettings
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.verdict import asking_faults, read_outcome
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

MINUTE_MS = 60_000
SURGE = SurgeSettings(window_minutes=3, warm_up_minutes=2)
EVENT_TIME = EventTimeSettings(lateness_seconds=60.0, backfill_after_seconds=1e9)
# Every tenth post is audited: enough to see some among hundreds.
LABELS = LabelSettings(
    requests_per_hour=1_000,
    requests_per_source_and_hour=1_000,
    expected_posts_per_hour=2_000,
    audit_share=0.2,
)
NEGATIVE = ("fraud", "default", "bankruptcy", "losses", "lawsuit", "crash")
SUBJECT_WORDS = ("harbour", "orchard", "violin", "glacier", "lantern", "saddle", "meadow", "quarry")


def stream(start_ms: int) -> list[dict[str, Any]]:
    """Eight quiet minutes, then three full of bad news about one company, then a quiet end; doubtful posts between.

    `profit losses` weighs as much on the good as on the bad side, so the tiny model is in doubt.
    """
    posts: list[dict[str, Any]] = []

    def add(minute: int, second: int, text: str, symbols: list[str]) -> None:
        number = len(posts)
        posts.append(
            {
                "id": f"p{number}",
                "text": f"{text} {number * 7919} {SUBJECT_WORDS[number % 8]} {SUBJECT_WORDS[number // 8 % 8]}",
                "published_at": start_ms + minute * MINUTE_MS + second * 1000,
                "symbols": symbols,
                "source": f"wire-{number % 3}",
                "_partition": number % 4,
            }
        )

    for minute in range(14):
        for second in range(0, 60, 4):
            add(minute, second, f"council opens {SUBJECT_WORDS[second % 8]} calendar", ["MSFT"])
        add(minute, 58, "profit losses at the mill", [])
        if minute in (8, 9, 10):
            for second in range(30):
                word, other = NEGATIVE[second % 6], NEGATIVE[(second // 6 + 1) % 6]
                add(
                    minute,
                    second * 2,
                    f"{word} {other} {SUBJECT_WORDS[second % 8]} supplier {second}",
                    ["AAPL"],
                )
    return posts


def wait_for_the_alert(test: TestCluster, posts: list[dict[str, Any]]) -> None:
    number = len(posts)
    test.publish(posts)
    wait_until(lambda: len(test.scored()) >= number, 40, "all posts scored")
    wait_until(lambda: any(alert.state == "opened" for alert in test.alerts()), 30, "the alert")


def test_doubtful_audited_and_alert_linked_posts_are_asked_about_and_a_second_delivery_draws_the_same_audit(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster(event_time=EVENT_TIME, surge=SURGE, labels=LABELS)
    worker = workers(test.settings).start().wait_ready()
    wait_for_the_alert(test, stream(int(time.time() * 1000) // MINUTE_MS * MINUTE_MS - 20 * MINUTE_MS))
    scored = {each.post.id: each for each in test.scored()}
    requests = test.label_requests()
    drawn = Counter(request.drawn for request in requests)
    assert set(drawn) >= {"audit", "uncertain", "alert"}
    keys = [record.key for record in test.read("label-requests")]
    assert keys == [request.post_id.encode() for request in requests]
    assert asking_faults(read_outcome(test)) == []
    assert len({(request.post_id, request.drawn) for request in requests}) == len(requests)
    assert 0.03 * len(scored) < drawn["audit"] < 0.2 * len(scored)
    for request in requests:
        post = scored[request.post_id]
        if request.drawn == "alert":
            assert (request.text, request.verdict) == (post.post.text[:120], None)
        elif request.drawn == "audit":
            assert (request.text, request.verdict) == (post.post.text, None)
        else:
            assert (request.text, request.verdict) == (post.post.text, post.verdict)
            assert request.model_version == post.model_version
    (opened,) = (alert for alert in test.alerts() if alert.state == "opened")
    assert {request.post_id for request in requests if request.drawn == "alert"} == {
        story.post_id for story in opened.top_stories
    }
    assert all("profit losses" in request.text for request in requests if request.drawn == "uncertain")
    assert worker.stop() == 0

    # A group of its own is given every record again, as after a crash that committed nothing.
    again = msgspec.structs.replace(
        test.settings, worker=msgspec.structs.replace(test.settings.worker, group=f"{test.prefix}again")
    )
    worker = workers(again).start().wait_ready()
    wait_until(lambda: len(test.scored()) >= 2 * len(scored), 40, "all posts scored again")
    assert worker.stop() == 0
    audits = Counter(request for request in test.label_requests() if request.drawn == "audit")
    assert set(audits) == {request for request in requests if request.drawn == "audit"}
    assert set(audits.values()) == {2}


def test_sure_posts_are_labelled_by_rule_where_that_is_switched_on_and_the_audited_ones_are_not(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    settings = msgspec.structs.replace(
        LABELS, self_labels=True, self_label_confidence=0.9, self_labels_per_hour=100
    )
    test = cluster(event_time=EVENT_TIME, surge=SURGE, labels=settings)
    worker = workers(test.settings).start().wait_ready()
    wait_for_the_alert(test, stream(int(time.time() * 1000) // MINUTE_MS * MINUTE_MS - 20 * MINUTE_MS))
    assert worker.stop() == 0
    scored = {each.post.id: each for each in test.scored()}
    labels = [decode(record.value, Label) for record in test.read("labels")]
    assert labels
    for label in labels:
        post = scored[label.post_id]
        verdict = post.verdict.sentiment
        assert verdict is not None
        assert (label.text, label.sentiment, label.origin) == (post.post.text, verdict.label, "rule")
        assert max(verdict.negative, verdict.neutral, verdict.positive) >= 0.9
    audited = {request.post_id for request in test.label_requests() if request.drawn == "audit"}
    assert not audited & {label.post_id for label in labels}


def test_who_asks_nobody_sends_nothing(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster(event_time=EVENT_TIME, surge=SURGE, labels=LabelSettings(enabled=False))
    worker = workers(test.settings).start().wait_ready()
    wait_for_the_alert(test, stream(int(time.time() * 1000) // MINUTE_MS * MINUTE_MS - 20 * MINUTE_MS))
    assert worker.stop() == 0
    assert test.read("label-requests") == []
    assert test.read("labels") == []
