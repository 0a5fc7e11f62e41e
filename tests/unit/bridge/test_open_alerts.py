"""Which surges Alertmanager is told of, folded from revisions of alerts."""

from typing import Any

import msgspec
import pytest

from streamapp.bridge.open_alerts import (
    ABANDONED_AFTER_MS,
    ENDED_REMEMBERED,
    MAX_ANNOTATION_CHARS,
    TELL_ENDS_AGAIN_MS,
    OpenAlerts,
    shown,
)
from streamapp.contracts.messages import Alert, AlertState, Severity, StoryEvidence

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000
VALID_MS = 4 * MINUTE_MS
NOW = "2026-09-21T14:13:20.000Z"
IN_FOUR_MINUTES = "2026-09-21T14:17:20.000Z"


def alert(
    revision: int,
    state: AlertState = "updated",
    severity: Severity = "warning",
    alert_id: str = "a1",
    **changes: Any,
) -> Alert:
    made = Alert(
        alert_id=alert_id,
        revision=revision,
        state=state,
        subject="company:AAPL",
        severity=severity,
        opened_at_ms=NOW_MS - 5 * MINUTE_MS,
        window_start_ms=NOW_MS - 65 * MINUTE_MS,
        window_end_ms=NOW_MS - 5 * MINUTE_MS,
        expected_negative_stories=1.25,
        observed_negative_stories=9,
        observed_stories=12,
        expected_share=0.1,
        observed_share=0.75,
        p_value=1e-7,
        reason="9 negative stories where 1.2 were expected",
        model_versions=("tiny-1",),
    )
    return msgspec.structs.replace(made, **changes)


def folded(*revisions: Alert, backfill: bool = False, published_at_ms: int = NOW_MS) -> OpenAlerts:
    open_alerts = OpenAlerts()
    for revision in revisions:
        open_alerts.apply(revision, backfill, published_at_ms)
    return open_alerts


def told(open_alerts: OpenAlerts, now_ms: int = NOW_MS) -> dict[tuple[str, str], str]:
    """When each (subject, severity) ends."""
    notices = open_alerts.notices(now_ms, VALID_MS)
    ends = {(each["labels"]["subject"], each["labels"]["severity"]): each["endsAt"] for each in notices}
    assert len(ends) == len(notices), "two notices with the same labels"
    return ends


WARNING, CRITICAL = ("company:AAPL", "warning"), ("company:AAPL", "critical")


def test_open_alert_is_told_until_it_is_resolved_and_its_end_once() -> None:
    open_alerts = folded(alert(1, "opened"))
    for _ in range(3):
        assert told(open_alerts) == {WARNING: IN_FOUR_MINUTES}
        open_alerts.delivered()
    open_alerts.apply(alert(2, "resolved"), False, NOW_MS)
    assert told(open_alerts) == {WARNING: NOW}
    open_alerts.delivered()
    assert told(open_alerts) == {}


def test_end_is_told_again_while_alertmanager_takes_nothing() -> None:
    open_alerts = folded(alert(1, "opened"))
    open_alerts.delivered()
    open_alerts.apply(alert(2, "resolved"), False, NOW_MS)
    day_later_ms = NOW_MS + 24 * 60 * MINUTE_MS
    assert [told(open_alerts, now) for now in (NOW_MS, day_later_ms)] == [
        {WARNING: NOW},
        {WARNING: NOW.replace("21T", "22T")},
    ]


def test_labels_stay_the_same_over_updates() -> None:
    open_alerts = folded(alert(1, "opened"))
    before = open_alerts.notices(NOW_MS, VALID_MS)[0]
    open_alerts.apply(alert(2, observed_negative_stories=20, reason="20 negative stories"), False, NOW_MS)
    (after,) = open_alerts.notices(NOW_MS, VALID_MS)
    assert after["labels"] == before["labels"] == {
        "alertname": "NegativeSurge",
        "subject": "company:AAPL",
        "subject_kind": "company",
        "subject_name": "AAPL",
        "severity": "warning",
        "audience": "desk",
    }  # fmt: skip
    assert after["startsAt"] == before["startsAt"] == "2026-09-21T14:08:20.000Z"
    assert (after["annotations"]["revision"], after["annotations"]["description"]) == (
        "2",
        "20 negative stories",
    )


def test_older_and_repeated_revisions_change_nothing() -> None:
    open_alerts = folded(alert(3, reason="newest"), alert(2, reason="older"), alert(3, reason="repeated"))
    (notice,) = open_alerts.notices(NOW_MS, VALID_MS)
    assert notice["annotations"]["description"] == "newest"


def test_revisions_that_a_crash_repeats_do_not_open_a_resolved_alert_again() -> None:
    life = [alert(1, "opened"), alert(2), alert(3, "resolved")]
    open_alerts = folded(*life)
    open_alerts.delivered()
    for revision in life:
        open_alerts.apply(revision, False, NOW_MS)
        assert told(open_alerts) == {}


def test_only_so_many_ended_alerts_are_remembered() -> None:
    open_alerts = OpenAlerts()
    for number in range(ENDED_REMEMBERED + 5):
        open_alerts.apply(alert(1, "resolved", alert_id=f"a{number}"), False, NOW_MS)
    assert len(open_alerts._finished) == ENDED_REMEMBERED
    assert "a4" not in open_alerts._finished


def test_alert_that_turns_critical_is_told_as_critical_and_its_warning_ended() -> None:
    open_alerts = folded(alert(1, "opened"))
    open_alerts.delivered()
    open_alerts.apply(alert(2, severity="critical"), False, NOW_MS)
    assert told(open_alerts) == {CRITICAL: IN_FOUR_MINUTES, WARNING: NOW}
    open_alerts.delivered()
    assert told(open_alerts) == {CRITICAL: IN_FOUR_MINUTES}


def test_warning_that_alertmanager_never_heard_of_is_not_ended() -> None:
    assert told(folded(alert(1, "opened"), alert(2, severity="critical"))) == {CRITICAL: IN_FOUR_MINUTES}


def test_end_of_an_alert_whose_severity_changed_unheard_ends_what_was_told() -> None:
    open_alerts = folded(alert(1, "opened"))
    open_alerts.delivered()
    open_alerts.apply(alert(2, severity="critical"), False, NOW_MS)
    open_alerts.apply(alert(3, "resolved", severity="critical"), False, NOW_MS)
    assert told(open_alerts) == {WARNING: NOW}


def test_end_is_left_out_where_the_next_surge_of_the_subject_is_open_already() -> None:
    open_alerts = folded(alert(1, "opened"))
    open_alerts.delivered()
    open_alerts.apply(alert(2, "resolved"), False, NOW_MS)
    open_alerts.apply(alert(1, "opened", alert_id="a2"), False, NOW_MS)
    assert told(open_alerts) == {WARNING: IN_FOUR_MINUTES}


def test_backfill_is_never_told() -> None:
    open_alerts = folded(alert(1, "opened"), alert(2), alert(3, "resolved"), backfill=True)
    assert (len(open_alerts), told(open_alerts)) == (0, {})


def test_surge_that_lasts_into_the_present_is_told_from_then_on() -> None:
    open_alerts = folded(alert(1, "opened"), backfill=True)
    open_alerts.apply(alert(2), False, NOW_MS)
    assert told(open_alerts) == {WARNING: IN_FOUR_MINUTES}


def test_end_that_comes_as_backfill_ends_what_was_told() -> None:
    open_alerts = folded(alert(1, "opened"))
    open_alerts.delivered()
    open_alerts.apply(alert(2, "resolved"), True, NOW_MS)
    assert told(open_alerts) == {WARNING: NOW}


@pytest.mark.parametrize(("age_ms", "ends"), [(TELL_ENDS_AGAIN_MS, 1), (TELL_ENDS_AGAIN_MS + 1, 0)])
def test_after_a_restart_only_recent_ends_are_told_again(age_ms: int, ends: int) -> None:
    open_alerts = folded(alert(1, "opened"), alert(2, "resolved"), published_at_ms=NOW_MS - age_ms)
    open_alerts.recovered(NOW_MS)
    assert len(told(open_alerts)) == ends


def test_what_is_open_is_recovered_however_long_ago_it_was_published() -> None:
    open_alerts = folded(alert(1, "opened"), published_at_ms=NOW_MS - 20 * TELL_ENDS_AGAIN_MS)
    open_alerts.recovered(NOW_MS)
    assert told(open_alerts) == {WARNING: IN_FOUR_MINUTES}


@pytest.mark.parametrize(("age_ms", "given_up"), [(ABANDONED_AFTER_MS, 0), (ABANDONED_AFTER_MS + 1, 1)])
def test_alert_that_nobody_revised_for_a_day_is_given_up(age_ms: int, given_up: int) -> None:
    open_alerts = folded(alert(1, "opened", window_end_ms=NOW_MS - age_ms))
    assert open_alerts.give_up_abandoned(NOW_MS) == given_up
    assert len(open_alerts) == len(told(open_alerts)) == 1 - given_up


def test_alert_of_a_post_from_the_near_future_does_not_end_before_it_starts() -> None:
    opened_at_ms = NOW_MS + 9 * MINUTE_MS
    (notice,) = folded(alert(1, "opened", opened_at_ms=opened_at_ms)).notices(NOW_MS, VALID_MS)
    assert notice["startsAt"] == notice["endsAt"] == "2026-09-21T14:22:20.000Z"


def test_hostile_headlines_reach_the_pager_without_control_characters_and_short() -> None:
    story = StoryEvidence(
        headline="\x1b[2Jcleared\u202e" + "x" * 2000,
        post_id="p",
        channel="chat",
        first_seen_ms=NOW_MS,
        copies=3,
        story_fingerprint="0" * 16,
    )
    (notice,) = folded(alert(1, "opened", top_stories=(story, story))).notices(NOW_MS, VALID_MS)
    stories = notice["annotations"]["stories"]
    assert stories.startswith("3x �[2Jcleared�xxx")
    assert len(stories) == MAX_ANNOTATION_CHARS
    assert shown("one\ntwo\r") == "one\ntwo�"
