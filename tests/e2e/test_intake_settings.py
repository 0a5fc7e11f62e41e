"""The user's own topics: mapped fields, where reading begins, and headers that travel."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from streamapp.cluster.kafka_clients import open_producer
from streamapp.settings import FieldMapping, InputSettings
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker


def test_nested_fields_of_a_foreign_format_become_a_post_and_its_headers_travel(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster()
    fields = FieldMapping(
        id="meta.key",
        text=("article.title", "article.lead"),
        time="meta.at",
        time_format="epoch_s",
        source="meta.wire",
        symbols="tags",
    )
    inputs = (InputSettings(topic=test.name("news"), channel="news", fields=fields),)
    worker = workers(msgspec.structs.replace(test.settings, inputs=inputs)).start().wait_ready()
    now_seconds = int(time.time())
    value = {
        "meta": {"key": 7, "at": now_seconds, "wire": "wire-a"},
        "article": {"title": "Profit grows &amp; grows", "lead": "More <b>soon</b>"},
        "tags": "AAPL, MSFT",
    }
    producer = open_producer(test.settings.broker)
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    producer.send(test.name("news"), value=msgspec.json.encode(value), headers=[("traceparent", trace)]).get(
        timeout=30
    )
    producer.close()
    (scored,) = wait_until(test.scored, 30, "the article scored")
    post = scored.post
    assert (post.id, post.text, post.source) == ("7", "Profit grows & grows. More soon", "wire-a")
    assert (post.event_time_ms, post.symbols) == (now_seconds * 1000, ("AAPL", "MSFT"))
    assert [record.headers for record in test.read("scored-posts")] == [(("traceparent", trace),)]
    assert worker.stop() == 0


@pytest.mark.parametrize(("start_at", "expected"), [("earliest", 6), ("latest", 2), ("time", 4)])
def test_reading_begins_where_the_settings_say_and_only_the_first_time(
    start_at: str, expected: int, cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    test = cluster()

    def publish(first: int) -> None:
        now_ms = int(time.time() * 1000)
        test.publish(
            [
                {"id": f"s{i}", "text": "profit", "published_at": now_ms, "_partition": i % 4}
                for i in (first, first + 1)
            ]
        )

    publish(0)
    time.sleep(1.1)
    moment = datetime.now(UTC).isoformat()
    publish(2)
    begin = moment if start_at == "time" else start_at
    inputs = (InputSettings(topic=test.name("news"), channel="news", start_at=begin),)
    worker = workers(msgspec.structs.replace(test.settings, inputs=inputs)).start().wait_ready()
    # Killed before anything was acknowledged on an empty start: what comes meanwhile must not be skipped.
    worker.kill()
    publish(4)
    worker.start().wait_ready()

    def ids() -> set[str]:
        return {scored.post.id for scored in test.scored()}

    wait_until(lambda: len(ids()) >= expected, 30, f"{expected} posts scored")
    assert sorted(ids()) == [f"s{i}" for i in range(6 - expected, 6)]
    assert worker.stop() == 0
