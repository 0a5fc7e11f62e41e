"""The bridge as a process between a real Kafka and a real Alertmanager, down to the webhook that people see."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamapp.contracts.codec import encode
from streamapp.contracts.messages import Alert, AlertState, Severity
from streamapp.settings import BridgeSettings, BrokerAccess
from tests.harness.alertmanager_process import AlertmanagerProcess, notifications
from tests.harness.cluster import TestCluster, free_port, wait_until
from tests.harness.prometheus import Webhook
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

MINUTE_MS = 60_000
RENEW_SECONDS = 1.0
BRIDGE = (sys.executable, "-m", "streamapp", "bridge")


class House(msgspec.Struct):
    cluster: TestCluster
    alertmanager: AlertmanagerProcess
    webhook: Webhook
    bridge: WorkerProcess

    def publish(self, *alerts: Alert, backfill: bool = False) -> None:
        with self.cluster.producer() as producer:
            for alert in alerts:
                headers = [("backfill", b"1")] if backfill else []
                producer.send(
                    self.cluster.name("alerts"), encode(alert), key=alert.subject.encode(), headers=headers
                ).get(30)

    def sent_renewals(self) -> Callable[[], bool]:
        """A condition: the bridge has told Alertmanager anew at least three times from now on."""
        before = self.successes()
        return lambda: self.successes() > before + 3 * RENEW_SECONDS

    def notifications(self) -> list[dict[str, Any]]:
        return notifications(self.webhook)

    def told(self, status: str, subject: str) -> int:
        """How many notifications say this of the subject."""
        return sum(
            each["status"] == status
            and any(alert["labels"]["subject"] == subject for alert in each["alerts"])
            for each in self.notifications()
        )

    def successes(self) -> float:
        return self.metric("streamapp_bridge_last_success_seconds")

    def metric(self, name: str) -> float:
        page = self.bridge.health("metrics")
        assert page is not None
        (value,) = (line.split()[1] for line in page[1].splitlines() if line.startswith(f"{name} "))
        return float(value)


@pytest.fixture
def house(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess], tmp_path: Path
) -> Iterator[House]:
    port = free_port()
    made = cluster()
    webhook = Webhook()
    alertmanager = AlertmanagerProcess(tmp_path, port, webhook.url)
    settings = msgspec.structs.replace(
        made.settings,
        bridge=BridgeSettings(
            alertmanager_url=alertmanager.url, renew_seconds=RENEW_SECONDS, http_port=made.settings.http.port
        ),
    )
    bridge = workers(settings, name="bridge", command=BRIDGE)
    yield House(made, alertmanager, webhook, bridge)
    bridge.kill()
    alertmanager.stop()
    webhook.close()


def status_of(bridge: WorkerProcess, page: str) -> int:
    answer = bridge.health(page)
    return 0 if answer is None else answer[0]


def alert(
    revision: int,
    state: AlertState = "updated",
    subject: str = "company:AAPL",
    severity: Severity = "warning",
    **changes: Any,
) -> Alert:
    now_ms = time.time_ns() // 1_000_000
    made = Alert(
        alert_id=f"{subject}-1",
        revision=revision,
        state=state,
        subject=subject,
        severity=severity,
        opened_at_ms=now_ms - 3 * MINUTE_MS,
        window_start_ms=now_ms - 63 * MINUTE_MS,
        window_end_ms=now_ms - 3 * MINUTE_MS,
        expected_negative_stories=1.0,
        observed_negative_stories=8 + revision,
        observed_stories=12,
        expected_share=0.1,
        observed_share=0.75,
        p_value=1e-7,
        reason=f"{8 + revision} negative stories where 1.0 were expected",
    )
    return msgspec.structs.replace(made, **changes)


def test_surge_reaches_the_webhook_once_over_updates_and_renewals_and_resolves_there(house: House) -> None:
    house.alertmanager.start()
    house.bridge.start().wait_ready()
    house.publish(alert(1, "opened"))
    wait_until(lambda: house.told("firing", "company:AAPL"), 20, "the webhook hears of the surge")
    house.publish(alert(2), alert(3), alert(3), alert(1, "opened"))
    wait_until(
        lambda: "11 negative" in str(house.alertmanager.alerts()), 10, "Alertmanager has the newest revision"
    )
    wait_until(house.sent_renewals(), 20, "three renewals")
    assert len(house.notifications()) == 1
    house.publish(alert(4, "resolved"))
    wait_until(lambda: house.told("resolved", "company:AAPL"), 20, "the webhook hears of the end")
    wait_until(house.sent_renewals(), 20, "three renewals")
    assert len(house.notifications()) == 2
    assert house.alertmanager.alerts() == []
    assert house.bridge.stop() == 0


def test_surge_that_turns_critical_is_told_as_one_alert_of_the_new_severity(house: House) -> None:
    house.alertmanager.start()
    house.bridge.start().wait_ready()
    house.publish(alert(1, "opened"))
    wait_until(lambda: house.told("firing", "company:AAPL"), 20, "the webhook hears of the surge")
    house.publish(alert(2, severity="critical"))
    wait_until(
        lambda: [each["labels"]["severity"] for each in house.alertmanager.alerts()] == ["critical"],
        10,
        "the critical alert alone is active",
    )
    wait_until(lambda: house.told("firing", "company:AAPL") == 2, 20, "the webhook hears of the change")
    firing = [each["labels"]["severity"] for each in house.notifications()[-1]["alerts"]
              if each["status"] == "firing"]  # fmt: skip
    assert firing == ["critical"]


def test_restarted_bridge_renews_what_is_open_and_ends_what_ended_meanwhile(house: House) -> None:
    house.alertmanager.start()
    house.bridge.start().wait_ready()
    house.publish(alert(1, "opened"), alert(1, "opened", subject="topic:macro"))
    wait_until(lambda: house.told("firing", "topic:macro"), 20, "the webhook hears of the surges")
    house.bridge.kill()
    house.publish(alert(2, "resolved", subject="topic:macro"))
    house.bridge.start().wait_ready()
    wait_until(lambda: house.told("resolved", "topic:macro"), 20, "the webhook hears of the end")
    wait_until(house.sent_renewals(), 20, "three renewals")
    assert [each["labels"]["subject"] for each in house.alertmanager.alerts()] == ["company:AAPL"]
    assert house.told("firing", "company:AAPL") == 1
    assert house.metric("streamapp_bridge_open_alerts") == 1


def test_backfill_is_never_sent(house: House) -> None:
    house.alertmanager.start()
    house.publish(alert(1, "opened", subject="topic:old"), backfill=True)
    house.bridge.start().wait_ready()
    house.publish(alert(2, subject="topic:old"), alert(3, "resolved", subject="topic:old"), backfill=True)
    house.publish(alert(1, "opened"))
    wait_until(lambda: house.told("firing", "company:AAPL"), 20, "the webhook hears of the live surge")
    wait_until(house.sent_renewals(), 20, "three renewals")
    assert [each["labels"]["subject"] for each in house.alertmanager.alerts()] == ["company:AAPL"]
    assert "topic:old" not in str(house.notifications())


def test_alertmanager_away_for_a_while_loses_neither_an_opening_nor_an_end(house: House) -> None:
    house.alertmanager.start()
    house.bridge.start().wait_ready()
    house.publish(alert(1, "opened"))
    wait_until(lambda: house.told("firing", "company:AAPL"), 20, "the webhook hears of the surge")
    house.alertmanager.stop()
    house.publish(alert(2, "resolved"), alert(1, "opened", subject="topic:macro"))
    wait_until(lambda: house.metric("streamapp_bridge_failures_total") > 0, 20, "a failed attempt")
    assert status_of(house.bridge, "readyz") == 503
    assert status_of(house.bridge, "livez") == 200
    house.alertmanager.start()
    wait_until(lambda: house.told("resolved", "company:AAPL"), 30, "the webhook hears of the end")
    wait_until(lambda: house.told("firing", "topic:macro"), 30, "the webhook hears of the new surge")
    house.bridge.wait_ready(20)


def test_bridge_is_not_ready_before_any_surge_where_alertmanager_is_absent(house: House) -> None:
    house.bridge.start()
    wait_until(
        lambda: (
            '"alertmanager": "does not take alerts: ConnectionError"' in str(house.bridge.health("readyz"))
        ),
        30,
        "the bridge says what it waits for",
    )
    assert status_of(house.bridge, "readyz") == 503


def test_record_that_is_no_alert_is_counted_and_stops_nothing(house: House) -> None:
    house.alertmanager.start()
    house.bridge.start().wait_ready()
    with house.cluster.producer() as producer:
        producer.send(house.cluster.name("alerts"), b"\xff{", key=b"x").get(30)
        producer.send(house.cluster.name("alerts"), None, key=b"x").get(30)
    house.publish(alert(1, "opened"))
    wait_until(lambda: house.told("firing", "company:AAPL"), 20, "the webhook hears of the surge")
    assert house.metric("streamapp_bridge_unreadable_total") == 2


def test_bridge_ends_in_words_without_a_broker_and_without_the_topic(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess]
) -> None:
    settings = cluster().settings
    replace = msgspec.structs.replace
    brokerless = replace(settings, broker=BrokerAccess(bootstrap="127.0.0.1:1"))
    topicless = replace(settings, topics=replace(settings.topics, prefix="never-made-"))
    lost = [
        workers(
            replace(each, bridge=BridgeSettings(http_port=free_port())), name=name, command=BRIDGE
        ).start()
        for name, each in (("brokerless", brokerless), ("topicless", topicless))
    ]
    assert [each.wait(60) for each in lost] == [3, 2], [each.log() for each in lost]
    assert "Kafka at 127.0.0.1:1" in lost[0].log()
    assert "no topic never-made-alerts: run `streamapp topics create`" in lost[1].log()
    assert all("Traceback" not in each.log() for each in lost)
