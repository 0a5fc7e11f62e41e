"""Whether a demo went as it must, and what it says at its end."""

from pathlib import Path

from streamapp.local.demo_figures import Accounting, DemoFigures
from streamapp.local.demo_plan import SUBJECTS_TO_ALERT, plan_demo
from streamapp.local.demo_report import alert_report, differences, make_report, next_steps, report_lines
from tests.unit.local.demo_records import INPUTS, PREFIX, alert, dead, published, scored

BOTH = set(SUBJECTS_TO_ALERT)


def books(published: int = 3, scored: int = 2, dead: int = 1) -> Accounting:
    return Accounting(published=published, scored=scored, dead=dead, duplicate_texts=0, repeated_records=0)


def test_nothing_differs_when_exactly_the_two_subjects_alerted_and_the_books_balance() -> None:
    assert differences(books(), BOTH, replayed=3) == []


def test_a_missing_alert_and_one_too_many_are_named() -> None:
    found = differences(books(), {"company:CLDB", "company:TLAN"}, replayed=3)
    assert found == ["no alert about topic:energy_oil", "an alert about company:TLAN, which should be calm"]


def test_lost_posts_are_named() -> None:
    assert "do not balance" in differences(books(scored=1), BOTH, replayed=3)[0]
    assert "the broker took 3" in differences(books(), BOTH, replayed=4)[0]


def test_the_summary_tells_the_identity_the_alerts_and_what_differs() -> None:
    figures = DemoFigures(PREFIX, INPUTS)
    for each in (published(0), published(1), scored(0), dead(1), alert()):
        figures.apply(each, now_ms=41_000)
    alerts = [alert_report(seen, 1_000, "17:20") for seen in figures.alerts.values()]
    counts = {"broker": 2, "replayed": 2}
    report = make_report(
        figures, plan_demo(75, "x-"), counts, alerts, {"stream": 75.04}, {"version": "tiny-1"}
    )
    assert not report.succeeded
    assert report.publish_to_verdict_ms_p50 == 10
    text = "\n".join(line.plain for line in report_lines(report, {"CLDB": "Calderon Bank"}.get))
    assert "2 in = 1 scored + 1 dead letters" in text
    assert "company:CLDB (Calderon Bank): critical, opened 17:20 (seen 40 s into the stream)" in text
    assert "no alert about topic:energy_oil" in text


def test_with_a_broker_that_stays_up_the_next_steps_name_its_settings_file() -> None:
    steps = next_steps("streamapp", Path("/somewhere/settings.json"), "http://127.0.0.1:1")
    assert all("/somewhere/settings.json" in command or "127.0.0.1" in command for command, _ in steps)
    assert any("demo --stay" in command for command, _ in next_steps("streamapp", None, ""))
