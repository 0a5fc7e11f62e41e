"""Which surges are open, folded from the alerts' log, and how Alertmanager is told of them. Pure.

Alertmanager knows an alert by its labels, so they must not change while it lives: grouping, silences and routes hang
on them. Where a surge turns critical its `severity` label does change; the former is then ended in the same message.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from streamapp.contracts.messages import Alert, Severity
from streamapp.core.foreign_text import printable

ALERT_NAME = "NegativeSurge"
# An alert that nobody has revised for so long belongs to state that was lost: a live one ends after a day.
ABANDONED_AFTER_MS = 25 * 3_600_000
# After a restart nobody knows which ends Alertmanager has heard of. It forgets an alert that is not renewed within
# minutes, but not that it paged somebody, so recent ends are told again and those of past days are not.
TELL_ENDS_AGAIN_MS = 3_600_000
# A crash of a worker repeats what it published last: revisions of an alert that ended are remembered for that.
ENDED_REMEMBERED = 10_000
MAX_ANNOTATION_CHARS = 1_000


class _Known(Struct):
    alert: Alert
    published_at_ms: int
    told_severities: tuple[Severity, ...] = ()


class OpenAlerts:
    """Folds alert revisions; tells what to send. `backfill` ones are never sent."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._finished: dict[str, int] = {}
        self._open: dict[str, _Known] = {}
        self._ended: dict[str, _Known] = {}

    def __len__(self) -> int:
        return len(self._open)

    def apply(self, alert: Alert, backfill: bool, published_at_ms: int) -> None:
        """Take one revision, published at this wall-clock time; an older or repeated one changes nothing."""
        if alert.revision <= max(self._newest.get(alert.alert_id, 0), self._finished.get(alert.alert_id, 0)):
            return
        known = self._open.pop(alert.alert_id, None)
        told = known.told_severities if known else ()
        if alert.state == "resolved":
            self._finish(alert)
            if known is not None:
                severities = told or (known.alert.severity,)
                self._ended[alert.alert_id] = _Known(alert, published_at_ms, severities)
            return
        self._newest[alert.alert_id] = alert.revision
        if known is not None or not backfill:
            self._open[alert.alert_id] = _Known(alert, published_at_ms, told)

    def _finish(self, alert: Alert) -> None:
        self._newest.pop(alert.alert_id, None)
        self._finished.pop(alert.alert_id, None)
        self._finished[alert.alert_id] = alert.revision
        if len(self._finished) > ENDED_REMEMBERED:
            del self._finished[next(iter(self._finished))]

    def recovered(self, now_ms: int) -> None:
        """The log was read to its end at a start: what ended long ago is not told again."""
        oldest = now_ms - TELL_ENDS_AGAIN_MS
        self._ended = {key: known for key, known in self._ended.items() if known.published_at_ms >= oldest}

    def give_up_abandoned(self, now_ms: int) -> int:
        """Leave out what nobody revised for a day; how many. Alertmanager ends them when they are not renewed."""
        oldest = now_ms - ABANDONED_AFTER_MS
        gone = [key for key, known in self._open.items() if known.alert.window_end_ms < oldest]
        for key in gone:
            del self._open[key]
            self._newest.pop(key, None)
        return len(gone)

    def notices(self, now_ms: int, valid_for_ms: int) -> list[dict[str, Any]]:
        """Alertmanager's v2 alerts for everything open and everything that ended since the last `delivered`.

        `now_ms` is the wall clock. An open one is valid for `valid_for_ms`: if nobody renews it, it ends. No two have
        the same labels: the end of a surge is left out where the subject's next one is open already.
        """
        live = {
            (known.alert.subject, known.alert.severity): _notice(
                known.alert, known.alert.severity, now_ms + valid_for_ms
            )
            for known in self._open.values()
        }
        ends = {
            (known.alert.subject, severity): _notice(known.alert, severity, now_ms)
            for known in (*self._ended.values(), *self._open.values())
            for severity in known.told_severities
        }
        return [*live.values(), *(notice for labels, notice in ends.items() if labels not in live)]

    def delivered(self) -> None:
        """Alertmanager has what `notices` last said."""
        self._ended.clear()
        for known in self._open.values():
            known.told_severities = (known.alert.severity,)


def _notice(alert: Alert, severity: Severity, ends_at_ms: int) -> dict[str, Any]:
    kind, _, name = alert.subject.partition(":")
    stories = "\n".join(f"{story.copies}x {story.headline}" for story in alert.top_stories)
    return {
        "labels": {
            "alertname": ALERT_NAME,
            "subject": alert.subject,
            "subject_kind": kind,
            "subject_name": name,
            "severity": severity,
            "audience": "desk",
        },
        "annotations": {
            "summary": shown(f"Negative news surge: {name}"),
            "description": shown(alert.reason),
            "stories": shown(stories),
            "expected_negative_stories": f"{alert.expected_negative_stories:.1f}",
            "observed_negative_stories": str(alert.observed_negative_stories),
            "alert_id": alert.alert_id,
            "revision": str(alert.revision),
            "model_versions": ", ".join(alert.model_versions),
        },
        "startsAt": _rfc3339(alert.opened_at_ms),
        "endsAt": _rfc3339(max(ends_at_ms, alert.opened_at_ms)),
    }


def _rfc3339(moment_ms: int) -> str:
    return (
        datetime.fromtimestamp(moment_ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def shown(text: str) -> str:
    """Posts are hostile text: nothing that steers a pager, and no more than one can show."""
    return printable(text, keep="\n")[:MAX_ANNOTATION_CHARS]
