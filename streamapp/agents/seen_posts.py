"""The last posts that were scored and what the model said of them, kept in memory for comparing another model.

Fed by score, batch by batch; read by one shadow run at a time.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

from msgspec import Struct

from streamapp.contracts.messages import Channel, ScoredPost, Sentiment
from streamapp.core.intake import Rejected

# As many live posts as wait for a slow candidate; those beyond are not needed.
LIVE_WAITING = 64


class SeenPost(Struct, frozen=True):
    """A post's text with the verdict that left the worker."""

    channel: Channel
    text: str
    sentiment: Sentiment
    topic: str | None
    model_version: str


class SeenPosts:
    """Bounded; of posts with equal texts the first."""

    def __init__(self, most: int) -> None:
        self._recent: deque[SeenPost] = deque(maxlen=most)
        self._live: asyncio.Queue[SeenPost] | None = None

    def note(self, results: Iterable[ScoredPost | Rejected]) -> None:
        """Add one batch."""
        for result in results:
            if (
                not isinstance(result, ScoredPost)
                or result.duplicate_text
                or result.verdict.sentiment is None
            ):
                continue
            topic = result.verdict.topic
            seen = SeenPost(
                result.post.channel,
                result.post.text,
                result.verdict.sentiment.label,
                topic.label if topic else None,
                result.model_version,
            )
            self._recent.append(seen)
            if self._live is not None and not self._live.full():
                self._live.put_nowait(seen)

    def recent(self, version: str) -> list[SeenPost]:
        """Those that the model `version` scored, oldest first."""
        return [seen for seen in self._recent if seen.model_version == version]

    def listen(self) -> None:
        """Keep live posts from now on."""
        self._live = asyncio.Queue(LIVE_WAITING)

    def hang_up(self) -> None:
        """Keep them no longer."""
        self._live = None

    async def next_live(self, most: int) -> list[SeenPost]:
        """At least one live post, at most `most`; only between `listen` and `hang_up`."""
        assert self._live is not None, "nobody listens"
        posts = [await self._live.get()]
        while len(posts) < most and not self._live.empty():
            posts.append(self._live.get_nowait())
        return posts
