"""Finds a consumer that gives nothing although records wait for it.

A safeguard: such a consumer would raise nothing, and labels would wait for as long as the process lives. Knows
positions and ends; must not know what the records mean.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from kafka import TopicPartition

from streamapp.cluster.kafka_clients import StalledReadError

CHECK_SECONDS: Final = 10.0
REQUEST_TIMEOUT_MS: Final = 15_000


class StallCheck:
    """Looks at most every `CHECK_SECONDS`; a partition that stands at one place behind its end at two looks in a row
    is stalled. Whoever is told opens another consumer.
    """

    def __init__(self, consumer: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._consumer = consumer
        self._clock = clock
        self._looked_at = clock()
        self._behind: dict[TopicPartition, int] = {}

    def check(self, partitions: Sequence[TopicPartition]) -> None:
        """Call it after every poll: it costs nothing between two looks.

        Raises StalledReadError, and the client's errors where the broker does not answer.
        """
        if self._clock() - self._looked_at < CHECK_SECONDS:
            return
        ends = self._consumer.end_offsets(list(partitions), timeout_ms=REQUEST_TIMEOUT_MS)
        standing = {part: self._consumer.position(part, timeout_ms=REQUEST_TIMEOUT_MS) for part in partitions}
        behind = {part: at for part, at in standing.items() if at < ends[part]}
        stalled = [part for part, at in behind.items() if self._behind.get(part) == at]
        self._behind = behind
        self._looked_at = self._clock()
        if stalled:
            part = stalled[0]
            waiting = ends[part] - behind[part]
            raise StalledReadError(
                f"{waiting} records of {part.topic}/{part.partition} wait and none is given"
            )
