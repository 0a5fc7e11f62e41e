"""Generated days in which the workers change to another model: what it calls the same posts, and what their shadow
runs counted, as the log of one `subject-activity` partition.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

from streamapp.contracts.messages import Sentiment, SubjectActivity, SwapPair, SwapPairs, Tick
from streamapp.core.event_time import MINUTE_MS
from tests.surge_streams import MODEL, START_MS, Boost, DayRules, Told, as_log, background

OLD, NEW = MODEL, "generated-2"
WORKERS = ("w-1", "w-2")
DAY_MINUTES = 18 * 60
SWAP_MINUTE = 11 * 60
# The second worker changes later.
SECOND_SWAP_MINUTES = 7
SHADOW_POSTS = 500

# Few negative stories in busy subjects: where a model that calls more of them negative looks most like a surge.
RATES: dict[str, tuple[float, float]] = {
    "topic:markets": (32.0, 60.0),
    "topic:central_banks": (4.0, 45.0),
    "topic:energy": (2.0, 20.0),
    "company:AAA": (1.0, 15.0),
    "company:BBB": (2.0, 8.0),
    "company:CCC": (1.0, 4.0),
    "company:DDD": (0.2, 2.0),
}
NEGATIVE_RATE = sum(negative for negative, _ in RATES.values())
OTHER_RATE = sum(total - negative for negative, total in RATES.values())
# Subject and sentiment that a model gives to a post to which the old one gave the post's own.
Model = Callable[[Told], tuple[str, Sentiment]]


def chance(name: str, post: Told) -> float:
    """A number in [0, 1) that is the same for every copy of a story."""
    return _chance(name, re.sub(r"^RT @someone: | - Reuters$", "", post.text))


@lru_cache(maxsize=1 << 18)
def _chance(name: str, text: str) -> float:
    digest = blake2b(f"{name}\n{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def same(post: Told) -> tuple[str, Sentiment]:
    """A model that agrees with the old one."""
    return post.subject, post.sentiment


def three_in_ten_more(post: Told) -> tuple[str, Sentiment]:
    """Calls 30 % more posts negative, everywhere at the same chance."""
    turned = post.sentiment != "negative" and chance("more", post) < 0.3 * NEGATIVE_RATE / OTHER_RATE
    return post.subject, "negative" if turned else post.sentiment


def thirty_points_more(post: Told) -> tuple[str, Sentiment]:
    """Calls every third post negative that was not."""
    turned = post.sentiment != "negative" and chance("points", post) < 1 / 3
    return post.subject, "negative" if turned else post.sentiment


def half_as_many(post: Told) -> tuple[str, Sentiment]:
    """Calls half of the negative posts neutral."""
    turned = post.sentiment == "negative" and chance("half", post) < 0.5
    return post.subject, "neutral" if turned else post.sentiment


def markets_to_energy(post: Told) -> tuple[str, Sentiment]:
    """Moves 30 % of the posts of a busy, rather negative topic to a smaller one."""
    moves = post.subject == "topic:markets" and chance("moves", post) < 0.3
    return "topic:energy" if moves else post.subject, post.sentiment


def shadow(posts: list[Told], model: Model, worker: str, size: int = SHADOW_POSTS) -> SwapPairs:
    """What that worker's shadow counts on every second of the last posts before the swap."""
    mine = [post for post in posts if worker_of(post) == worker and post.event_time_ms < swap_ms(worker)]
    counted: Counter[tuple[str | None, Sentiment, Sentiment, str | None]] = Counter()
    for post in sorted(mine, key=lambda post: post.event_time_ms)[-size:]:
        subject, sentiment = model(post)
        topic = _topic(post.subject)
        moved = _topic(subject) if subject != post.subject else None
        counted[topic, post.sentiment, sentiment, moved] += 1
    pairs = tuple(
        SwapPair(channel="news", topic=topic, old=old, new=new, posts=count, new_topic=moved)
        for (topic, old, new, moved), count in counted.items()
    )
    return SwapPairs(worker=worker, old_model_version=OLD, new_model_version=NEW, pairs=pairs)


def _topic(subject: str) -> str | None:
    return subject.removeprefix("topic:") if subject.startswith("topic:") else None


def worker_of(post: Told) -> str:
    """Which worker scores the post; a copy may go to the other one."""
    return WORKERS[post.event_time_ms % len(WORKERS)]


def swap_ms(worker: str) -> int:
    """When that worker changes its model."""
    return START_MS + (SWAP_MINUTE + WORKERS.index(worker) * SECOND_SWAP_MINUTES) * MINUTE_MS


def swapped(posts: Iterable[Told], model: Model) -> list[Told]:
    """The posts as they are scored when each worker changes to `model` at its time."""
    scored = []
    for post in posts:
        if post.event_time_ms >= swap_ms(worker_of(post)):
            subject, sentiment = model(post)
            scored.append(replace(post, subject=subject, sentiment=sentiment, model=NEW))
        else:
            scored.append(post)
    return scored


def swap_log(
    posts: list[Told], model: Model, pairs: Iterable[SwapPairs] | None = None
) -> list[SubjectActivity]:
    """The log of that day: each worker's pairs (None: those that its shadow counts) before its first new activity."""
    reports = [shadow(posts, model, worker) for worker in WORKERS] if pairs is None else list(pairs)
    log = as_log(swapped(posts, model))
    for report in reports:
        log.insert(_before(log, swap_ms(report.worker)), report)
    return log


def _before(log: list[SubjectActivity], event_time_ms: int) -> int:
    """Place after the last tick whose frontier is not beyond that time."""
    return max(
        place
        for place, message in enumerate(log)
        if isinstance(message, Tick) and (message.sources[0].frontier_ms or 0) <= event_time_ms
    )


def day(seed: int, boost: Boost | None = None) -> list[Told]:
    """A day at these rates, on the old model's scale."""
    return background(seed, DayRules(minutes=DAY_MINUTES, rates=RATES), boost)
