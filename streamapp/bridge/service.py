"""`alerts` to Alertmanager: reads the whole topic at the start, then follows it, and says every minute what is open.

Without a group and without commits: the topic is the only state, so a restart recovers what was open. Alertmanager
being away loses nothing: what is open and what ended is said again until it answers.
"""

import logging
import time
from collections.abc import Callable

import requests
from kafka import KafkaConsumer, TopicPartition

from streamapp import metrics
from streamapp.bridge.open_alerts import OpenAlerts
from streamapp.cluster.kafka_clients import STALLED_SECONDS, StalledReadError, open_consumer
from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.messages import Alert
from streamapp.contracts.topics import ALERTS
from streamapp.health import Vitals
from streamapp.settings import Settings

log = logging.getLogger(__name__)

POLL_MS = 500
# To connect, then for the answer: together with a poll less than the time after which /livez calls the process hung.
REQUEST_TIMEOUT_SECONDS = (3.0, 5.0)
# Four missed renewals before Alertmanager ends an alert by itself, as Prometheus does.
VALID_FOR_RENEWALS = 4
RETRY_SECONDS = 5.0


class TopicMissingError(RuntimeError):
    """The topic of alerts does not exist; the text says what makes it."""


class Bridge:
    """One process is enough; two do no harm, since Alertmanager knows alerts by their labels."""

    def __init__(self, settings: Settings, vitals: Vitals) -> None:
        self._settings = settings
        self._vitals = vitals
        self._open = OpenAlerts()
        self._due_at = 0.0
        self._changed = False
        vitals.block_ready("alertmanager", "was not asked yet")

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Serve until `should_stop`; ended by Kafka's errors, `TopicMissingError` and `StalledReadError`."""
        self._vitals.tick()
        consumer = open_consumer(self._settings.broker)
        try:
            self._recover(consumer, should_stop)
            self._vitals.ready("worker")
            while not should_stop():
                self._poll(consumer)
                if self._changed or time.monotonic() >= self._due_at:
                    self._tell()
        finally:
            consumer.close()

    def _recover(self, consumer: KafkaConsumer, should_stop: Callable[[], bool]) -> None:
        topic = self._settings.topics.prefix + ALERTS.name
        tps = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        if not tps:
            raise TopicMissingError(f"no topic {topic}: run `streamapp topics create`")
        consumer.assign(tps)
        ends = consumer.end_offsets(tps)
        for tp, begin in consumer.beginning_offsets(tps).items():
            consumer.seek(tp, begin)
        progressed_at = time.monotonic()
        while not should_stop() and any(consumer.position(tp) < ends[tp] for tp in tps):
            if self._poll(consumer):
                progressed_at = time.monotonic()
            elif time.monotonic() - progressed_at > STALLED_SECONDS:
                raise StalledReadError(f"nothing came from topic {topic} for {STALLED_SECONDS:.0f} s")
        self._open.recovered(_now_ms())
        log.info("recovered %d open alerts from %s", len(self._open), topic)

    def _poll(self, consumer: KafkaConsumer) -> int:
        """Take what came; how many records."""
        self._vitals.tick()
        taken = 0
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            taken += len(records)
            for record in records:
                try:
                    alert = decode(record.value, Alert)
                except DecodeError as error:
                    log.error("alerts %d:%d is not readable: %s", record.partition, record.offset, error)
                    metrics.BRIDGE_UNREADABLE.inc()
                    continue
                backfill = any(name == "backfill" for name, _ in record.headers)
                self._open.apply(alert, backfill, record.timestamp)
                self._changed = True
        metrics.BRIDGE_OPEN_ALERTS.set(len(self._open))
        return taken

    def _tell(self) -> None:
        """Send everything that is to be said, an empty list too: only an answer shows that Alertmanager is there."""
        bridge = self._settings.bridge
        abandoned = self._open.give_up_abandoned(_now_ms())
        if abandoned:
            log.warning("%d open alerts were not revised for a day and are no longer told", abandoned)
        notices = self._open.notices(_now_ms(), int(bridge.renew_seconds * VALID_FOR_RENEWALS * 1000))
        self._changed = False
        try:
            answer = requests.post(
                bridge.alertmanager_url.rstrip("/") + "/api/v2/alerts",
                json=notices,
                timeout=REQUEST_TIMEOUT_SECONDS,
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            self._failed(len(notices), error)
            return
        self._open.delivered()
        metrics.BRIDGE_SENT.inc(len(notices))
        metrics.BRIDGE_LAST_SUCCESS.set(time.time())
        self._vitals.ready("alertmanager")
        self._due_at = time.monotonic() + bridge.renew_seconds

    def _failed(self, notices: int, error: requests.RequestException) -> None:
        # The request may hold credentials in its URL: name the kind of error only.
        kind = type(error).__name__
        log.error("Alertmanager did not take %d alerts (%s); trying again", notices, kind)
        metrics.BRIDGE_FAILURES.inc()
        self._vitals.block_ready("alertmanager", f"does not take alerts: {kind}")
        self._due_at = time.monotonic() + RETRY_SECONDS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
