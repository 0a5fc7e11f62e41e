"""What the demo counts: each record once, the newest revision of everything, and books that balance."""

from streamapp.contracts.raw_record import RawRecord
from streamapp.local.demo_figures import DemoFigures, quantile
from tests.unit.local.demo_records import INPUTS, PREFIX, alert, dead, published, scored, trend


def figures(*records: RawRecord) -> DemoFigures:
    made = DemoFigures(PREFIX, INPUTS)
    for each in records:
        made.apply(each, now_ms=5_000)
    return made


def test_the_books_balance_when_every_input_is_scored_or_dead() -> None:
    made = figures(published(0), published(1), scored(0), dead(1))
    books = made.accounting(published=2)
    assert (books.scored, books.dead, books.balanced) == (1, 1, True)
    assert not made.accounting(published=3).balanced


def test_a_repeated_record_counts_once_and_is_named_as_a_repeat() -> None:
    books = figures(scored(0), scored(0), dead(1), dead(1)).accounting(2)
    assert (books.scored, books.dead, books.repeated_records) == (1, 1, 2)


def test_a_dead_letter_of_our_own_topics_is_shown_but_belongs_to_no_post() -> None:
    made = figures(dead(0, "bad_activity", topic="x-subject-activity"))
    assert made.reasons == {"bad_activity": 1}
    assert made.accounting(0).dead == 0


def test_delays_are_known_whichever_of_post_and_verdict_is_read_first() -> None:
    made = figures(scored(0, at_ms=1_030), published(0, 1_000), published(1, 1_000), scored(1, at_ms=1_005))
    assert made.delays_ms() == [5, 30]
    assert quantile(made.delays_ms(), 0.99) == 30
    assert quantile([], 0.5) is None


def test_the_rate_counts_the_last_five_seconds() -> None:
    made = figures(scored(0, at_ms=1_000), scored(1, at_ms=9_000), scored(2, at_ms=9_500))
    assert made.rate(now_ms=10_000) == 0.4


def test_of_a_minute_the_greatest_revision_counts() -> None:
    made = figures(
        trend("topic:macro", 0, revision=2, stories=9), trend("topic:macro", 0, revision=1, stories=1)
    )
    assert made.trends["topic:macro"][0].stories == 9
    assert made.closed_to_ms() == 60_000


def test_an_alert_revision_is_news_once_and_a_late_older_one_does_not_replace_the_newest() -> None:
    made = DemoFigures(PREFIX, INPUTS)
    assert made.apply(alert(revision=2, state="resolved", observed_negative_stories=1), 1) is not None
    assert made.apply(alert(revision=1), 2) is not None
    assert made.apply(alert(revision=1), 3) is None
    seen = made.alerts["id-company:CLDB"]
    assert (seen.newest.state, seen.height.observed_negative_stories) == ("resolved", 12)
    assert made.open_subjects() == set()
    assert made.alerted_subjects() == {"company:CLDB"}
