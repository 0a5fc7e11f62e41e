"""Which subjects the gauge of open surges names."""

from prometheus_client import Gauge

from streamapp import metrics
from streamapp.agents.current_series import CurrentSeries
from streamapp.agents.open_surges import MAX_COMPANIES, OpenSurges
from streamapp.contracts.messages import Alert, AlertState


def shown() -> dict[str, float]:
    return {
        sample.labels["subject"]: sample.value for sample in next(iter(metrics.SURGE_OPEN.collect())).samples
    }


def alert(state: AlertState, alert_id: str = "a1", subject: str = "company:AAPL") -> Alert:
    return Alert(
        alert_id=alert_id, revision=1, state=state, subject=subject, severity="warning", opened_at_ms=0,
        window_start_ms=0, window_end_ms=1, expected_negative_stories=1.0, observed_negative_stories=9,
        observed_stories=9, expected_share=0.1, observed_share=1.0, p_value=0.0, reason="r",
    )  # fmt: skip


def test_a_company_leaves_the_page_when_its_surge_ends_and_a_topic_goes_to_zero() -> None:
    surges = OpenSurges()
    surges.show([("company:AAPL", "a1"), ("topic:earnings", "a2")])
    assert shown() == {"company:AAPL": 1.0, "topic:earnings": 1.0}
    surges.show([])
    assert shown() == {"topic:earnings": 0.0}
    metrics.SURGE_OPEN.clear()


def test_at_most_fifty_companies_are_named_and_those_shown_stay() -> None:
    surges = OpenSurges()
    first = [(f"company:Z{number:02}", f"z{number}") for number in range(MAX_COMPANIES - 1)]
    surges.show(first)
    surges.show([*first, ("company:A1", "x1"), ("company:A2", "x2"), ("topic:rates", "x3")])
    assert {subject for subject, _ in first} <= shown().keys()
    assert shown().keys() - {subject for subject, _ in first} == {"company:A1", "topic:rates"}
    assert metrics.SURGES_UNNAMED._value.get() == 1
    metrics.SURGE_OPEN.clear()


def test_a_backfill_surge_is_not_shown_until_a_revision_is_of_the_present() -> None:
    surges = OpenSurges()
    surges.note(alert("opened"), backfill=True)
    surges.show([("company:AAPL", "a1")])
    assert shown() == {}
    surges.note(alert("updated"), backfill=True)
    surges.show([("company:AAPL", "a1")])
    assert shown() == {}
    surges.note(alert("updated"), backfill=False)
    surges.show([("company:AAPL", "a1")])
    assert shown() == {"company:AAPL": 1.0}
    metrics.SURGE_OPEN.clear()


def test_label_values_that_hold_no_more_leave_the_page() -> None:
    gauge = Gauge("current_series_under_test", "x", ["topic", "partition"], registry=None)
    series = CurrentSeries(gauge)
    series.replace({("news", "0"): 3.0, ("news", "1"): 4.0})
    series.replace({("news", "1"): 5.0})
    assert [(s.labels, s.value) for s in next(iter(gauge.collect())).samples] == [
        ({"topic": "news", "partition": "1"}, 5.0)
    ]
