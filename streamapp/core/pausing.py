"""When the dead letters of one input topic are too many to be single bad posts: the input itself is broken.

Counts only; must not know topics, brokers or clocks.
"""

from collections import deque

from msgspec import Struct


class PauseRules(Struct, frozen=True, kw_only=True):
    """An input pauses after `in_a_row` dead letters without a post between, or when among its last `window_records`
    more than `share` were dead letters. A window that is not full yet decides nothing.
    """

    in_a_row: int = 1_000
    share: float = 0.5
    window_records: int = 2_000


class DeadLetterRun:
    """The recent fate of one input's records, in the order they were read."""

    def __init__(self, rules: PauseRules) -> None:
        self._rules = rules
        self._fates: deque[bool] = deque(maxlen=rules.window_records)
        self._dead_in_window = 0
        self._in_a_row = 0

    def observe(self, dead: bool) -> str | None:
        """Add one record's fate; the reason in words if the input should pause now."""
        rules = self._rules
        if len(self._fates) == rules.window_records:
            self._dead_in_window -= self._fates[0]
        self._fates.append(dead)
        self._dead_in_window += dead
        self._in_a_row = self._in_a_row + 1 if dead else 0
        if self._in_a_row >= rules.in_a_row:
            return f"{self._in_a_row} dead letters in a row"
        if (
            len(self._fates) == rules.window_records
            and self._dead_in_window > rules.share * rules.window_records
        ):
            return f"{self._dead_in_window} dead letters among the last {rules.window_records} records"
        return None
