"""When a revision of an alert is due, and what it says."""

from streamapp.core.alert import OpenAlert, Scene, alert_id, describe, next_state, open_alert
from streamapp.core.surge import Baseline, SurgeRules, WindowCounts, assess

RULES = SurgeRules()
PAST = Baseline(0, exposure_minutes=600, stories=80, negative_stories=20)
OPENED = 1_000


def opened(observed: int) -> OpenAlert:
    window = WindowCounts(observed + 2, observed)
    return open_alert(OPENED, window, assess(window, PAST, RULES), RULES)


def test_ids_depend_on_subject_and_opening_minute_alone() -> None:
    assert alert_id("company:A", 5) == alert_id("company:A", 5)
    assert len({alert_id("company:A", 5), alert_id("company:A", 6), alert_id("company:B", 5)}) == 3


def test_a_count_that_grew_by_half_updates_once() -> None:
    alert = opened(12)
    assert next_state(alert, OPENED + 1, WindowCounts(19, 17), RULES) is None
    assert next_state(alert, OPENED + 2, WindowCounts(20, 18), RULES) == "updated"
    assert next_state(alert, OPENED + 3, WindowCounts(20, 18), RULES) is None
    assert alert.revision == 2


def test_a_severity_that_rises_updates_and_never_falls_back() -> None:
    alert = opened(14)
    severities = [alert.severity]
    assert next_state(alert, OPENED + 1, WindowCounts(30, 20), RULES) == "updated"
    severities.append(alert.severity)
    assert next_state(alert, OPENED + 2, WindowCounts(30, 14), RULES) is None
    severities.append(alert.severity)
    assert severities == ["warning", "critical", "critical"]


def test_it_resolves_when_the_expectation_of_its_opening_explains_the_window() -> None:
    alert = opened(14)
    assert next_state(alert, OPENED + 90, WindowCounts(9, 3), RULES) == "resolved"


def test_it_resolves_after_its_longest_duration() -> None:
    alert = opened(14)
    assert next_state(alert, OPENED + RULES.max_alert_minutes, WindowCounts(16, 14), RULES) == "resolved"


def test_a_revision_says_what_was_observed_and_expected() -> None:
    alert = opened(14)
    scene = Scene(
        subject="company:A", minute=OPENED, window=WindowCounts(16, 14), top_stories=(), model_versions=()
    )
    told = describe(alert, "opened", scene, RULES)
    assert (told.window_end_ms - told.window_start_ms, told.window_end_ms) == (3_600_000, told.opened_at_ms)
    assert told.reason == (
        "14 negative stories in 60 min; about 2.0 expected from this subject's past. "
        "88% of stories are negative; 26% expected."
    )
