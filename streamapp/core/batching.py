"""How many posts a batch holds: large for a fast model, small for a slow one.

Must not know models, queues or clocks. A large batch costs less a post (fewer round trips to Kafka, less padding), but
what a worker holds un-acknowledged is what a rebalance or a shutdown waits for.
"""

from typing import Final

START_POSTS: Final = 64
LEAST_POSTS: Final = 8
# Between these two the size stays. Four batches share the model, so one that took four seconds is one second of work.
SHORT_SECONDS: Final = 1.0
LONG_SECONDS: Final = 4.0


class BatchSize:
    """Doubles after a full batch that was scored quickly, halves after one that took long."""

    def __init__(self, max_posts: int) -> None:
        self._max_posts = max_posts
        self.posts = min(START_POSTS, max_posts)

    def observe(self, posts: int, seconds: float) -> None:
        """A batch of `posts` was scored within `seconds`. One that was not full says nothing of larger ones."""
        if seconds > LONG_SECONDS:
            self.posts = max(min(LEAST_POSTS, self._max_posts), self.posts // 2)
        elif seconds < SHORT_SECONDS and posts >= self.posts:
            self.posts = min(self._max_posts, self.posts * 2)
