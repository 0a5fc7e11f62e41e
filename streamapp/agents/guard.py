"""Ends a process that must not go on: one whose clock jumped, or whose shutdown outlasts its budget.

A worker that was stopped for longer than half its session may have lost its partitions: what it still holds must
not be written over what its successor wrote (design 6.6). `os._exit`, because a stuck process cannot be asked.
"""

import logging
import os
import threading
import time

EXIT_CLOCK_JUMPED = 75
EXIT_SHUTDOWN_TOO_LONG = 70

log = logging.getLogger(__name__)


class Guard:
    """Ticked by the event loop, checked before every send; idle until started."""

    def __init__(self, max_gap_seconds: float, shutdown_timeout_seconds: float) -> None:
        self._max_gap_seconds = max_gap_seconds
        self._shutdown_timeout_seconds = shutdown_timeout_seconds
        self._ticked_at: float | None = None
        self._watchdog: threading.Timer | None = None

    def start(self) -> None:
        """Count from now on: start-up may block for longer than a running worker may."""
        self._ticked_at = time.monotonic()

    def tick(self) -> None:
        """Check, then note that the event loop runs."""
        self.check()
        self._ticked_at = time.monotonic()

    def check(self) -> None:
        """End the process when the event loop has not ticked for too long."""
        if self._ticked_at is None:
            return
        gap_seconds = time.monotonic() - self._ticked_at
        if gap_seconds > self._max_gap_seconds:
            log.critical("the clock jumped by %.1f s: another worker may own the partitions", gap_seconds)
            _exit(EXIT_CLOCK_JUMPED)

    def shutdown_began(self) -> None:
        """From now on the process has its shutdown budget and no more. Only the first call counts."""
        if self._watchdog is None:
            self._watchdog = threading.Timer(self._shutdown_timeout_seconds, self._end)
            self._watchdog.daemon = True
            self._watchdog.start()

    def _end(self) -> None:
        log.critical("shutdown took longer than %.0f s", self._shutdown_timeout_seconds)
        _exit(EXIT_SHUTDOWN_TOO_LONG)


def _exit(code: int) -> None:
    logging.shutdown()
    os._exit(code)
