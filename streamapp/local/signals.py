"""SIGINT, SIGTERM and a closed terminal (SIGHUP) as one exception, so that every way out runs the same clean-up."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

STOPPING: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class StoppedBySignalError(BaseException):
    """Not an Exception: no library may mistake it for a failure of its own and carry on."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that a signal ended."""
        return 128 + self.number


def ignore_signals() -> None:
    """From here on nothing cuts short what must be finished; what comes next must be bounded in time."""
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)


@contextlib.contextmanager
def stopped_by_signal() -> Iterator[None]:
    """Raises StoppedBySignalError in the main thread at the first signal; later ones are ignored, so that
    the clean-up is not cut short (it is bounded in time).
    """

    def raise_once(number: int, frame: FrameType | None) -> None:
        del frame
        ignore_signals()
        raise StoppedBySignalError(number)

    # What was ignored when we were started stays ignored: nohup, a job in the background of a script.
    heard = [each for each in STOPPING if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, raise_once) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
