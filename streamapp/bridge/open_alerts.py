"""Which surges are open, folded from the alerts' log, and how Alertmanager is told of them. Pure.

Alertmanager knows an alert by its labels, so they must not change while it lives: grouping, silences and routes hang
on them. Where a surge turns critical its `severity` label does change; the former is then ended in the same message.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from streamapp.contracts.messages import Alert, Severity

ALERT_NAME = "NegativeSurge"
# An alert that nobody has revised for so long belongs to state that was lost: a live one ends after a day.
ABANDONED_AFTER_MS = 25 * 3_600_000
MAX_ANNOTATION_CHARS = 1_000


class _Open(Struct):
    alert: Alert
    told_severities: tuple[Severity, ...] = ()


class OpenAlerts:
    """Folds alert revisions; tells what to send. `backfill` ones are never sent."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._open: dict[str, _Open] = {}
        self._ended: dict[str, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def apply(self, alert: Alert, backfill: bool) -> None:
        """Take one revision; an older or repeated one changes nothing."""
        if alert.revision <= self._newest.get(alert.alert_id, 0):
            return
        self._newest[alert.alert_id] = alert.revision
        known = self._open.pop(alert.alert_id, None)
        told = known.told_severities if known else ()
        if alert.state == "resolved":
            self._newest.pop(alert.alert_id)
            if known is not None:
                self._ended[alert.alert_id] = _Open(alert, told or (known.alert.severity,))
        elif known is not None or not backfill:
            self._open[alert.alert_id] = _Open(alert, told)

    def notices(self, now_ms: int, valid_for_ms: int) -> list[dict[str, Any]]:
        """Alertmanager's v2 alerts for everything open and everything that ended since the last `delivered`.

        `now_ms` is the wall clock. An open one is valid for `valid_for_ms`: if nobody renews it, it ends.
        """
        found = []
        for entry in list(self._open.values()):
            if now_ms - entry.alert.window_end_ms > ABANDONED_AFTER_MS:
                continue
            found.append(_notice(entry.alert, entry.alert.severity, now_ms + valid_for_ms))
            found += [
                _notice(entry.alert, severity, now_ms)
                for severity in entry.told_severities
                if severity != entry.alert.severity
            ]
        for entry in self._ended.values():
            found += [_notice(entry.alert, severity, now_ms) for severity in set(entry.told_severities)]
        return found

    def delivered(self) -> None:
        """Alertmanager has what `notices` last said."""
        self._ended.clear()
        for entry in self._open.values():
            entry.told_severities = tuple({entry.alert.severity})


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
            "summary": printable(f"Negative news surge: {name}"),
            "description": printable(alert.reason),
            "stories": printable(stories),
            "expected_negative_stories": f"{alert.expected_negative_stories:.1f}",
            "observed_negative_stories": str(alert.observed_negative_stories),
            "alert_id": alert.alert_id,
            "revision": str(alert.revision),
            "model_versions": ", ".join(alert.model_versions),
        },
        "startsAt": _rfc3339(alert.opened_at_ms),
        "endsAt": _rfc3339(max(ends_at_ms, alert.opened_at_ms)),
    }


def printable(text: str) -> str:
    """Posts are hostile text: no control characters but the line feed, and no more than a pager can show."""
    cleaned = "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
    return cleaned[:MAX_ANNOTATION_CHARS]


def _rfc3339(moment_ms: int) -> str:
    return (
        datetime.fromtimestamp(moment_ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
