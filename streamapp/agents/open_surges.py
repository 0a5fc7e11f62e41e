"""Open surges as a gauge, for installations that alert from Prometheus alone.

Topics are a closed set and stay on the page at 0. Companies are thousands, so each is there only while its surge is
open, and at most 50 of them; how many more there are is a gauge of its own.
"""

from collections.abc import Iterable

from streamapp import metrics
from streamapp.agents.current_series import CurrentSeries
from streamapp.contracts.messages import Alert

MAX_COMPANIES = 50
_TOPIC = "topic:"


class OpenSurges:
    """One a worker. A surge all of whose revisions were backfill pages nobody, so it is not shown."""

    def __init__(self) -> None:
        self._series = CurrentSeries(metrics.SURGE_OPEN)
        self._topics: set[str] = set()
        self._backfill: set[str] = set()

    def note(self, alert: Alert, backfill: bool) -> None:
        """A revision is being published."""
        if not backfill or alert.state == "resolved":
            self._backfill.discard(alert.alert_id)
        elif alert.state == "opened":
            self._backfill.add(alert.alert_id)

    def show(self, open_alerts: Iterable[tuple[str, str]]) -> None:
        """Show these (subject, alert id) pairs and no others."""
        surging = {subject for subject, alert_id in open_alerts if alert_id not in self._backfill}
        topics = {subject for subject in surging if subject.startswith(_TOPIC)}
        self._topics |= topics
        # Those that are shown stay, so that no alert flaps because of another.
        companies = sorted(
            surging - topics, key=lambda subject: ((subject,) not in self._series.shown, subject)
        )
        named = companies[:MAX_COMPANIES]
        metrics.SURGES_UNNAMED.set(len(companies) - len(named))
        values: dict[tuple[str, ...], float] = {(subject,): 1.0 for subject in named}
        for subject in self._topics:
            values[(subject,)] = float(subject in topics)
        self._series.replace(values)
