"""All trend state of one `subject-activity` partition: applies its log in offset order, tells what came of it, and
hands out the state records that make it durable.

Every result is a function of the log alone, so a crash, a replay or another cut of the batches changes nothing.
"""

from collections import defaultdict

import msgspec
from msgspec import Struct

from streamapp.contracts.messages import (
    Activity,
    ActivityBatch,
    Alert,
    SubjectActivity,
    SwapPairs,
    Tick,
    TrendMinute,
)
from streamapp.core.alert import alert_id
from streamapp.core.event_time import HOUR_MS, MINUTE_MS, EventTimeRules, SourceClock, SourceClocks, minute_of
from streamapp.core.story import parse_fingerprint
from streamapp.core.subject_state import StateError, decode_subject, encode_subject, included_offset
from streamapp.core.subject_watch import SubjectWatch
from streamapp.core.surge import Baseline, SurgeRules
from streamapp.core.swap_pairs import SavedLink, SwapLinks
from streamapp.core.version_past import CommonScale

# No subject starts with a NUL: subjects are `topic:...` and `company:...`.
FRONTIERS_KEY = b"\x00frontiers"
FRONTIERS_VERSION = 1
SILENT_HOURS = 30 * 24


class WatchRules(Struct, frozen=True, kw_only=True):
    """Event time and surge rules of a partition."""

    event_time: EventTimeRules = EventTimeRules()
    surge: SurgeRules = SurgeRules()


class FrontiersRecord(Struct, array_like=True):
    """How far a partition is. `offset` is the last applied one of `subject-activity`; `watched_since` the first
    minute that ever closed with activity, where every subject's past begins; `links` what workers counted at swaps.
    """

    version: int
    offset: int
    watched_since: int | None
    greatest_ms: int | None
    watermark_ms: int | None
    clocks: list[SourceClock]
    links: list[SavedLink] = []


class WatchStatistics(Struct):
    """Counters since the process started (a replay counts again); for metrics only."""

    activities: int = 0
    repeated_activities: int = 0
    late_posts: int = 0
    too_late_posts: int = 0
    swap_pairs: int = 0
    last_swap: tuple[str, str] | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FrontiersRecord)


class PartitionWatch:
    """Trend state of one partition.

    Use: `load` every record of the state partition in any order, `finish_loading`, then `apply` messages in offset
    order from the last acknowledged one on. After a batch: send what `apply` returned, then the records of
    `take_changes` in their order (frontiers last, after the others were acknowledged), then acknowledge.
    """

    def __init__(self, rules: WatchRules) -> None:
        self._rules = rules
        self._clocks = SourceClocks(rules.event_time)
        self._watched_since: int | None = None
        self._offset = -1
        self._links = SwapLinks()
        self._scale = CommonScale(self._links)
        self._subjects: dict[str, SubjectWatch] = {}
        self._loaded: dict[str, tuple[int, bytes]] = {}
        self._open_minutes: defaultdict[int, set[str]] = defaultdict(set)
        self._seen_hours: defaultdict[int, set[str]] = defaultdict(set)
        self._alerting: set[str] = set()
        self._changed: set[str] = set()
        self._dropped: set[str] = set()
        self._unwritten = False
        self.statistics = WatchStatistics()

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one state record. Of one key the greatest included offset wins, whatever the order.

        Tombstones are ignored: `finish_loading` drops silent subjects by the rule that wrote them, so a stalled
        worker's old tombstone cannot remove a living subject. StateError: a record that cannot be read.
        """
        if value is None:
            return
        if key == FRONTIERS_KEY:
            self._load_frontiers(value)
            return
        # A log that was not compacted yet holds several records a subject: only the newest is worth decoding.
        subject = key.decode("utf-8")
        offset = included_offset(subject, value)
        known = self._loaded.get(subject)
        if known is None or offset > known[0]:
            self._loaded[subject] = (offset, value)

    def _load_frontiers(self, value: bytes) -> None:
        try:
            record = _decoder.decode(value)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise StateError(f"frontiers: {error}") from error
        if record.version != FRONTIERS_VERSION:
            raise StateError(f"frontiers: version {record.version}, this release reads {FRONTIERS_VERSION}")
        if record.offset > self._offset:
            self._offset = record.offset
            self._watched_since = record.watched_since
            self._clocks.restore(record.clocks, record.greatest_ms, record.watermark_ms)
            self._links.restore(record.links)

    def finish_loading(self) -> None:
        """Decode the newest records, build the indexes; once, after the last record. StateError as in `load`."""
        for subject, (_, raw) in self._loaded.items():
            self._subjects[subject] = decode_subject(subject, raw, self._rules.surge, self._scale)
        self._loaded.clear()
        for subject, watch in self._subjects.items():
            for minute in watch.open:
                self._open_minutes[minute].add(subject)
            self._seen_hours[watch.last_seen_hour].add(subject)
            if watch.alert is not None:
                self._alerting.add(subject)
            # A crash may have kept this state and lost the frontiers that go with it.
            if self._watched_since is None:
                self._watched_since = watch.watched_since
        hour = self._watermark_hour()
        if hour is not None:
            self._drop_silent(hour, self._offset)
        self._dropped.clear()

    def apply(self, offset: int, message: SubjectActivity) -> list[TrendMinute | Alert]:
        """Apply one message of the log and return what it caused, in order.

        At or below the offset of the frontiers record nothing happens; above it, a subject whose own state includes
        the offset skips it. ValueError, before anything changed: an activity's fingerprint is not 16 hex digits.
        """
        if offset <= self._offset:
            return []
        told: list[TrendMinute | Alert] = []
        if isinstance(message, ActivityBatch):
            told = self._apply_activities(offset, message)
        elif isinstance(message, Tick):
            told = self._apply_tick(offset, message)
        else:
            self._note_swap(message)
        self._offset = offset
        self._unwritten = True
        return told

    def _apply_activities(self, offset: int, batch: ActivityBatch) -> list[TrendMinute | Alert]:
        fingerprints = [parse_fingerprint(activity.story_fingerprint) for activity in batch.activities]
        watch = self._subjects.get(batch.subject)
        if watch is not None and offset <= watch.offset:
            return []
        if watch is None:
            watch = self._begin(batch)
            if watch is None:
                return []
        told: list[TrendMinute | Alert] = []
        changed = False
        hour = watch.last_seen_hour
        closed_before = self._clocks.closed_before
        for activity, fingerprint in zip(batch.activities, fingerprints, strict=True):
            if not watch.is_new(activity):
                self.statistics.repeated_activities += 1
                continue
            changed = True
            self.statistics.activities += 1
            if closed_before is None or activity.event_time_ms >= closed_before * MINUTE_MS:
                self._open_minutes[watch.add(activity, fingerprint)].add(batch.subject)
            elif self._is_kept(activity):
                self.statistics.late_posts += 1
                told.append(watch.add_late(activity))
            else:
                self.statistics.too_late_posts += 1
        if changed:
            self._mark(watch, offset)
            self._move_seen(watch, hour)
        return told

    def _begin(self, batch: ActivityBatch) -> SubjectWatch | None:
        """State for a subject that has none; None where every activity is older than what is kept."""
        kept = [activity for activity in batch.activities if self._is_kept(activity)]
        if not kept:
            self.statistics.too_late_posts += len(batch.activities)
            return None
        baseline = Baseline(minute_of(kept[0].event_time_ms))
        watch = SubjectWatch(batch.subject, self._rules.surge, baseline, self._scale)
        self._subjects[batch.subject] = watch
        self._dropped.discard(batch.subject)
        return watch

    def _is_kept(self, activity: Activity) -> bool:
        closed_before = self._clocks.closed_before
        if closed_before is None:
            return True
        return minute_of(activity.event_time_ms) >= closed_before - self._rules.surge.window_minutes

    def _apply_tick(self, offset: int, tick: Tick) -> list[TrendMinute | Alert]:
        before = self._clocks.closed_before
        hour_before = self._watermark_hour()
        self._clocks.apply(tick)
        closed_before = self._clocks.closed_before
        if closed_before is None or closed_before == before:
            return []
        told = self._close_before(closed_before, offset)
        hour = self._watermark_hour()
        if hour is not None and hour != hour_before:
            self._drop_silent(hour, offset)
        return told

    def _close_before(self, minute: int, offset: int) -> list[TrendMinute | Alert]:
        closing = [opened for opened in self._open_minutes if opened < minute]
        if self._watched_since is None:
            if not closing:
                return []
            self._watched_since = min(closing)
        due = set(self._alerting)
        for opened in closing:
            due |= self._open_minutes.pop(opened)
        told: list[TrendMinute | Alert] = []
        for subject in sorted(due):
            watch = self._subjects[subject]
            if offset <= watch.offset:
                continue
            told.extend(watch.close_before(minute, self._watched_since))
            self._mark(watch, offset)
        return told

    def _mark(self, watch: SubjectWatch, offset: int) -> None:
        watch.offset = offset
        self._changed.add(watch.subject)
        if watch.alert is not None:
            self._alerting.add(watch.subject)
        else:
            self._alerting.discard(watch.subject)

    def _move_seen(self, watch: SubjectWatch, hour_before: int) -> None:
        if watch.last_seen_hour != hour_before:
            self._seen_hours[hour_before].discard(watch.subject)
            self._seen_hours[watch.last_seen_hour].add(watch.subject)

    def _watermark_hour(self) -> int | None:
        watermark_ms = self._clocks.watermark_ms
        return None if watermark_ms is None else watermark_ms // HOUR_MS

    def _drop_silent(self, hour: int, offset: int) -> None:
        """Forget subjects without activity for 30 event days and without an open alert."""
        for seen in [seen for seen in self._seen_hours if seen < hour - SILENT_HOURS]:
            for subject in self._seen_hours.pop(seen):
                watch = self._subjects[subject]
                if watch.alert is not None or offset < watch.offset:
                    self._seen_hours[seen].add(subject)
                    continue
                del self._subjects[subject]
                self._changed.discard(subject)
                self._dropped.add(subject)

    def _note_swap(self, pairs: SwapPairs) -> None:
        """The links live in the frontiers record, so a replay judges each minute by what was known at its place."""
        self._links.add(pairs, self._clocks.watermark_ms)
        self.statistics.swap_pairs += 1
        self.statistics.last_swap = (pairs.old_model_version, pairs.new_model_version)

    @property
    def clocks(self) -> list[SourceClock]:
        """How far every source partition has come, those of other workers too."""
        return self._clocks.snapshot()

    def take_changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records since the last call: changed subjects, tombstones, and last the frontiers.

        The frontiers may be sent only after all others were acknowledged. Empty if nothing was applied.
        """
        if not self._unwritten:
            return []
        records: list[tuple[bytes, bytes | None]] = [
            (subject.encode(), encode_subject(self._subjects[subject])) for subject in sorted(self._changed)
        ]
        records += [(subject.encode(), None) for subject in sorted(self._dropped)]
        frontiers = FrontiersRecord(
            FRONTIERS_VERSION,
            self._offset,
            self._watched_since,
            self._clocks.greatest_ms,
            self._clocks.watermark_ms,
            self._clocks.snapshot(),
            self._links.saved(),
        )
        records.append((FRONTIERS_KEY, _encoder.encode(frontiers)))
        self._changed.clear()
        self._dropped.clear()
        self._unwritten = False
        return records

    @property
    def offset(self) -> int:
        """The last applied offset of `subject-activity`; -1 before the first."""
        return self._offset

    @property
    def watermark_ms(self) -> int | None:
        """How far event time has come; None before the first frontier."""
        return self._clocks.watermark_ms

    @property
    def greatest_frontier_ms(self) -> int | None:
        """The frontier that is furthest ahead."""
        return self._clocks.greatest_ms

    @property
    def subjects(self) -> int:
        """How many subjects have state."""
        return len(self._subjects)

    @property
    def open_alerts(self) -> tuple[tuple[str, str], ...]:
        """(subject, alert id) of every open alert."""
        found = []
        for subject in sorted(self._alerting):
            alert = self._subjects[subject].alert
            if alert is not None:
                found.append((subject, alert_id(subject, alert.opened_minute)))
        return tuple(found)

    @property
    def late_posts(self) -> int:
        """Posts since the process started that came after their minute was decided."""
        return self.statistics.late_posts + self.statistics.too_late_posts
