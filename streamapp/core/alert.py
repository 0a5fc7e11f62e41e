"""The life of a surge as people see it: opened, updated, resolved. Says when a revision is due and what it tells.

Every revision is a pure function of closed minutes; ids and revisions come out the same after any crash.
"""

from hashlib import blake2b

from msgspec import Struct

from streamapp.contracts.messages import Alert, AlertState, Severity, StoryEvidence
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.surge import Assessment, SurgeRules, WindowCounts, negative_binomial_tail
from streamapp.core.version_past import UNCHANGED, ScaleChange, VersionWeights

TOP_STORIES = 5
UPDATE_GROWTH = 1.5
CRITICAL_PROBABILITY_FACTOR = 1e-4
CRITICAL_RATIO = 5.0


class OpenAlert(Struct, array_like=True):
    """What must be remembered of an alert. The expectation is that of its opening: a surge does not judge itself.

    Counts are on the scale of the opening's window, whose model versions are `weights` (none: on any scale).
    """

    opened_minute: int
    revision: int
    severity: Severity
    expected_negative_stories: float
    count_shape: float
    expected_share: float
    reported_negative_stories: int
    weights: dict[str, float] = {}


class Scene(Struct, frozen=True, kw_only=True):
    """What is known at one closed minute, for the wording of a revision."""

    subject: str
    minute: int
    window: WindowCounts
    top_stories: tuple[StoryEvidence, ...]
    model_versions: tuple[str, ...]
    change: ScaleChange = UNCHANGED


def alert_id(subject: str, opened_minute: int) -> str:
    """16 hex digits from the subject and the minute that opened the alert."""
    return blake2b(f"{subject}\n{opened_minute}".encode(), digest_size=8).hexdigest()


def open_alert(
    minute: int,
    window: WindowCounts,
    assessment: Assessment,
    rules: SurgeRules,
    weights: VersionWeights | None = None,
) -> OpenAlert:
    """The alert that a surge found at `minute` begins; `weights`: the versions that counted its window."""
    expected = assessment.expected_negative_stories
    return OpenAlert(
        opened_minute=minute,
        revision=1,
        severity=severity_of(window.negative_stories, expected, assessment.count_probability, rules),
        expected_negative_stories=expected,
        count_shape=assessment.count_shape,
        expected_share=assessment.expected_share,
        reported_negative_stories=window.negative_stories,
        weights=weights or {},
    )


def severity_of(observed: int, expected: float, probability: float, rules: SurgeRules) -> Severity:
    """`critical`: at least 5 times the expectation (taken as one story or more) and 10,000 times less likely than
    an alert must be; else `warning`.
    """
    unlikely = probability <= rules.false_alarm_probability * CRITICAL_PROBABILITY_FACTOR
    return "critical" if unlikely and observed >= CRITICAL_RATIO * max(expected, 1.0) else "warning"


def next_state(
    alert: OpenAlert, minute: int, window: WindowCounts, rules: SurgeRules, change: ScaleChange = UNCHANGED
) -> AlertState | None:
    """What the closed `minute` does to an open alert; None: nothing to tell. Updates the alert's memory.

    `change` leads from the opening's scale to the window's.

    Resolved: the expectation of the opening explains the window again, or the longest duration is over. Updated:
    the severity rose, or the count grew by half since the last revision.
    """
    observed = window.negative_stories
    expected = expected_now(alert, change)
    probability = _probability(alert, window, change)
    over = probability > rules.resolve_probability or outlasted(alert, minute, rules)
    severity = severity_of(observed, expected, probability, rules)
    rises = severity == "critical" and alert.severity == "warning"
    if not over and not rises and observed < UPDATE_GROWTH * change.count * alert.reported_negative_stories:
        return None
    alert.revision += 1
    alert.reported_negative_stories = max(round(observed / change.count), alert.reported_negative_stories)
    if over:
        return "resolved"
    if rises:
        alert.severity = severity
    return "updated"


def expected_now(alert: OpenAlert, change: ScaleChange) -> float:
    """The opening's expectation of negative stories on the scale of now."""
    return alert.expected_negative_stories * change.count


def _probability(alert: OpenAlert, window: WindowCounts, change: ScaleChange) -> float:
    shape = alert.count_shape
    if change.spread:
        shape = 1 / (1 / shape + change.spread**2)
    return negative_binomial_tail(window.negative_stories, expected_now(alert, change), shape)


def outlasted(alert: OpenAlert, minute: int, rules: SurgeRules) -> bool:
    """Whether an alert has lasted so long that its level counts as the subject's new normal."""
    return minute - alert.opened_minute >= rules.max_alert_minutes


def describe(alert: OpenAlert, state: AlertState, scene: Scene, rules: SurgeRules) -> Alert:
    """The revision as a message."""
    window = scene.window
    end_ms = (scene.minute + 1) * MINUTE_MS
    total = max(window.stories, window.negative_stories)
    return Alert(
        alert_id=alert_id(scene.subject, alert.opened_minute),
        revision=alert.revision,
        state=state,
        subject=scene.subject,
        severity=alert.severity,
        opened_at_ms=(alert.opened_minute + 1) * MINUTE_MS,
        window_start_ms=end_ms - rules.window_minutes * MINUTE_MS,
        window_end_ms=end_ms,
        expected_negative_stories=round(expected_now(alert, scene.change), 4),
        observed_negative_stories=window.negative_stories,
        observed_stories=total,
        expected_share=round(_expected_share(alert, scene), 4),
        observed_share=round(window.negative_stories / total, 4) if total else 0.0,
        p_value=float(f"{_probability(alert, window, scene.change):.3g}"),
        reason=_reason(alert, state, scene, rules),
        top_stories=scene.top_stories,
        model_versions=scene.model_versions,
    )


def _reason(alert: OpenAlert, state: AlertState, scene: Scene, rules: SurgeRules) -> str:
    observed = scene.window.negative_stories
    stories = "story" if observed == 1 else "stories"
    counts = f"{observed} negative {stories} in {rules.window_minutes} min"
    expected = f"about {expected_now(alert, scene.change):.1f} expected from this subject's past"
    if state == "resolved":
        if outlasted(alert, scene.minute, rules):
            hours = rules.max_alert_minutes / 60
            return f"After {hours:.0f} h this level counts as normal: {counts}; {expected}."
        return f"Back to what is usual: {counts}; {expected}."
    total = max(scene.window.stories, observed)
    share = observed / total if total else 0.0
    return f"{counts}; {expected}. {share:.0%} of stories are negative; {_expected_share(alert, scene):.0%} expected."


def _expected_share(alert: OpenAlert, scene: Scene) -> float:
    return min(1.0, alert.expected_share * scene.change.share)
