"""When a run begins."""

from datetime import UTC, datetime

import pytest

from retrain.core.quality import QualityAlarm
from retrain.core.trigger import (
    RunFacts,
    ScheduleError,
    TriggerRules,
    begins_by_alarm,
    check_rules,
    due,
    fires_at_ms,
    rest_ends_ms,
    wanted,
)

NOW_MS = int(datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 3_600_000
ALARM = QualityAlarm(kind="drift", channel="chat", head="sentiment", reason="labels drifted")


def kind(rules: TriggerRules, facts: RunFacts, now_ms: int = NOW_MS) -> str | None:
    found = due(now_ms, rules, facts)
    return found.kind if found else None


def test_enough_new_labels_begin_a_run_and_one_fewer_does_not() -> None:
    rules = TriggerRules(new_labels=200)
    assert kind(rules, RunFacts(new_labels=200)) == "labels"
    assert kind(rules, RunFacts(new_labels=199)) is None


def test_nothing_is_begun_beside_a_run_not_even_by_hand() -> None:
    assert kind(TriggerRules(new_labels=1), RunFacts(new_labels=9, running=True, asked_by_hand=True)) is None


def test_a_hand_waits_neither_for_labels_nor_for_rest_nor_for_a_pin() -> None:
    facts = RunFacts(asked_by_hand=True, pinned=True, ended_at_ms=NOW_MS, failures_in_a_row=9)
    assert kind(TriggerRules(rest_seconds=3600, fewest_new_labels=50), facts) == "hand"


def test_while_a_champion_is_pinned_nothing_begins_by_itself_and_yet_a_run_is_wanted() -> None:
    rules, facts = TriggerRules(new_labels=1), RunFacts(new_labels=5, pinned=True, alarms=(ALARM,))
    assert kind(rules, facts) is None
    assert wanted(NOW_MS, rules, facts) is not None


def test_falling_quality_begins_a_run_that_has_something_to_learn_from() -> None:
    rules = TriggerRules(fewest_new_labels=20)
    found = due(NOW_MS, rules, RunFacts(new_labels=20, alarms=(ALARM,)))
    assert found is not None
    assert (found.kind, found.reason) == ("quality", "labels drifted")
    assert kind(rules, RunFacts(new_labels=19, alarms=(ALARM,))) is None


def test_quality_is_worth_reading_only_where_an_alarm_would_begin_a_run() -> None:
    rules = TriggerRules(fewest_new_labels=20, rest_seconds=60.0)
    assert begins_by_alarm(NOW_MS, rules, RunFacts(new_labels=20))
    assert not begins_by_alarm(NOW_MS, rules, RunFacts(new_labels=19))
    assert not begins_by_alarm(NOW_MS, rules, RunFacts(new_labels=20, pinned=True))
    assert not begins_by_alarm(NOW_MS, rules, RunFacts(new_labels=20, ended_at_ms=NOW_MS - 1_000))
    assert not begins_by_alarm(NOW_MS, TriggerRules(new_labels=5), RunFacts(new_labels=5))


def test_a_cron_firing_that_was_missed_while_the_service_was_away_counts() -> None:
    rules = TriggerRules(cron="0 3 * * *")
    last_noon = NOW_MS - 24 * HOUR_MS
    assert kind(rules, RunFacts(new_labels=1, decided_at_ms=last_noon)) == "cron"
    assert kind(rules, RunFacts(new_labels=1, decided_at_ms=NOW_MS - 2 * HOUR_MS)) is None


def test_a_service_that_never_ran_waits_for_its_first_firing() -> None:
    rules = TriggerRules(cron="0 13 * * *")
    facts = RunFacts(new_labels=1, watched_since_ms=NOW_MS)
    assert kind(rules, facts) is None
    assert kind(rules, facts, NOW_MS + HOUR_MS) == "cron"


def test_a_firing_is_due_once() -> None:
    rules = TriggerRules(cron="0 12 * * *")
    facts = RunFacts(new_labels=1, decided_at_ms=NOW_MS)
    assert fires_at_ms(rules, facts) == NOW_MS + 24 * HOUR_MS


def test_a_cron_expression_is_read_in_its_time_zone() -> None:
    facts = RunFacts(watched_since_ms=NOW_MS)
    assert (
        fires_at_ms(TriggerRules(cron="0 9 * * *", timezone="America/New_York"), facts)
        == NOW_MS + 2 * HOUR_MS
    )


def test_without_new_labels_a_firing_begins_nothing() -> None:
    facts = RunFacts(new_labels=0, decided_at_ms=NOW_MS - 24 * HOUR_MS)
    assert kind(TriggerRules(cron="0 3 * * *"), facts) is None


def test_failures_in_a_row_double_the_rest_up_to_a_bound() -> None:
    rules = TriggerRules(rest_seconds=60)

    def rest_seconds(failures: int) -> float:
        facts = RunFacts(ended_at_ms=NOW_MS, failures_in_a_row=failures)
        return (rest_ends_ms(rules, facts) - NOW_MS) / 1000

    assert [rest_seconds(failures) for failures in (0, 1, 2, 6, 99)] == [60, 120, 240, 3840, 3840]


def test_a_run_rests_before_the_next_begins_by_itself() -> None:
    rules = TriggerRules(new_labels=1, rest_seconds=60)
    facts = RunFacts(new_labels=5, ended_at_ms=NOW_MS)
    assert kind(rules, facts, NOW_MS + 59_999) is None
    assert kind(rules, facts, NOW_MS + 60_000) == "labels"


@pytest.mark.parametrize(
    ("cron", "timezone", "says"),
    [
        ("0 3 * *", "UTC", "Wrong number of fields"),
        ("0 25 * * *", "UTC", "higher than the maximum"),
        ("0 3 * * 1-5", "UTC", "days of the week as names"),
        ("0 3 * * *", "Mars/Olympus", "Mars/Olympus"),
    ],
)
def test_a_schedule_that_cannot_be_used_is_refused_with_its_reason(
    cron: str, timezone: str, says: str
) -> None:
    with pytest.raises(ScheduleError, match=says):
        check_rules(TriggerRules(cron=cron, timezone=timezone))


def test_a_date_that_never_comes_begins_nothing() -> None:
    assert fires_at_ms(TriggerRules(cron="0 3 30 2 *"), RunFacts(watched_since_ms=NOW_MS)) is None
