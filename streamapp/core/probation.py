"""Whether a model that has just begun to serve keeps its promise: errors and pace against limits.

Counts only; must not know clocks, metrics or what happens to a model that does not.
"""

from collections import deque
from typing import Final

from msgspec import Struct

from streamapp.core.admission import Refuse

LEAST_TOKENS: Final = 1_000


class ProbationRules(Struct, frozen=True, kw_only=True):
    """Judged over the last `window_batches` batches once they hold `least_posts`.

    `most_error_share` is of posts that the model cannot read; `most_slowdown` a ratio of times a token.
    """

    least_posts: int = 200
    window_batches: int = 200
    most_error_share: float = 0.05
    most_slowdown: float = 3.0


class Pace(Struct, frozen=True):
    """What a model has done so far: how long its sessions were busy, and how many tokens they read."""

    seconds: float = 0.0
    tokens: int = 0

    def since(self, earlier: "Pace") -> "Pace":
        """What was done after `earlier`."""
        return Pace(self.seconds - earlier.seconds, self.tokens - earlier.tokens)

    def seconds_a_token(self) -> float | None:
        """None before there is enough to tell."""
        return self.seconds / self.tokens if self.tokens >= LEAST_TOKENS else None


class Probation:
    """One model's first batches. `before` is the pace of the model that it replaced, None where none is known."""

    def __init__(self, rules: ProbationRules, before: float | None) -> None:
        self._rules = rules
        self._before = before
        self._batches: deque[tuple[int, int, Pace]] = deque(maxlen=rules.window_batches)

    def observe(self, posts: int, errors: int, pace: Pace) -> Refuse | None:
        """One more batch; `pace` is all that the model has done up to now. Why it should go back, if it should."""
        self._batches.append((posts, errors, pace))
        seen = sum(batch[0] for batch in self._batches)
        if seen < self._rules.least_posts:
            return None
        failed = sum(batch[1] for batch in self._batches)
        if failed > self._rules.most_error_share * seen:
            return Refuse(f"it cannot read {failed} of its last {seen} posts", "errors")
        now = pace.since(self._batches[0][2]).seconds_a_token()
        if now is not None and self._before is not None and now > self._rules.most_slowdown * self._before:
            return Refuse(
                f"it takes {now / self._before:.1f} times as long a token as the model before", "latency"
            )
        return None
