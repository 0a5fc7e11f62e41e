"""Broken infrastructure: asked again with growing pauses for a bounded time, said in words, then raised.

Knows which errors are whose; must not know what was asked for.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import stamina
from kafka.errors import KafkaError

from retrain.label_store import LabelStoreError
from retrain.run_book import RunBookError
from retrain.tracking import TrackingError
from streamapp.cluster.kafka_clients import StalledReadError
from streamapp.inference.model_store import StoreError

T = TypeVar("T")

LONGEST_PAUSE_SECONDS: Final = 5.0
PARTS: Final[dict[type[Exception], str]] = {
    KafkaError: "broker",
    StalledReadError: "broker",
    StoreError: "model store",
    LabelStoreError: "label store",
    RunBookError: "disk",
    TrackingError: "tracking",
}
BROKEN: Final = tuple(PARTS)

log = logging.getLogger(__name__)


class BrokenPartError(RuntimeError):
    """A part did not answer for as long as was waited; `part` is its name, the text its last words."""

    def __init__(self, part: str, words: str) -> None:
        super().__init__(f"{part}: {words}")
        self.part = part


class StoppedError(Exception):
    """The service was asked to stop; what was under way is taken up again at the next start."""


class Troubles(Protocol):
    """Who is told that a part fails, or (None) that it answers again."""

    def trouble(self, part: str, words: str | None) -> None:
        """`words` for people."""


def part_of(error: Exception) -> str:
    """The name of the part that raises such errors."""
    return next(part for kind, part in PARTS.items() if isinstance(error, kind))


def patiently(
    ask: Callable[[], T], patience_seconds: float, should_stop: Callable[[], bool], troubles: Troubles
) -> T:
    """The answer. Raises BrokenPartError after `patience_seconds`, StoppedError within seconds of being asked to."""
    failing: set[str] = set()

    def attempt() -> T:
        if should_stop():
            raise StoppedError
        try:
            return ask()
        except BROKEN as error:
            part = part_of(error)
            failing.add(part)
            log.warning("%s does not answer, asking again: %s: %s", part, type(error).__name__, error)
            troubles.trouble(part, f"{type(error).__name__}: {error}")
            raise

    caller = stamina.RetryingCaller(
        attempts=None, timeout=max(patience_seconds, 0.001), wait_max=LONGEST_PAUSE_SECONDS
    )
    try:
        try:
            answer = attempt()
        except BROKEN:  # the time is counted from the first failure: what is asked may itself take hours
            answer = caller(BROKEN, attempt)
    except BROKEN as error:
        raise BrokenPartError(part_of(error), f"{type(error).__name__}: {error}") from error
    for part in failing:
        troubles.trouble(part, None)
    return answer
