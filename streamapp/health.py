"""/livez, /readyz and /metrics on a thread of its own, so that a blocked event loop is still reported.

Knows what the parts say of themselves (`Vitals`), nothing of Faust or the model.
"""

import faulthandler
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from streamapp import metrics
from streamapp.settings import SettingsError

LOOP_TICK_LIMIT_SECONDS = 10.0
LIVENESS_POLL_SECONDS = 1.0
EXIT_NOT_LIVE = 71

log = logging.getLogger(__name__)


class Vitals:
    """What a worker's parts report; written by the event loop, read by the health thread.

    Single assignments of immutable values only, so no lock is needed.
    """

    def __init__(self, stall_timeout_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stall_timeout_seconds = stall_timeout_seconds
        self.loop_ticked_at: float | None = None
        self.start_due_at: float | None = None
        self.progress_at: dict[str, float] = {}
        self.waiting_records: dict[str, int] = {}
        self.not_ready: dict[str, str] = {"worker": "starting"}
        self.details: dict[str, object] = {}

    def loop_begins(self, start_seconds: float) -> None:
        """From now on the event loop must tick, and part `worker` be ready within `start_seconds`."""
        self.start_due_at = self._clock() + start_seconds
        self.tick()

    def tick(self) -> None:
        """The event loop is alive."""
        self.loop_ticked_at = self._clock()

    def progress(self, agent: str) -> None:
        """`agent` acknowledged something, or has nothing to do."""
        self.progress_at[agent] = self._clock()

    def block_ready(self, part: str, reason: str) -> None:
        """`part` is not ready, for a reason in words."""
        self.not_ready = {**self.not_ready, part: reason}
        metrics.READY.set(0)

    def ready(self, part: str) -> None:
        """`part` is ready."""
        self.not_ready = {name: reason for name, reason in self.not_ready.items() if name != part}
        metrics.READY.set(not self.not_ready)

    def liveness(self) -> list[str]:
        """Why the process should be restarted; empty when it is well.

        Before the first tick there is no loop yet: a start may take long, and /readyz says what it waits for.
        """
        now = self._clock()
        troubles = []
        loop_age = now - (now if self.loop_ticked_at is None else self.loop_ticked_at)
        if loop_age > LOOP_TICK_LIMIT_SECONDS:
            troubles.append(f"event loop has not ticked for {loop_age:.0f} s")
        if self.start_due_at is not None and now > self.start_due_at and "worker" in self.not_ready:
            troubles.append(f"the start is overdue by {now - self.start_due_at:.0f} s")
        for agent, waiting in self.waiting_records.items():
            idle = now - self.progress_at.get(agent, now)
            if waiting > 0 and idle > self._stall_timeout_seconds:
                troubles.append(
                    f"agent {agent} has {waiting} records waiting and acknowledged none for {idle:.0f} s"
                )
        return troubles


class LivenessWatch:
    """Ends the process when it has not been live for `patience_seconds`, so that any supervisor restarts it.

    Orchestrators that ask /livez may be quicker; plain restart policies ask nothing.
    """

    def __init__(self, vitals: Vitals, patience_seconds: float) -> None:
        self._vitals = vitals
        self._patience_seconds = patience_seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="liveness", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching: a shutdown has a budget of its own."""
        self._closing.set()

    def _watch(self) -> None:
        dead_since: float | None = None
        while not self._closing.wait(LIVENESS_POLL_SECONDS):
            troubles = self._vitals.liveness()
            now = time.monotonic()
            dead_since = None if not troubles else dead_since or now
            if dead_since is not None and now - dead_since > self._patience_seconds:
                log.critical("not live for %.0f s, ending: %s", now - dead_since, "; ".join(troubles))
                logging.shutdown()
                # Where every thread stands is all that is left of why.
                faulthandler.dump_traceback(sys.stderr, all_threads=True)
                os._exit(EXIT_NOT_LIVE)


class HealthServer:
    """Serves the three pages until closed. `port` is the real one, also where 0 was asked for."""

    def __init__(self, address: tuple[str, int], vitals: Vitals, registry: CollectorRegistry) -> None:
        try:
            self._server = ThreadingHTTPServer(address, _handler(vitals, registry))
        except OSError as error:
            host, port = address
            raise SettingsError(
                f"port {port} on {host} for /metrics cannot be taken: {error.strerror}"
            ) from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(vitals: Vitals, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path == "/livez":
                troubles = vitals.liveness()
                self._answer_json(503 if troubles else 200, {"alive": not troubles, "troubles": troubles})
            elif self.path == "/readyz":
                waiting = vitals.not_ready
                body = {"ready": not waiting, "waiting_for": waiting, **vitals.details}
                self._answer_json(503 if waiting else 200, body)
            else:
                self._answer_json(404, {"error": "pages are /metrics, /livez and /readyz"})

        def _answer_json(self, status: int, body: dict[str, object]) -> None:
            self._answer(status, "application/json", json.dumps(body).encode() + b"\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Probes come every few seconds; they are not news."""

    return Handler
