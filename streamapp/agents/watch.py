"""Activities in, trends and alerts out, by closed event minutes; all decisions are `PartitionWatch`'s.

Once a second, what it brought is made durable in this order, each step awaited: alerts and trends, then state, then
ack (design 6.6). A crash in between repeats an alert with the same id and revision and never loses one.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from streamapp import metrics
from streamapp.agents.current_series import CurrentSeries
from streamapp.agents.dead_letters import dead_letter
from streamapp.agents.inbox import Inbox
from streamapp.agents.labelling import alert_messages
from streamapp.agents.next_offsets import NextOffsets
from streamapp.agents.open_surges import OpenSurges
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.agents.time_alignment import TimeAlignment
from streamapp.agents.trend_store import TrendStore
from streamapp.contracts.codec import decode, encode
from streamapp.contracts.messages import ActivityBatch, Alert, SubjectActivity, TrendMinute
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import Rejected

AGENT = "watch"
BACKFILL_HEADER = "backfill"


class WatchTopics(Struct, frozen=True):
    """Full names of the topics that watch reads and writes. `label_requests` None: alerts ask for no labels."""

    subject_activity: str
    subject_trends: str
    alerts: str
    dead_letters: str
    label_requests: str | None = None


class WatchTimes(Struct, frozen=True):
    """How often state is written, how much at most at once, and when an alert is too old to page anyone."""

    write_seconds: float
    max_events: int
    backfill_after_seconds: float


class WatchAgent:
    """The Faust agent. What one write covers is what came since the last one, at most `max_events`."""

    def __init__(
        self,
        store: TrendStore,
        outbox: Outbox,
        alignment: TimeAlignment,
        next_offsets: NextOffsets,
        *,
        topics: WatchTopics,
        times: WatchTimes,
    ) -> None:
        self._store = store
        self._alignment = alignment
        self._next_offsets = next_offsets
        self._outbox = outbox
        self._topics = topics
        self._times = times
        self._late_posts = 0
        self._lateness_ms = 0
        self._surges = OpenSurges()
        self._watermarks = CurrentSeries(metrics.WATERMARK_SECONDS)
        self._trails = CurrentSeries(metrics.WATERMARK_TRAIL_SECONDS)
        # Where the last partition leaves, no batch comes that would take its figures from the page.
        store.on_read = self._report

    async def consume(self, stream: Any) -> None:
        """Consume until the stream ends; an error ends the process without ack."""
        manual = stream.noack()
        inbox: Inbox[Any] = Inbox(self._times.max_events)
        stream.add_future(self._run(inbox, manual))
        async for event in manual.events():
            if not self._next_offsets.is_next(event.message):
                await self._next_offsets.skip_to(event.message)
            # At once: what is applied once a second would have other workers wait for it.
            self._alignment.hear(event.message)
            await inbox.put(event)

    async def _run(self, inbox: Inbox[Any], manual: Any) -> None:
        loop = asyncio.get_running_loop()
        written_at = loop.time()
        while True:
            events = await inbox.take(self._times.max_events)
            wait_seconds = written_at + self._times.write_seconds - loop.time()
            if wait_seconds > 0 and len(events) < self._times.max_events:
                await asyncio.sleep(wait_seconds)
                events += inbox.take_waiting(self._times.max_events - len(events))
            written_at = loop.time()
            await self._watch(events)
            for event in events:
                await manual.ack(event)

    async def _watch(self, events: Sequence[Any]) -> None:
        metrics.BATCH_POSTS.labels(AGENT).observe(len(events))
        aside: list[Outgoing] = []
        results: list[TrendMinute | Alert] = []
        touched: set[int] = set()
        with metrics.STAGE_SECONDS.labels("watch").time():
            for event in events:
                self._apply(event.message, results, aside)
                touched.add(event.message.partition)
        with metrics.STAGE_SECONDS.labels("watch_write").time():
            told = map(self._outgoing, newest_revisions(results))
            await self._outbox.deliver([*aside, *told, *self._label_requests(results)])
            for partition in sorted(touched):
                await self._store.write(partition)
        self._report()

    def _apply(self, message: Any, results: list[TrendMinute | Alert], aside: list[Outgoing]) -> None:
        try:
            activity: SubjectActivity = decode(message.value, SubjectActivity)
            watch = self._store[message.partition]
            if isinstance(activity, ActivityBatch) and watch.watermark_ms is not None:
                oldest_ms = min(
                    (each.event_time_ms for each in activity.activities), default=watch.watermark_ms
                )
                self._lateness_ms = max(self._lateness_ms, watch.watermark_ms - oldest_ms)
            results.extend(watch.apply(message.offset, activity))
        except ValueError as error:
            # Not ours, or of a newer release: kept aside whole, and nothing of it was applied.
            aside.append(self._bad_activity(message, str(error)))

    def _outgoing(self, result: TrendMinute | Alert) -> Outgoing:
        key = result.subject.encode()
        if isinstance(result, TrendMinute):
            return Outgoing(topic=self._topics.subject_trends, key=key, value=encode(result))
        metrics.ALERTS.labels(result.state).inc()
        behind_seconds = time.time() - result.window_end_ms / 1000
        late = behind_seconds > self._times.backfill_after_seconds
        self._surges.note(result, late)
        headers = ((BACKFILL_HEADER, b"1"),) if late else ()
        return Outgoing(topic=self._topics.alerts, key=key, value=encode(result), headers=headers)

    def _label_requests(self, results: Sequence[TrendMinute | Alert]) -> list[Outgoing]:
        if self._topics.label_requests is None:
            return []
        alerts = (result for result in results if isinstance(result, Alert))
        return alert_messages(self._topics.label_requests, alerts)

    def _bad_activity(self, message: Any, detail: str) -> Outgoing:
        record = RawRecord(
            topic=message.topic,
            topic_uuid="",
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=round(message.timestamp * 1000),
            key=message.key,
            value=message.value,
            headers=tuple(message.headers or ()),
        )
        metrics.DEAD_LETTERS.labels("unknown", "bad_activity").inc()
        return dead_letter(self._topics.dead_letters, record, None, Rejected("bad_activity", detail))

    def _report(self) -> None:
        watches = self._store.partitions
        metrics.SUBJECTS.set(sum(watch.subjects for watch in watches.values()))
        open_alerts = [alert for watch in watches.values() for alert in watch.open_alerts]
        metrics.OPEN_ALERTS.set(len(open_alerts))
        self._surges.show(open_alerts)
        metrics.LATENESS_SECONDS.observe(self._lateness_ms / 1000)
        self._lateness_ms = 0
        late_posts = sum(watch.late_posts for watch in watches.values())
        # A rebalance starts the partitions' own counters anew.
        metrics.LATE_POSTS.inc(max(0, late_posts - self._late_posts))
        self._late_posts = late_posts
        watermarks: dict[tuple[str, ...], float] = {}
        trails: dict[tuple[str, ...], float] = {}
        for partition, watch in watches.items():
            if watch.watermark_ms is not None and watch.greatest_frontier_ms is not None:
                watermarks[str(partition),] = watch.watermark_ms / 1000
                trails[str(partition),] = (watch.greatest_frontier_ms - watch.watermark_ms) / 1000
        self._watermarks.replace(watermarks)
        self._trails.replace(trails)


def newest_revisions(results: Sequence[TrendMinute | Alert]) -> list[TrendMinute | Alert]:
    """All alert revisions, and of each subject's minute only the newest: a wave of late posts is one message."""
    newest = {
        (result.subject, result.minute_start_ms): result
        for result in results
        if isinstance(result, TrendMinute)
    }
    return [
        result
        for result in results
        if isinstance(result, Alert) or result is newest[result.subject, result.minute_start_ms]
    ]
