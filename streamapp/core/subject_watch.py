"""The trend of one subject: takes activities, closes minutes, decides surges.

Knows one subject and nothing of ticks: the caller says which minutes are closed.
"""

from copy import copy

from msgspec import Struct

from streamapp.contracts.messages import (
    Activity,
    Alert,
    AlertState,
    SentimentCounts,
    StoryEvidence,
    TrendMinute,
)
from streamapp.core.alert import (
    TOP_STORIES,
    OpenAlert,
    Scene,
    describe,
    expected_now,
    next_state,
    open_alert,
    outlasted,
)
from streamapp.core.event_time import HOUR_MS, MINUTE_MS, minute_of
from streamapp.core.open_minute import OpenMinute
from streamapp.core.story import LEADER_AGE_MS, Leader, StoryLeaders, format_fingerprint
from streamapp.core.surge import Baseline, ScaledPast, SurgeRules, WindowCounts, assess, may_surge, past_of
from streamapp.core.version_past import (
    UNCHANGED,
    CommonScale,
    PastOrigins,
    ScaleChange,
    Tally,
    VersionWeights,
    change_between,
    settled,
    weights_of,
)

KEPT_EVIDENCE = 6


class ClosedMinute(Struct):
    """A decided minute while it is kept. `late` posts are part of the posts and of nothing else."""

    negative: int = 0
    neutral: int = 0
    positive: int = 0
    stories: int = 0
    negative_stories: int = 0
    expected: float = 0.0
    revision: int = 0
    late: int = 0
    tallies: tuple[Tally, ...] = ()
    late_versions: tuple[str, ...] = ()

    @property
    def versions(self) -> tuple[str, ...]:
        """The model versions that scored the minute, sorted."""
        if len(self.tallies) == 1:
            return (self.tallies[0].version,)
        return tuple(sorted({tally.version for tally in self.tallies})) or self.late_versions


class SubjectWatch:
    """State and decisions of one subject.

    `offset` is that of the last message which changed it; `applied` the last applied offset per source partition;
    `decided_before` the minute after the last decided one and `watched_since` where the past begins, both None before
    the first decision. `origins` says which model versions counted the baseline; `scale`, shared by all subjects of
    a partition, puts versions on one scale. `_only` spares looking at every minute of the window: (version, last
    minute with posts) where one version counted both window and baseline, None where that is not so or not known.
    """

    __slots__ = (
        "_only", "alert", "applied", "baseline", "closed", "decided_before", "last_seen_hour", "leaders", "offset",
        "open", "origins", "rules", "scale", "subject", "watched_since",
    )  # fmt: skip

    def __init__(self, subject: str, rules: SurgeRules, baseline: Baseline, scale: CommonScale) -> None:
        self.subject = subject
        self.rules = rules
        self.offset = -1
        self.applied: dict[tuple[str, int], int] = {}
        self.open: dict[int, OpenMinute] = {}
        self.closed: dict[int, ClosedMinute] = {}
        self.leaders = StoryLeaders()
        self.baseline = baseline
        self.origins = PastOrigins()
        self.scale = scale
        self._only: tuple[str, int] | None = None
        self.alert: OpenAlert | None = None
        self.decided_before: int | None = None
        self.watched_since: int | None = None
        self.last_seen_hour = -1

    def is_new(self, activity: Activity) -> bool:
        """Whether the activity's source offset is above the last applied one; marks it as applied."""
        source = activity.source_offset
        key = (source.topic_uuid, source.partition)
        if source.offset <= self.applied.get(key, -1):
            return False
        self.applied[key] = source.offset
        return True

    def add(self, activity: Activity, fingerprint: int) -> int:
        """Count an activity in its open minute, which is returned."""
        minute = minute_of(activity.event_time_ms)
        opened = self.open.get(minute)
        if opened is None:
            opened = self.open[minute] = OpenMinute()
        opened.add(activity, fingerprint)
        self._seen(activity.event_time_ms)
        return minute

    def add_late(self, activity: Activity) -> TrendMinute:
        """Count an activity in its closed minute, which must still be kept: posts only, nothing is re-decided.

        A minute that was silent so far gets its first record, revision 1, without stories.
        """
        minute = minute_of(activity.event_time_ms)
        closed = self.closed.get(minute)
        if closed is None:
            version = activity.model_version
            expected = self._past({version: 1.0}).expected_per_minute(self.rules)
            closed = self.closed[minute] = ClosedMinute(expected=expected, late_versions=(version,))
        if activity.sentiment == "negative":
            closed.negative += 1
        elif activity.sentiment == "neutral":
            closed.neutral += 1
        else:
            closed.positive += 1
        closed.late += 1
        closed.revision += 1
        self._seen(activity.event_time_ms)
        return self._trend(minute, closed)

    def _seen(self, event_time_ms: int) -> None:
        hour = event_time_ms // HOUR_MS
        if hour > self.last_seen_hour:
            self.last_seen_hour = hour

    def close_before(self, minute: int, watched_since: int) -> list[TrendMinute | Alert]:
        """Close and decide, in order, every minute below `minute` that had activity, or any while an alert is open.

        The past of a subject begins at `watched_since`, where the partition's does: it was silent until it appeared.
        """
        if self.watched_since is None:
            self.watched_since = self.baseline.until_minute = watched_since
        told: list[TrendMinute | Alert] = []
        while (due := self._next_due()) is not None and due < minute:
            told.extend(self._close(due))
        return told

    def _next_due(self) -> int | None:
        if self.alert is not None:
            return self.decided_before
        return min(self.open) if self.open else None

    def _close(self, minute: int) -> list[TrendMinute | Alert]:
        told: list[TrendMinute | Alert] = []
        self._forget_before(minute - self.rules.window_minutes + 1)
        opened = self.open.pop(minute, None)
        if opened is not None:
            self.leaders.forget_before(minute * MINUTE_MS - LEADER_AGE_MS)
            stories, negative_stories = self._count_stories(opened)
            tallies = opened.tallies
            if self._only is not None:
                only = opened.only_version == self._only[0]
                self._only = (self._only[0], minute) if only else None
            self.closed[minute] = closed = ClosedMinute(
                negative=opened.negative,
                neutral=opened.neutral,
                positive=opened.positive,
                stories=stories,
                negative_stories=negative_stories,
                expected=self._expected_per_minute(tallies),
                revision=1,
                tallies=settled(tallies, stories, negative_stories),
            )
            told.append(self._trend(minute, closed))
            self._prune_evidence(self._evidence_since(minute))
        told.extend(self._decide(minute))
        self.decided_before = minute + 1
        return told

    def _forget_before(self, minute: int) -> None:
        """Minutes that leave the window join the past, in order; during an alert scaled down (winsorised)."""
        leaving = sorted(past for past in self.closed if past < minute)
        if leaving:
            scale = self._past_scale()
            for past in leaving:
                closed = self.closed.pop(past)
                stories, negative = closed.stories * scale, closed.negative_stories * scale
                self.baseline.advance(past + 1, self.rules)
                self.origins.join(self.baseline, stories, negative, closed.tallies)
                self.baseline.include(past, stories, negative, self.rules)
        if self._only is not None and self._only[1] < minute:
            self._only = None
        self.baseline.advance(minute, self.rules)

    def _past_scale(self) -> float:
        if self.alert is None:
            return 1.0
        observed = self._window().negative_stories
        expected = expected_now(self.alert, self._change(self.alert, self._weights()))
        accepted = self.rules.winsor_ratio * max(expected, 1.0)
        return min(1.0, accepted / observed) if observed else 1.0

    def _count_stories(self, opened: OpenMinute) -> tuple[int, int]:
        """Join the minute's entries to the leaders; new stories and stories that turned negative in this minute."""
        negatives_weight = opened.negatives.stories_per_entry()
        others_weight = opened.others.stories_per_entry()
        stories = negative_stories = 0.0
        for fingerprint, key, copies, negative in opened.in_order():
            weight = negatives_weight if negative else others_weight
            leader, is_new = self.leaders.join(fingerprint, key[0], copies)
            if is_new:
                stories += weight
            if negative and not leader.negative:
                leader.negative = True
                negative_stories += weight
        for headline in opened.headlines:
            told = self.leaders.find(headline.fingerprint)
            if told is not None and told.negative and told.evidence is None:
                told.evidence = headline.evidence
        return round(stories), round(negative_stories)

    def _evidence_since(self, minute: int) -> int:
        first = self.alert.opened_minute if self.alert is not None else minute
        return (first - self.rules.window_minutes + 1) * MINUTE_MS

    def _told_leaders(self, since_ms: int) -> list[Leader]:
        """Leaders with evidence: those told since then first, by copies, then by age."""
        told = [leader for leader in self.leaders.leaders if leader.evidence is not None]
        told.sort(key=lambda one: (one.last_ms < since_ms, -one.copies, one.first_ms, one.fingerprint))
        return told

    def _prune_evidence(self, since_ms: int) -> None:
        for leader in self._told_leaders(since_ms)[KEPT_EVIDENCE:]:
            leader.evidence = None

    def _window(self) -> WindowCounts:
        minutes = self.closed.values()
        return WindowCounts(
            sum(closed.stories for closed in minutes), sum(closed.negative_stories for closed in minutes)
        )

    def _weights(self) -> VersionWeights:
        if self._only is not None:
            return {self._only[0]: 1.0}
        weights = weights_of(closed.tallies for closed in self.closed.values())
        if len(weights) == 1 and self.origins.is_of(version := next(iter(weights))):
            self._only = (version, max(minute for minute, closed in self.closed.items() if closed.tallies))
        return weights

    def _expected_per_minute(self, tallies: tuple[Tally, ...]) -> float:
        if self._only is not None:
            return self.baseline.expected_per_minute(self.rules)
        return self._past(weights_of([tallies])).expected_per_minute(self.rules)

    def _past(self, weights: VersionWeights) -> ScaledPast:
        if self._only is not None and len(weights) == 1 and self._only[0] in weights:
            return past_of(self.baseline)
        return self.scale.past(self.subject, self.baseline, self.origins, weights)

    def _change(self, alert: OpenAlert, weights: VersionWeights) -> ScaleChange:
        """From the scale of the alert's opening to that of the window; the same while it has no posts."""
        if not weights or not alert.weights or weights == alert.weights:
            return UNCHANGED
        return change_between(self._past(alert.weights), self._past(weights), self.rules)

    def _decide(self, minute: int) -> list[Alert]:
        window = self._window()
        if self.alert is None and not may_surge(window, self.rules):
            return []
        weights = self._weights()
        if self.alert is None:
            assessment = assess(window, self._past(weights), self.rules)
            if not assessment.is_surge:
                return []
            self.alert = open_alert(minute, window, assessment, self.rules, weights)
            return [self._tell("opened", minute, window)]
        change = self._change(self.alert, weights)
        state = next_state(self.alert, minute, window, self.rules, change)
        if state is None:
            return []
        told = self._tell(state, minute, window, change)
        if state == "resolved":
            if outlasted(self.alert, minute, self.rules):
                self._accept_as_normal(window)
            self.alert = None
        return [told]

    def _accept_as_normal(self, window: WindowCounts) -> None:
        before = copy(self.baseline)
        self.baseline.accept_as_normal(window, self.rules)
        tallies = tuple(tally for closed in self.closed.values() for tally in closed.tallies)
        self.origins.join(
            before,
            self.baseline.stories - before.stories,
            self.baseline.negative_stories - before.negative_stories,
            tallies,
        )

    def _tell(
        self, state: AlertState, minute: int, window: WindowCounts, change: ScaleChange = UNCHANGED
    ) -> Alert:
        assert self.alert is not None
        since_ms = self._evidence_since(minute)
        stories = [
            StoryEvidence(
                headline=leader.evidence.headline,
                post_id=leader.evidence.post_id,
                channel=leader.evidence.channel,
                first_seen_ms=leader.first_ms,
                copies=leader.copies,
                story_fingerprint=format_fingerprint(leader.fingerprint),
            )
            for leader in self._told_leaders(since_ms)
            if leader.evidence is not None and leader.last_ms >= since_ms
        ]
        decided = (closed for closed in self.closed.values() if closed.negative_stories)
        scene = Scene(
            subject=self.subject,
            minute=minute,
            window=window,
            top_stories=tuple(stories[:TOP_STORIES]),
            model_versions=tuple(sorted({version for closed in decided for version in closed.versions})),
            change=change,
        )
        return describe(self.alert, state, scene, self.rules)

    def _trend(self, minute: int, closed: ClosedMinute) -> TrendMinute:
        return TrendMinute(
            subject=self.subject,
            minute_start_ms=minute * MINUTE_MS,
            revision=closed.revision,
            posts=SentimentCounts(closed.negative, closed.neutral, closed.positive),
            stories=closed.stories,
            negative_stories=closed.negative_stories,
            expected_negative_stories=round(closed.expected, 6),
            late_posts=closed.late,
            model_versions=closed.versions,
        )
