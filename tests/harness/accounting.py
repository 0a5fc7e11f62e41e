"""Independent book-keeping: what the topics must add up to, computed without the code under test."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct

from streamapp.contracts.messages import Alert, LabelRequest, ScoredPost, SourceOffset, TrendMinute
from streamapp.contracts.raw_record import RawRecord
from tests.harness.cluster import TestCluster

MINUTE_MS = 60_000


class Books(Struct, frozen=True):
    """`in`, `scored` and `dead` by distinct source offset; repeats are records beyond the distinct ones."""

    taken_in: int
    scored: int
    dead: int
    scored_repeats: int
    overlap: int

    @property
    def balanced(self) -> bool:
        """The accounting identity: in = scored + dead, and nothing is both."""
        return self.taken_in == self.scored + self.dead and self.overlap == 0


def balance(cluster: TestCluster, inputs: Iterable[str] = ("news", "chat", "redriven")) -> Books:
    """The books of a cluster, from the broker's end offsets and two topics. `redriven` is written in transactions, and
    these take offsets too: there records are counted.
    """
    taken_in = sum(
        len(cluster.read(topic)) if topic == "redriven" else sum(cluster.end_offsets(topic).values())
        for topic in inputs
    )
    scored_posts = cluster.scored()
    scored = scored_offsets(scored_posts)
    dead = dead_offsets(cluster.read("dead-letters"))
    return Books(taken_in, len(scored), len(dead), len(scored_posts) - len(scored), len(scored & dead))


def scored_offsets(scored_posts: Iterable[ScoredPost]) -> set[tuple[str, int, int]]:
    """The distinct source offsets of scored posts."""
    return {
        (s.source_offset.topic_uuid, s.source_offset.partition, s.source_offset.offset) for s in scored_posts
    }


def dead_offsets(dead_letters: Iterable[RawRecord]) -> set[tuple[str, int, int]]:
    """The distinct source offsets of dead letters, from their headers."""
    dead = set()
    for record in dead_letters:
        headers = {name: value.decode() for name, value in record.headers}
        dead.add(
            (
                headers["streamapp-origin-topic-uuid"],
                int(headers["streamapp-origin-partition"]),
                int(headers["streamapp-origin-offset"]),
            )
        )
    return dead


def subjects(scored: ScoredPost) -> list[str]:
    """The subjects that a post counts for; written anew, not taken from the code under test."""
    if scored.verdict.sentiment is None or "other_language" in scored.post.flags:
        return []
    found = [f"topic:{scored.verdict.topic.label}"] if scored.verdict.topic else []
    symbols = [mention.symbol for mention in scored.verdict.companies]
    known = [symbol for symbol in symbols if symbol != "unlisted"][:5]
    found += [f"company:{symbol}" for symbol in dict.fromkeys(known)]
    if len(known) < len(symbols):
        found.append("company:unlisted")
    return found


def recount(scored_posts: Iterable[ScoredPost]) -> dict[tuple[str, int], Counter[str]]:
    """Posts by sentiment for every (subject, minute start in ms), each source offset once."""
    seen = set()
    counts: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for scored in scored_posts:
        if scored.source_offset in seen:
            continue
        seen.add(scored.source_offset)
        assert scored.verdict.sentiment is not None
        minute = scored.post.event_time_ms // MINUTE_MS * MINUTE_MS
        for subject in subjects(scored):
            counts[subject, minute][scored.verdict.sentiment.label] += 1
    return counts


def newest_trends(trends: Iterable[TrendMinute]) -> dict[tuple[str, int], TrendMinute]:
    """Of every subject and minute the record with the greatest revision."""
    newest: dict[tuple[str, int], TrendMinute] = {}
    for trend in trends:
        key = (trend.subject, trend.minute_start_ms)
        if key not in newest or trend.revision > newest[key].revision:
            newest[key] = trend
    return newest


def conflicting_revisions(trends: Iterable[TrendMinute], alerts: Iterable[Alert]) -> list[str]:
    """Records that repeat an identity with another content; there must be none."""
    contents: dict[tuple[object, ...], set[object]] = defaultdict(set)
    for trend in trends:
        contents["trend", trend.subject, trend.minute_start_ms, trend.revision].add(trend)
    for alert in alerts:
        contents["alert", alert.alert_id, alert.revision].add(alert)
    return [str(key) for key, values in contents.items() if len(values) > 1]


def trends_differ(cluster: TestCluster, closed_before_ms: int) -> list[str]:
    """How `subject-trends` differs from a recount of `scored-posts`, for minutes before `closed_before_ms`."""
    return compare_trends(cluster.scored(), cluster.trends(), closed_before_ms)


def compare_trends(
    scored_posts: Iterable[ScoredPost], trends: Iterable[TrendMinute], closed_before_ms: int
) -> list[str]:
    """How the newest trends differ from a recount of the scored posts, for minutes before `closed_before_ms`."""
    counted = {key: value for key, value in recount(scored_posts).items() if key[1] < closed_before_ms}
    told = {key: value for key, value in newest_trends(trends).items() if key[1] < closed_before_ms}
    differences = [f"{key} is missing from the trends" for key in counted.keys() - told.keys()]
    differences += [f"{key} is told but never was" for key in told.keys() - counted.keys()]
    for key in counted.keys() & told.keys():
        posts = told[key].posts
        mine = counted[key]
        if (posts.negative, posts.neutral, posts.positive) != (
            mine["negative"],
            mine["neutral"],
            mine["positive"],
        ):
            differences.append(f"{key}: told {posts}, counted {dict(mine)}")
    return sorted(differences)


def asked_differently(
    scored_posts: Iterable[ScoredPost],
    alerts: Iterable[Alert],
    requests: Iterable[LabelRequest],
    audit_rate: float,
) -> list[str]:
    """How the label requests differ from what must be asked: every post that chance drew and no other as `audit`,
    and the top stories of every alert that opened.
    """
    asked: dict[str, set[str]] = defaultdict(set)
    for request in requests:
        asked[request.drawn].add(request.post_id)
    drawn = {scored.post.id for scored in scored_posts if chance_of(scored.source_offset) < audit_rate}
    told = {story.post_id for alert in alerts if alert.state == "opened" for story in alert.top_stories}
    return sorted(
        [f"{post_id} was drawn and not asked about" for post_id in drawn - asked["audit"]]
        + [f"{post_id} was asked about as audit and not drawn" for post_id in asked["audit"] - drawn]
        + [f"{post_id} is told by an alert and not asked about" for post_id in told - asked["alert"]]
        + [
            f"{post_id} was asked about for an alert that tells no such story"
            for post_id in asked["alert"] - told
        ]
    )


def chance_of(source: SourceOffset) -> float:
    """The audit's number of a source offset in [0, 1): SplitMix64, written anew."""
    name = f"{source.topic_uuid}:{source.partition}".encode()
    seed = int.from_bytes(blake2b(name, key=b"streamapp label audit", digest_size=8).digest(), "little")
    state = (seed + source.offset * 0x9E3779B97F4A7C15) % 2**64
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return (state ^ state >> 31) / 2**64
