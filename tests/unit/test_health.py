"""What the three pages say, and that they answer while the event loop does not."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter

from streamapp.health import LOOP_TICK_LIMIT_SECONDS, HealthServer, Vitals
from tests.fakes import FakeClock

STALL_SECONDS = 60.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vitals(clock: FakeClock) -> Vitals:
    return Vitals(STALL_SECONDS, clock)


@pytest.fixture
def server(vitals: Vitals) -> Iterator[HealthServer]:
    registry = CollectorRegistry()
    Counter("posts", "Posts.", registry=registry).inc(3)
    server = HealthServer(("127.0.0.1", 0), vitals, registry)
    server.start()
    yield server
    server.close()


def get(server: HealthServer, page: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", page)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_a_fresh_process_is_alive_and_not_ready(server: HealthServer) -> None:
    assert get(server, "/livez")[0] == 200
    status, body = get(server, "/readyz")
    assert status == 503
    assert json.loads(body)["waiting_for"] == {"worker": "starting"}


def test_ready_when_every_part_is(vitals: Vitals, server: HealthServer) -> None:
    vitals.block_ready("partitions", "rebalancing")
    vitals.ready("worker")
    assert json.loads(get(server, "/readyz")[1])["waiting_for"] == {"partitions": "rebalancing"}
    vitals.ready("partitions")
    assert get(server, "/readyz")[0] == 200


def test_details_stand_on_the_ready_page(vitals: Vitals, server: HealthServer) -> None:
    vitals.details["provider"] = "CPUExecutionProvider"
    assert json.loads(get(server, "/readyz")[1])["provider"] == "CPUExecutionProvider"


def test_metrics_are_in_prometheus_text(server: HealthServer) -> None:
    status, body = get(server, "/metrics")
    assert status == 200
    assert "posts_total 3.0" in body


def test_an_unknown_page_names_the_known_ones(server: HealthServer) -> None:
    status, body = get(server, "/table/")
    assert status == 404
    assert "/livez" in body


def test_an_event_loop_that_does_not_tick_is_dead(
    vitals: Vitals, clock: FakeClock, server: HealthServer
) -> None:
    vitals.tick()
    clock.now = LOOP_TICK_LIMIT_SECONDS + 1
    status, body = get(server, "/livez")
    assert status == 503
    assert "event loop has not ticked for 11 s" in body
    vitals.tick()
    assert get(server, "/livez")[0] == 200


def test_a_start_that_takes_long_is_alive_until_its_loop_begins(vitals: Vitals, clock: FakeClock) -> None:
    clock.now = 100 * LOOP_TICK_LIMIT_SECONDS
    assert vitals.liveness() == []
    vitals.tick()
    clock.now += LOOP_TICK_LIMIT_SECONDS + 1
    assert vitals.liveness() == ["event loop has not ticked for 11 s"]


def test_a_start_that_is_overdue_is_dead_and_one_that_was_made_is_not(
    vitals: Vitals, clock: FakeClock
) -> None:
    vitals.loop_begins(60.0)
    clock.now = 61.0
    vitals.tick()
    assert vitals.liveness() == ["the start is overdue by 1 s"]
    vitals.ready("worker")
    assert vitals.liveness() == []


def test_an_agent_with_waiting_records_and_no_progress_is_dead(vitals: Vitals, clock: FakeClock) -> None:
    vitals.progress("score")
    vitals.waiting_records = {"score": 5}
    clock.now = STALL_SECONDS
    vitals.tick()
    assert vitals.liveness() == []
    clock.now = STALL_SECONDS + 1
    vitals.tick()
    assert vitals.liveness() == ["agent score has 5 records waiting and acknowledged none for 61 s"]
    vitals.progress("score")
    assert vitals.liveness() == []


def test_an_agent_with_nothing_to_do_is_alive(vitals: Vitals, clock: FakeClock) -> None:
    vitals.progress("score")
    vitals.waiting_records = {"score": 0}
    clock.now = 10 * STALL_SECONDS
    vitals.tick()
    assert vitals.liveness() == []


def test_an_agent_that_never_made_progress_is_not_yet_stalled(vitals: Vitals, clock: FakeClock) -> None:
    vitals.waiting_records = {"score": 5}
    clock.now = 10 * STALL_SECONDS
    vitals.tick()
    assert vitals.liveness() == []


def test_a_closed_server_frees_its_port(vitals: Vitals) -> None:
    first = HealthServer(("127.0.0.1", 0), vitals, CollectorRegistry())
    first.start()
    first.close()
    second = HealthServer(("127.0.0.1", first.port), vitals, CollectorRegistry())
    second.start()
    assert get(second, "/livez")[0] == 200
    second.close()
