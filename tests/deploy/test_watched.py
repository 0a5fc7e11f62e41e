"""Two real workers under the shipped Prometheus and Alertmanager: what is reported, to whom, and how soon."""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamapp.settings import BridgeSettings, EventTimeSettings, HttpSettings, Settings, SurgeSettings
from tests.deploy.files import tool
from tests.harness.cluster import TestCluster, free_port, wait_until
from tests.harness.freezable_worker import FREEZE_FILE
from tests.harness.prometheus import AlertmanagerServer, PrometheusServer, Webhook
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.broker, pytest.mark.timeout(420)]

MINUTE_MS = 60_000
FREEZABLE = (sys.executable, "-m", "tests.harness.freezable_worker", "worker")
BRIDGE = (sys.executable, "-m", "streamapp", "bridge")
SYLLABLES = ("ka", "lo", "mi", "ren", "tu", "va", "so", "pel", "dri", "zo", "fen", "qua", "bly", "hor")


class Watched:
    """The processes of one small installation."""

    def __init__(self, cluster: TestCluster, folder: Path, stack: ExitStack) -> None:
        self.cluster = cluster
        self.webhook = stack.enter_context(closing(Webhook()))
        self.alertmanager = stack.enter_context(closing(AlertmanagerServer(folder, self.webhook.url)))
        settings = msgspec.structs.replace(
            cluster.settings,
            bridge=BridgeSettings(
                alertmanager_url=f"http://{self.alertmanager.address}",
                http_port=free_port(),
                renew_seconds=5.0,
            ),
        )
        self.freeze = folder / "freeze"
        self.workers = [
            WorkerProcess(with_port(settings), folder, f"worker-{n}", FREEZABLE) for n in range(2)
        ]
        self.bridge = WorkerProcess(settings, folder, "bridge", BRIDGE)
        for process in (*self.workers, self.bridge):
            stack.callback(process.kill)
            self.start(process)
        targets = {
            "worker": [f"127.0.0.1:{worker.settings.http.port}" for worker in self.workers],
            "bridge": [f"127.0.0.1:{settings.bridge.http_port}"],
            "retrain": [],
            "alertmanager": [self.alertmanager.address],
        }
        self.prometheus = stack.enter_context(closing(PrometheusServer(folder, targets)))

    def start(self, process: WorkerProcess) -> WorkerProcess:
        """Only the first worker can be frozen."""
        freeze = self.freeze if process is self.workers[0] else self.freeze.with_name("never")
        return process.start(environment={FREEZE_FILE: str(freeze)})


def with_port(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, http=HttpSettings(port=free_port()))


@pytest.fixture(scope="module")
def watched(broker: str, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    for name in ("prometheus", "prometheus-alertmanager"):
        tool(name)
    cluster = TestCluster(
        broker,
        f"watched{free_port()}-",
        tiny_bundle,
        event_time=EventTimeSettings(lateness_seconds=5.0, backfill_after_seconds=1e9),
        surge=SurgeSettings(window_minutes=15, warm_up_minutes=30),
    )
    with ExitStack() as stack:
        installation = Watched(cluster, tmp_path_factory.mktemp("watched"), stack)
        for worker in installation.workers:
            worker.wait_ready()
        yield installation


def story(number: int, ending: str, minute: int, now_ms: int) -> dict[str, Any]:
    """A text that no other resembles, `minute` minutes from now."""
    drawn = random.Random(number)
    words = " ".join("".join(drawn.choices(SYLLABLES, k=3)) for _ in range(14))
    return {
        "id": f"s{number}",
        "text": f"{words} {ending}",
        "published_at": now_ms + minute * MINUTE_MS,
        "symbols": ["AAPL"],
    }


def test_a_surge_reaches_alertmanager_and_the_desk_once_and_ends_there(watched: Watched) -> None:
    now_ms = int(time.time() * 1000)
    past = [story(n, "calendar", -180 + n // 2, now_ms) for n in range(240)]
    surge = [story(1000 + n, "plunges default fraud", -60 + n // 10, now_ms) for n in range(40)]
    watched.cluster.publish([*past, *surge, story(2000, "calendar", -55, now_ms)])

    def desk(status: str) -> list[dict[str, Any]]:
        return watched.webhook.alerts("desk", status, alertname="NegativeSurge", subject="company:AAPL")

    (told,) = wait_until(lambda: desk("firing"), 90, "the surge at the desk's webhook")
    assert told["annotations"]["observed_negative_stories"]
    open_now = watched.alertmanager.get("/api/v2/alerts", filter='subject="company:AAPL"')
    assert {alert["labels"]["audience"] for alert in open_now} == {"desk"}
    shown = 'max by (subject) (streamapp_surge_open{subject="company:AAPL"})'
    assert wait_until(lambda: watched.prometheus.query(shown), 20, "the surge's gauge")[0]["value"][1] == "1"

    watched.cluster.publish([story(3000 + n, "calendar", -54 + n // 2, now_ms) for n in range(108)])
    wait_until(lambda: desk("resolved"), 120, "the surge's end at the desk's webhook")
    for status in ("firing", "resolved"):
        assert set(Counter(alert["labels"]["severity"] for alert in desk(status)).values()) == {1}
    assert wait_until(lambda: not watched.prometheus.query(shown), 30, "the gauge is gone")
    assert watched.webhook.alerts("operations", "firing", alertname="NegativeSurge") == []


def test_a_frozen_agent_and_a_silent_input_are_reported(watched: Watched) -> None:
    """Reported to operations within 60 s; the worker ends itself and, started again, serves within 120 s."""
    frozen = watched.workers[0]
    long_ago_ms = int(time.time() * 1000) - 20 * MINUTE_MS
    with watched.cluster.producer() as producer:
        for partition in range(4):
            producer.send(
                watched.cluster.name("chat"), value=b'{"text": "the last word"}', partition=partition,
                timestamp_ms=long_ago_ms,
            )  # fmt: skip
    wait_until(
        lambda: len([s for s in watched.cluster.scored() if s.post.channel == "chat"]) == 4, 30, "chat scored"
    )

    watched.freeze.touch()
    began = time.monotonic()
    now_ms = int(time.time() * 1000)
    watched.cluster.publish(
        [{**story(4000 + n, "calendar", 0, now_ms), "_partition": n % 4} for n in range(40)]
    )
    instance = f"127.0.0.1:{frozen.settings.http.port}"

    def reported(name: str, **labels: str) -> bool:
        return bool(watched.webhook.alerts("operations", "firing", alertname=name, **labels))

    wait_until(lambda: reported("StreamappAgentStuck", instance=instance), 75, "the frozen agent is reported")
    reported_seconds = time.monotonic() - began
    wait_until(lambda: (frozen.health("livez") or (0, ""))[0] == 503, 75, "/livez says 503")
    assert frozen.wait(60) != 0
    watched.freeze.unlink()
    watched.start(frozen).wait_ready()
    served_seconds = time.monotonic() - began
    assert reported_seconds <= 60
    assert served_seconds <= 120
    quiet = watched.cluster.name("chat")
    wait_until(
        lambda: watched.prometheus.firing(alertname="StreamappInputQuiet", topic=quiet), 150, "silence"
    )
    assert not watched.prometheus.firing(alertname="StreamappInputQuiet", topic=watched.cluster.name("news"))
    print(f"agent frozen: reported after {reported_seconds:.0f} s, served again after {served_seconds:.0f} s")
