"""A worker's health pages are read as anyone would, and silence is an answer."""

from prometheus_client import CollectorRegistry, Gauge

from streamapp.health import HealthServer, Vitals
from streamapp.local.worker_pages import WorkerPages, values


def test_readiness_and_metrics_come_from_the_pages() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("lag_records", "Lag.", ["topic", "partition"], registry=registry)
    gauge.labels("news", "0").set(3)
    gauge.labels("chat", "0").set(4)
    vitals = Vitals(60)
    server = HealthServer(("127.0.0.1", 0), vitals, registry)
    server.start()
    try:
        pages = WorkerPages(f"http://127.0.0.1:{server.port}")
        assert pages.readiness()[0] is False
        vitals.ready("worker")
        assert pages.readiness()[0] is True
        assert values(pages.metrics(), "lag_records", topic="news") == [3.0]
        assert sum(values(pages.metrics(), "lag_records")) == 7.0
    finally:
        server.close()


def test_where_nothing_answers_it_is_not_ready_and_tells_nothing() -> None:
    pages = WorkerPages("http://127.0.0.1:9")
    assert pages.readiness() == (False, {})
    assert pages.metrics() == {}
