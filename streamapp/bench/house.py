"""What a benchmark owns while it runs: a folder, a broker, topics, worker processes. Everything goes when it ends."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from streamapp.bench.machine import Meter
from streamapp.cluster.kafka_clients import open_admin
from streamapp.cluster.topic_admin import create_topics, plan_topics
from streamapp.local.broker import BrokerSettings, LocalBroker
from streamapp.local.owned_process import OwnedProcess
from streamapp.local.worker_pages import Samples, WorkerPages
from streamapp.settings import (
    BrokerAccess,
    EventTimeSettings,
    HttpSettings,
    InputSettings,
    ModelSettings,
    Settings,
    TopicSettings,
    WorkerSettings,
    dump_settings,
)

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.05
HEAP_MB: Final = 512
REAL_WORKER: Final = ("streamapp", "worker")
_HEALTH_LINE = re.compile(r"health and metrics on (http://[^\s]+:\d+)")

Say = Callable[[str], None]


class BenchError(RuntimeError):
    """A benchmark cannot go on; the text says why."""


class BenchWorker:
    """A worker process of its own, ready to serve."""

    def __init__(self, settings: Settings, command: tuple[str, ...], folder: Path) -> None:
        self.settings = settings
        name = settings.topics.prefix.strip("-")
        config = folder / f"{name}.json"
        config.write_text(dump_settings(settings), encoding="utf-8")
        log = folder / f"{name}.log"
        log.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STREAMAPP_")}
        began = time.monotonic()
        self.process = OwnedProcess(
            [sys.executable, "-m", *command, "--config", str(config)], log, folder, environment
        )
        try:
            self.pages = self._wait_ready()
        except BaseException:
            self.process.kill()
            raise
        self.start_seconds = time.monotonic() - began
        self.meter = Meter(self.process.pid)

    def _wait_ready(self) -> WorkerPages:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            said = _HEALTH_LINE.search(self.process.log_tail(500))
            if said is not None and WorkerPages(said[1]).readiness()[0]:
                return WorkerPages(said[1])
            time.sleep(POLL_SECONDS)
        raise BenchError(f"the worker was not ready within {START_SECONDS:.0f} s:\n{self.process.log_tail()}")

    def check(self) -> None:
        """Raises BenchError when the process has ended."""
        if self.process.exit_code is not None:
            raise BenchError(
                f"the worker ended with exit code {self.process.exit_code}:\n{self.process.log_tail()}"
            )

    def metrics(self) -> Samples:
        """Every sample of its /metrics page."""
        return self.pages.metrics()

    def stop(self) -> int:
        """SIGTERM, as a supervisor would; the exit code."""
        self.meter.close()
        return self.process.stop(STOP_SECONDS)


class BenchHouse:
    """A broker (ours, or an existing one) with as many sets of topics and workers as a benchmark asks for.

    `folder` goes with it.
    """

    def __init__(self, bootstrap: str | None, say: Say) -> None:
        self._say = say
        self.folder = Path(tempfile.mkdtemp(prefix="streamapp-bench-"))
        self._bootstrap = bootstrap
        self._broker: LocalBroker | None = None
        self._workers: list[BenchWorker] = []
        self._made: list[Settings] = []
        self._run = uuid.uuid4().hex[:6]

    def __enter__(self) -> Self:
        if self._bootstrap is None:
            try:
                self._broker = LocalBroker.start(
                    BrokerSettings(data_dir=self.folder / "broker", heap_mb=HEAP_MB),
                    self._say,
                    die_with_parent=True,
                )
            except BaseException:
                shutil.rmtree(self.folder, ignore_errors=True)
                raise
            self._bootstrap = self._broker.bootstrap
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.meter.close()
            if worker.process.exit_code is None:
                worker.process.kill()
        if self._broker is not None:
            self._broker.kill()
        elif self._made:
            self._delete_topics()
        shutil.rmtree(self.folder, ignore_errors=True)

    def settings(self, name: str, partitions: int, bundle: Path | None, **changes: Any) -> Settings:
        """Settings with a fresh set of topics of their own, created here. `name` tells the sets apart."""
        assert self._bootstrap is not None
        prefix = f"bench-{self._run}-{name}-"
        settings = Settings(
            broker=BrokerAccess(bootstrap=self._bootstrap),
            topics=TopicSettings(prefix=prefix, partitions=partitions, replication=1, min_insync_replicas=1),
            inputs=(InputSettings(topic=f"{prefix}news", channel="news"),),
            worker=WorkerSettings(group=f"{prefix}group", instance_id=f"{prefix}worker"),
            model=ModelSettings(bundle=str(bundle) if bundle else ""),
            event_time=EventTimeSettings(backfill_after_seconds=1e9),
            http=HttpSettings(port=0),
        )
        settings = msgspec.structs.replace(settings, **changes)
        with open_admin(settings.broker) as admin:
            create_topics(admin, plan_topics(settings, dev=True))
        self._made.append(settings)
        return settings

    def start_worker(self, settings: Settings, command: tuple[str, ...] = REAL_WORKER) -> BenchWorker:
        """`python -m COMMAND --config ...`, returned once it is ready."""
        worker = BenchWorker(settings, command, self.folder)
        self._workers.append(worker)
        return worker

    def pids(self, worker: BenchWorker) -> dict[str, int]:
        """The processes of a measurement by name; an existing broker is not among them."""
        pids = {"worker": worker.process.pid}
        if self._broker is not None:
            pids["broker"] = self._broker.pid
        return pids

    def _delete_topics(self) -> None:
        with open_admin(self._made[0].broker) as admin:
            for settings in self._made:
                admin.delete_topics([topic.name for topic in plan_topics(settings, dev=True)])
