"""Generated days of posts about ten subjects, as the log of one `subject-activity` partition.

Word soup only; what matters are rates, copies and sentiments. The same seed gives the same stream.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from streamapp.contracts.messages import (
    Activity,
    ActivityBatch,
    Sentiment,
    SourceFrontier,
    SourceOffset,
    SubjectActivity,
    Tick,
)
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.story import fingerprint, format_fingerprint

START_MS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS
DAY_MINUTES = 24 * 60
SOURCES = (("news-uuid", 0), ("news-uuid", 1), ("chat-uuid", 0))
MODEL = "generated-1"

# Negative stories and all stories an hour; a few busy topics, a tail of quiet companies.
SUBJECT_RATES: dict[str, tuple[float, float]] = {
    "topic:markets": (20.0, 70.0),
    "topic:central_banks": (12.0, 45.0),
    "topic:energy": (8.0, 25.0),
    "company:AAA": (3.0, 10.0),
    "company:BBB": (2.0, 8.0),
    "company:CCC": (1.5, 4.0),
    "company:DDD": (1.0, 3.0),
    "company:EEE": (0.5, 2.0),
    "company:FFF": (0.2, 1.0),
    "company:GGG": (0.1, 0.3),
}
BUSY_SUBJECT = "topic:markets"
HEADS = ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se")
TAILS = ("lar", "mon", "nik", "pest", "rond", "sil", "tav", "vex", "wim", "yor", "zan", "qil")
WORDS = tuple(head + tail for head in HEADS for tail in TAILS)


@dataclass(frozen=True)
class Told:
    """One post about one subject before it has a place in a log."""

    subject: str
    event_time_ms: int
    sentiment: Sentiment
    text: str
    model: str = MODEL


@dataclass
class Story:
    """Draws texts, each one another story."""

    random: np.random.Generator
    drawn: int = 0

    def text(self) -> str:
        """A headline of 9 to 15 words."""
        self.drawn += 1
        words = self.random.integers(0, len(WORDS), size=int(self.random.integers(9, 16)))
        return " ".join(WORDS[word] for word in words)


@dataclass
class DayRules:
    """How a day goes. `boost` maps (subject, event minute) to the factors on negative and on other stories."""

    minutes: int = DAY_MINUTES
    dispersion: float = 0.2
    copies: float = 0.3
    rates: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(SUBJECT_RATES))


def background(seed: int, rules: DayRules | None = None, boost: "Boost | None" = None) -> list[Told]:
    """A day of stories: Poisson in every minute, with an hourly rate that itself varies (gamma, coefficient of
    variation `dispersion`), and now and then copies of a story within the next half hour."""
    rules = rules or DayRules()
    random = np.random.default_rng(seed)
    stories = Story(random)
    posts: list[Told] = []
    for subject, (negative, total) in rules.rates.items():
        shape = 1 / rules.dispersion**2
        hourly = random.gamma(shape, 1 / shape, size=rules.minutes // 60 + 1)
        for minute in range(rules.minutes):
            factors = boost.factors(subject, minute) if boost else (1.0, 1.0)
            rate = hourly[minute // 60] / 60
            for sentiment, mean in (
                ("negative", negative * factors[0]),
                ("other", (total - negative) * factors[1]),
            ):
                for _ in range(random.poisson(mean * rate)):
                    posts += _tell(subject, minute, sentiment, stories, rules.copies)
    return posts


@dataclass(frozen=True)
class Boost:
    """Factors on the negative and the other stories of some subjects (None: all) for a while."""

    begin_minute: int
    end_minute: int
    negative: float
    other: float
    subjects: tuple[str, ...] | None = None

    def factors(self, subject: str, minute: int) -> tuple[float, float]:
        """(negative, other) factors of that subject and minute."""
        concerned = self.subjects is None or subject in self.subjects
        if concerned and self.begin_minute <= minute < self.end_minute:
            return self.negative, self.other
        return 1.0, 1.0


def _tell(subject: str, minute: int, sentiment: str, stories: Story, copies: float) -> list[Told]:
    random = stories.random
    told: Sentiment = (
        "negative" if sentiment == "negative" else ("neutral" if random.random() < 0.7 else "positive")
    )
    at = START_MS + minute * MINUTE_MS + int(random.integers(MINUTE_MS))
    first = Told(subject, at, told, stories.text())
    posts = [first]
    for _ in range(random.poisson(copies)):
        later = at + int(random.integers(30 * MINUTE_MS))
        posts.append(replace(first, event_time_ms=later, text=copy_of(first.text, random)))
    return posts


def copy_of(text: str, random: np.random.Generator) -> str:
    """The text again: exact, as a repost, or with its source added."""
    return (text, f"RT @someone: {text}", f"{text} - Reuters")[int(random.integers(3))]


def quiet_day(seed: int) -> list[Told]:
    """Nothing happens."""
    return background(seed)


def copied_story(seed: int, spread_minutes: float) -> list[Told]:
    """A quiet day in which one negative story about a quiet company is told 50 times within that time."""
    random = np.random.default_rng(seed + 10_000)
    text = Story(random).text()
    begin = START_MS + 12 * 60 * MINUTE_MS
    times = begin + (random.random(50) * spread_minutes * MINUTE_MS).astype(int)
    return background(seed) + [
        Told("company:CCC", int(at), "negative", copy_of(text, random)) for at in times
    ]


def doubled_volume(seed: int) -> list[Told]:
    """From noon on twice the stories about everything, with the same share of negative ones."""
    return background(seed, boost=Boost(12 * 60, DAY_MINUTES, 2.0, 2.0))


def surge_day(seed: int) -> list[Told]:
    """For three hours from 14:00 three times the negative stories about the busy subject."""
    return background(seed, boost=Boost(14 * 60, 17 * 60, 3.0, 1.0, (BUSY_SUBJECT,)))


def as_log(
    posts: Iterable[Told], tail_ms: int = 4 * MINUTE_MS, batch_ms: int = 20_000
) -> list[SubjectActivity]:
    """The posts as a log: batches of 20 s of event time per subject, a tick whenever a minute begins, and a last tick
    beyond the lateness so that the last minutes close."""
    placed = _placed(sorted(posts, key=lambda post: (post.event_time_ms, post.subject, post.text)))
    log: list[SubjectActivity] = []
    reached = dict.fromkeys(SOURCES, -1)
    batch: dict[str, list[Activity]] = {}
    edge = None
    for subject, activity in placed:
        slot = activity.event_time_ms // batch_ms
        if edge is not None and slot != edge:
            log += _flush(batch)
            if slot * batch_ms // MINUTE_MS != edge * batch_ms // MINUTE_MS:
                log.append(tick(reached, slot * batch_ms))
        edge = slot
        batch.setdefault(subject, []).append(activity)
        source = activity.source_offset
        reached[(source.topic_uuid, source.partition)] = source.offset
    log += _flush(batch)
    if edge is not None:
        log.append(tick(reached, (edge + 1) * batch_ms + tail_ms))
    return log


def _placed(posts: list[Told]) -> list[tuple[str, Activity]]:
    offsets = dict.fromkeys(SOURCES, -1)
    placed = []
    for number, post in enumerate(posts):
        source = SOURCES[number % len(SOURCES)]
        offsets[source] += 1
        placed.append((post.subject, activity_of(post, SourceOffset(*source, offsets[source]))))
    return placed


def activity_of(post: Told, source_offset: SourceOffset) -> Activity:
    """The activity that score would send for the post."""
    return Activity(
        source_offset=source_offset,
        post_id=f"p-{source_offset.topic_uuid}-{source_offset.partition}-{source_offset.offset}",
        channel="chat" if source_offset.topic_uuid.startswith("chat") else "news",
        event_time_ms=post.event_time_ms,
        sentiment=post.sentiment,
        story_fingerprint=format_fingerprint(fingerprint(post.text)),
        headline=post.text[:120],
        model_version=post.model,
    )


def _flush(batch: dict[str, list[Activity]]) -> list[SubjectActivity]:
    messages: list[SubjectActivity] = [
        ActivityBatch(subject=subject, activities=tuple(activities)) for subject, activities in batch.items()
    ]
    batch.clear()
    return messages


def tick(reached: dict[tuple[str, int], int], frontier_ms: int, caught_up: bool = True) -> Tick:
    """A tick in which every source has come to the same frontier."""
    return Tick(
        worker="w",
        sources=tuple(
            SourceFrontier(
                topic_uuid=uuid,
                partition=partition,
                offset=offset,
                frontier_ms=frontier_ms,
                caught_up=caught_up,
            )
            for (uuid, partition), offset in reached.items()
        ),
    )


# Negative stories and all stories an hour on the demo's kind of day.
TRADING_DAY_RATES: dict[str, tuple[float, float]] = {
    "company:HURT": (1.0, 4.0),
    "topic:hurt": (6.0, 20.0),
    "topic:calm": (3.0, 20.0),
    "company:AAA": (1.0, 4.0),
    "company:BBB": (2.0, 5.0),
    "company:CCC": (3.0, 6.0),
}


def trading_day(seed: int, quiet_minutes: int = 180) -> list[Told]:
    """6.5 hours with little past: quiet, then 45 negative stories about a company in 90 minutes and, an hour later,
    40 about a topic in 75."""
    posts = background(seed, DayRules(minutes=390, rates=TRADING_DAY_RATES))
    stories = Story(np.random.default_rng(seed + 20_000))
    for subject, told, length, begin in (
        ("company:HURT", 45, 90, quiet_minutes),
        ("topic:hurt", 40, 75, quiet_minutes + 60),
    ):
        for minute in stories.random.uniform(begin, begin + length, told):
            posts.append(Told(subject, START_MS + int(minute * MINUTE_MS), "negative", stories.text()))
    return posts
