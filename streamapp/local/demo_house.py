"""What the demo owns while it runs: a folder, a broker, topics, a worker. Everything goes when it ends.

The worker is the command that a user runs, started from a settings file; this file knows nothing of posts.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

from kafka.errors import KafkaError
from msgspec import Struct

from streamapp.cluster.kafka_clients import open_admin
from streamapp.cluster.topic_admin import create_topics, plan_topics
from streamapp.local.broker import BrokerSettings, LocalBroker
from streamapp.local.demo_plan import DemoFiles
from streamapp.local.owned_process import OwnedProcess
from streamapp.local.worker_pages import WorkerPages
from streamapp.settings import Settings, dump_settings

WORKER_START_SECONDS: Final = 120.0
WORKER_STOP_SECONDS: Final = 20.0
BROKER_STOP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.1
HEAP_MB: Final = 384
_HEALTH_LINE = re.compile(r"health and metrics on (http://[^\s]+:\d+)")
# Read before settings exist, so they steer no worker.
_KEPT_VARIABLES: Final = frozenset({"STREAMAPP_CACHE_DIR"})

Say = Callable[[str], None]
MakeSettings = Callable[[DemoFiles, str], Settings]


class DemoError(RuntimeError):
    """The demo cannot go on; the text says why and where to look."""


class DemoOptions(Struct, frozen=True, kw_only=True):
    """What the user chose. `bundle` None: the starter model; `bootstrap` None: a broker of our own."""

    stream_seconds: float = 75.0
    bootstrap: str | None = None
    bundle: Path | None = None
    stay: bool = False


def new_prefix() -> str:
    """A prefix that no other demo has."""
    return f"demo-{uuid.uuid4().hex[:8]}-"


class DemoHouse:
    """Rooms are opened one after another; `close` leaves nothing behind, `keep_folder` the logs."""

    def __init__(self, prefix: str, bootstrap: str | None, make_settings: MakeSettings, say: Say) -> None:
        """`bootstrap` None: a broker of our own; `make_settings` is asked once there is one."""
        self.prefix, self._bootstrap, self._make_settings, self._say = prefix, bootstrap, make_settings, say
        self.files = DemoFiles(Path(tempfile.mkdtemp(prefix="streamapp-demo-")))
        self.keep_folder = False
        # The demo's own Kafka clients: their retries belong in a file, not across the screen.
        self._clients_log = logging.FileHandler(self.files.clients_log)
        logging.getLogger("kafka").addHandler(self._clients_log)
        self._broker: LocalBroker | None = None
        self._worker: OwnedProcess | None = None
        self._settings: Settings | None = None
        self._topics_made = False
        self.model: dict[str, str] = {}

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            raise DemoError("the demo has no broker yet")
        return self._settings

    @property
    def pages(self) -> WorkerPages:
        """The worker's health pages, once its log has named their address."""
        found = _HEALTH_LINE.search(self._log())
        if found is None:
            raise DemoError("the worker has not said where its health pages are")
        return WorkerPages(found[1])

    def open_broker(self) -> str:
        """The broker's address: the user's, or that of one we start. Raises BrokerError."""
        bootstrap = self._bootstrap
        if bootstrap is None:
            settings = BrokerSettings(data_dir=self.files.broker, heap_mb=HEAP_MB)
            self._broker = LocalBroker.start(settings, self._say, die_with_parent=True)
            bootstrap = self._broker.bootstrap
        self._copy_symbols()
        self._settings = self._make_settings(self.files, bootstrap)
        self.files.config.write_text(dump_settings(self._settings), encoding="utf-8")
        return bootstrap

    def create_topics(self) -> int:
        """Our topics and the inputs under the demo's prefix; how many."""
        with open_admin(self.settings.broker) as admin:
            self._topics_made = True
            return len(create_topics(admin, plan_topics(self.settings, dev=True)))

    def start_worker(self) -> None:
        """Starts the worker and returns once it is ready."""
        self._worker = OwnedProcess(
            self.worker_command(),
            self.files.worker_log,
            self.files.folder,
            self.environment,
        )
        deadline = time.monotonic() + WORKER_START_SECONDS
        waited_for: dict[str, Any] = {}
        while time.monotonic() < deadline:
            self.check()
            if _HEALTH_LINE.search(self._log()):
                ready, waited_for = self.pages.readiness()
                if ready:
                    self.model = dict(waited_for.get("model", {}))
                    return
            time.sleep(POLL_SECONDS)
        reasons = waited_for.get("waiting_for", "no answer")
        raise DemoError(
            f"the worker was not ready in {WORKER_START_SECONDS:.0f} s: {reasons}. {self._where()}"
        )

    @property
    def environment(self) -> dict[str, str]:
        """What our commands see of ours."""
        return worker_environment(os.environ, self.files.folder)

    def worker_command(self) -> list[str]:
        """The very command a user runs."""
        return [sys.executable, "-m", "streamapp", "worker", "--config", str(self.files.config)]

    @property
    def worker_pid(self) -> int:
        return self._worker.pid if self._worker else 0

    def check(self) -> None:
        """Raises DemoError when the worker or the broker has ended."""
        if self._worker is not None and self._worker.exit_code is not None:
            raise DemoError(
                f"the worker ended with exit code {self._worker.exit_code}. {self._where()}\n{self._worker.log_tail()}"
            )
        if self._broker is not None and not self._broker.is_alive():
            raise DemoError(f"the broker ended. Its log: {self._broker.log_file}")

    def stop_worker(self) -> int:
        """SIGTERM, as a supervisor would; the exit code (0: it drained what it had)."""
        if self._worker is None:
            return 0
        code = self._worker.stop(WORKER_STOP_SECONDS)
        self._worker = None
        return code

    def close(self, in_haste: bool = False) -> None:
        """Ends what runs and removes what is there, whatever state it is in. `in_haste`: nobody waits for a
        clean stop of things that are thrown away.
        """
        if self._worker is not None:
            self._worker.kill() if in_haste else self._worker.stop(WORKER_STOP_SECONDS)
            self._worker = None
        if self._broker is not None:
            self._broker.kill() if in_haste else self._broker.stop(BROKER_STOP_SECONDS)
            self._broker = None
        elif self._topics_made:
            self._delete_topics()
        logging.getLogger("kafka").removeHandler(self._clients_log)
        self._clients_log.close()
        if not self.keep_folder:
            shutil.rmtree(self.files.folder, ignore_errors=True)

    def _delete_topics(self) -> None:
        names = [topic.name for topic in plan_topics(self.settings, dev=True)]
        try:
            with open_admin(self.settings.broker) as admin:
                admin.delete_topics(names)
                admin.delete_groups([self.settings.worker.group])
        except (KafkaError, OSError) as error:
            self._say(f"The demo's topics {self.prefix}* could not be deleted: {error}")

    def _copy_symbols(self) -> None:
        with as_file(files("streamapp.local").joinpath("sample_stream", "symbols.toml")) as source:
            shutil.copyfile(source, self.files.symbols)

    def _log(self) -> str:
        log = self.files.worker_log
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def _where(self) -> str:
        return f"Its log: {self.files.worker_log}"


def worker_environment(ours: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Ours without settings, for the demo's worker reads its file and nothing else; what its libraries leave in
    the temporary folder goes with the demo's.
    """
    kept = {
        name: value
        for name, value in ours.items()
        if not name.startswith(("STREAMAPP_", "RETRAIN_")) or name in _KEPT_VARIABLES
    }
    return kept | {"TMPDIR": str(folder)}
