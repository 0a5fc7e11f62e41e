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
from streamapp.cluster.kafka_clients import open_consumer
from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.messages import Alert
from streamapp.health import Vitals
from streamapp.settings import Settings

log = logging.getLogger(__name__)

POLL_MS = 500
REQUEST_TIMEOUT_SECONDS = 10.0
# Four missed renewals before Alertmanager ends an alert by itself, as Prometheus does.
VALID_FOR_RENEWALS = 4
RETRY_SECONDS = 5.0


class Bridge:
    """One process is enough; two do no harm, since Alertmanager knows alerts by their labels."""

    def __init__(self, settings: Settings, vitals: Vitals) -> None:
        self._settings = settings
        self._vitals = vitals
        self._open = OpenAlerts()
        self._due_at = 0.0
        self._changed = False

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Serve until `should_stop`; Kafka's errors end it."""
        consumer = open_consumer(self._settings.broker)
        try:
            self._recover(consumer)
            self._vitals.ready("worker")
            while not should_stop():
                self._poll(consumer)
                self._vitals.tick()
                if self._changed or time.monotonic() >= self._due_at:
                    self._tell()
        finally:
            consumer.close()

    def _recover(self, consumer: KafkaConsumer) -> None:
        topic = self._settings.topics.prefix + "alerts"
        tps = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        if not tps:
            raise RuntimeError(f"no topic {topic}: run `streamapp topics create`")
        consumer.assign(tps)
        ends = consumer.end_offsets(tps)
        for tp, begin in consumer.beginning_offsets(tps).items():
            consumer.seek(tp, begin)
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            self._poll(consumer)
        log.info("recovered %d open alerts from %s", len(self._open), topic)

    def _poll(self, consumer: KafkaConsumer) -> None:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            for record in records:
                try:
                    alert = decode(record.value, Alert)
                except DecodeError as error:
                    log.error("alerts %d:%d is not readable: %s", record.partition, record.offset, error)
                    metrics.BRIDGE_UNREADABLE.inc()
                    continue
                self._open.apply(alert, any(name == "backfill" for name, _ in record.headers))
                self._changed = True
        metrics.BRIDGE_OPEN_ALERTS.set(len(self._open))

    def _tell(self) -> None:
        if time.monotonic() < self._due_at and not self._changed:
            return
        bridge = self._settings.bridge
        valid_for_ms = int(bridge.renew_seconds * VALID_FOR_RENEWALS * 1000)
        notices = self._open.notices(int(time.time() * 1000), valid_for_ms)
        try:
            if notices:
                answer = requests.post(
                    bridge.alertmanager_url.rstrip("/") + "/api/v2/alerts",
                    json=notices,
                    timeout=REQUEST_TIMEOUT_SECONDS,
                )
                answer.raise_for_status()
        except requests.RequestException as error:
            # The request may hold credentials in its URL: name the kind of error only.
            log.error(
                "Alertmanager did not take %d alerts (%s); trying again", len(notices), type(error).__name__
            )
            metrics.BRIDGE_FAILURES.inc()
            self._vitals.block_ready("alertmanager", f"does not take alerts: {type(error).__name__}")
            self._due_at = time.monotonic() + RETRY_SECONDS
            self._changed = False
            return
        self._open.delivered()
        metrics.BRIDGE_SENT.inc(len(notices))
        metrics.BRIDGE_LAST_SUCCESS.set(time.time())
        self._vitals.ready("alertmanager")
        self._due_at = time.monotonic() + bridge.renew_seconds
        self._changed = False
