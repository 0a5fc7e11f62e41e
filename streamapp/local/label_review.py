"""Posts in a terminal, one key a label: what a key does, and how a post looks.

A label is acknowledged by Kafka before the next post is shown, so leaving at any moment loses none.
"""

from __future__ import annotations

import string
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from streamapp.cluster.kafka_clients import open_producer
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import Label, LabelRequest, Sentiment
from streamapp.contracts.topics import LABELS
from streamapp.core.foreign_text import printable
from streamapp.local.label_queue import LabelQueue
from streamapp.local.terminal_keys import terminal_keys
from streamapp.settings import Settings

ACK_TIMEOUT_SECONDS: Final = 60
MAX_SHOWN_CHARS: Final = 2_000
SENTIMENT_KEYS: Final[dict[str, Sentiment]] = {
    "1": "negative", "n": "negative", "2": "neutral", "o": "neutral", "3": "positive", "p": "positive",
}  # fmt: skip
TOPIC_KEYS: Final = string.ascii_lowercase + string.ascii_uppercase

Keys = Iterator[str]


class ReviewOptions(Struct, frozen=True):
    """Whose labels these are, the topics there are, and after how many posts to stop."""

    author: str
    topics: Sequence[str]
    limit: int


class Reviewed(Struct):
    """What was done: posts that got a label, and labels."""

    posts: int = 0
    labels: int = 0


class Review:
    """One sitting. `send` returns when the label is safe; `keys` gives one key at a time and may end."""

    def __init__(
        self, console: Console, keys: Keys, send: Callable[[Label], None], options: ReviewOptions
    ) -> None:
        self._console = console
        self._keys = keys
        self._send = send
        self._options = options
        self._labelled: set[str] = set()
        self.done = Reviewed()

    def run(self, queue: LabelQueue) -> Reviewed:
        """Shows post after post until the queue, the limit or the keys end, or a person leaves."""
        posts = queue.waiting[: self._options.limit]
        at = 0
        while 0 <= at < len(posts):
            step = self._one(posts[at], (at + 1, len(posts)))
            if step is None:
                break
            at = max(0, at + step)
            queue.left = len(queue.waiting) - len(self._labelled)
        return self.done

    def _one(self, request: LabelRequest, place: tuple[int, int]) -> int | None:
        """Shows one post and takes its keys; how far to go on from it, None to leave."""
        self._console.print(post_panel(request, place))
        self._console.print(Text(self._help(request), style="dim"))
        for key in self._keys:
            if key in SENTIMENT_KEYS:
                self._say(request, sentiment=SENTIMENT_KEYS[key])
                return 1
            if key == "y" and verdict_is_shown(request) and self._agree(request):
                return 1
            if key == "t" and self._options.topics and not self._topic(request):
                return None
            if key in ("s", "u"):
                return 1 if key == "s" else -1
            if key == "q":
                return None
        return None

    def _agree(self, request: LabelRequest) -> bool:
        verdict = request.verdict
        if verdict is None or (verdict.sentiment is None and verdict.topic is None):
            return False
        topic = verdict.topic.label if verdict.topic and verdict.topic.label in self._options.topics else None
        self._say(request, sentiment=verdict.sentiment.label if verdict.sentiment else None, topic=topic)
        return True

    def _topic(self, request: LabelRequest) -> bool:
        """Asks for a topic; the post stays. False where the keys ended."""
        choices = dict(zip(TOPIC_KEYS, self._options.topics, strict=False))
        self._console.print(Text("  ".join(f"{key} {topic}" for key, topic in choices.items()), style="cyan"))
        for key in self._keys:
            if key in choices:
                self._say(request, topic=choices[key])
            return True
        return False

    def _say(
        self, request: LabelRequest, sentiment: Sentiment | None = None, topic: str | None = None
    ) -> None:
        label = Label(
            post_id=request.post_id,
            text=request.text,
            channel=request.channel,
            source=request.source,
            sentiment=sentiment,
            topic=topic,
            author=self._options.author,
            labelled_at_ms=time.time_ns() // 1_000_000,
            origin="person",
            drawn=request.drawn,
        )
        self._send(label)
        self._labelled.add(request.post_id)
        self.done.labels += 1
        self.done.posts = len(self._labelled)
        self._console.print(Text("✓ " + " ".join(filter(None, (sentiment, topic))), style="green"))

    def _help(self, request: LabelRequest) -> str:
        keys = ["1 negative", "2 neutral", "3 positive"]
        keys += ["t topic"] if self._options.topics else []
        keys += ["y the verdict is right"] if verdict_is_shown(request) else []
        return "  ".join([*keys, "s skip", "u back", "q leave"])


def verdict_is_shown(request: LabelRequest) -> bool:
    """Labels of uniformly drawn posts judge the model, so its own answer must not lead them."""
    return request.verdict is not None and request.drawn != "audit"


def post_panel(request: LabelRequest, place: tuple[int, int]) -> Panel:
    """A post as it is shown: strangers wrote it, so nothing in it is obeyed."""
    shown = printable(request.text, keep="\n")
    if len(shown) > MAX_SHOWN_CHARS:
        shown = shown[: MAX_SHOWN_CHARS - 1] + "…"
    parts: list[Text] = [Text(shown)]
    if verdict_is_shown(request):
        parts.append(Text(f"\n{_verdict_words(request)}", style="dim"))
    title = (
        f"{place[0]} of {place[1]} · {request.channel} · {request.drawn} · {printable(request.post_id)[:60]}"
    )
    return Panel(Group(*parts), title=Text(title), title_align="left")


def review_queue(settings: Settings, console: Console, queue: LabelQueue, options: ReviewOptions) -> Reviewed:
    """A sitting at this terminal, labels to Kafka. Raises the client's errors."""
    producer = open_producer(settings.broker)
    topic = settings.topics.prefix + LABELS.name

    def send(label: Label) -> None:
        sent: Any = producer.send(topic, key=label.post_id.encode(), value=encode(label))
        sent.get(timeout=ACK_TIMEOUT_SECONDS)

    try:
        with terminal_keys() as keys:
            return Review(console, keys, send, options).run(queue)
    finally:
        producer.close(timeout=ACK_TIMEOUT_SECONDS)


def _verdict_words(request: LabelRequest) -> str:
    verdict = request.verdict
    said = []
    if verdict and verdict.sentiment:
        said.append(f"{verdict.sentiment.label} {getattr(verdict.sentiment, verdict.sentiment.label):.2f}")
    if verdict and verdict.topic:
        said.append(f"{printable(verdict.topic.label)} {verdict.topic.probability:.2f}")
    return "the model says: " + (", ".join(said) or "nothing")
