"""Which posts are worth a person's minute, and why: drawn by audit, for doubt, for novelty, or by an alert.

The audit is what a model is judged on, so nothing but chance may decide it. A post is drawn when a hash of its source
offset falls below a rate that the settings fix: no verdict, text, source, time, cap, worker, batch or replay has a
part in it, and what else is asked comes after it and takes nothing from it. Must not know brokers or clocks.

Why the audit has no cap of its own, and a rate that does not follow the stream: either would draw less in busy hours
than in quiet ones, and busy hours are those of bad news. What the cap promises it keeps on average over a stream of
`expected_posts_per_hour`; where that number is wrong, audits are more or fewer, and uniform all the same.
"""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct

from streamapp.contracts.messages import Alert, DrawnBy, LabelRequest, ScoredPost, SourceOffset, Verdict
from streamapp.core.activity import subjects_of
from streamapp.core.event_time import HOUR_MS
from streamapp.core.label_caps import HourlyCounts, SourcePlaces, StoriesTold, allowed_by_now, share_of
from streamapp.core.novelty import Vocabulary
from streamapp.core.story import MAX_POST_ID_BYTES, parse_fingerprint, scatter

# Of what a source partition may ask in an hour novelty takes at most half, and one subject a quarter for each reason:
# counted together, a flood of novel posts would leave doubt no subject to ask about.
SUBJECT_FRACTION = 4
NOVEL_FRACTION = 2
# Doubtful posts per request that may be made: enough to choose among after stories, sources and subjects are spread.
DOUBTFUL_PER_REQUEST = 4
BAR_STEP = 0.005

_BITS = 64
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << _BITS) - 1


class LabelRules(Struct, frozen=True, kw_only=True):
    """How much is asked. Caps are those of the whole stream, over all workers.

    `audit_share` of `requests_per_hour` is meant for the audit, the rest is the cap of doubt and novelty together.
    `uncertain_margin`: a post with more between its two likeliest sentiments is never doubtful. `novel_share`: of a
    novel text so many words were not seen of late.
    """

    requests_per_hour: int = 60
    requests_per_source_and_hour: int = 20
    audit_share: float = 0.2
    expected_posts_per_hour: int = 10_000
    uncertain_margin: float = 0.2
    novel_share: float = 0.25

    @property
    def audit_rate(self) -> float:
        """The probability of any post to be drawn by the audit."""
        return min(1.0, self.audit_share * self.requests_per_hour / self.expected_posts_per_hour)

    @property
    def others_per_hour(self) -> int:
        """How much doubt and novelty may ask in an hour together."""
        return round(self.requests_per_hour * (1.0 - self.audit_share))


class AuditDraw:
    """The uniform draw: a pure function of the source offset, so that every delivery of a post draws the same.

    SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) entered at position `offset`, seeded by a keyed hash of the
    partition; its key keeps it apart from every other hash of offsets. A lower rate draws a subset.
    """

    def __init__(self, rate: float) -> None:
        """`rate` is between 0 and 1."""
        self.below = round(rate * (1 << _BITS))
        self._seeds: dict[tuple[str, int], int] = {}

    def draws(self, source: SourceOffset) -> bool:
        """Whether the post of that offset is audited."""
        return self.number_of(source) < self.below

    def number_of(self, source: SourceOffset) -> int:
        """64 bits as if by chance; the audit draws those below `below`."""
        partition = (source.topic_uuid, source.partition)
        seed = self._seeds.get(partition)
        if seed is None:
            name = f"{source.topic_uuid}:{source.partition}".encode()
            digest = blake2b(name, key=b"streamapp label audit", digest_size=8).digest()
            seed = self._seeds[partition] = int.from_bytes(digest, "little")
        return scatter((seed + source.offset * _GOLDEN) & _MASK)


class RequestChooser:
    """Chooses among the scored posts of one worker, in the order in which they are published.

    Its memory is bounded and starts empty: after a restart the audit is what it was, while doubt and novelty may ask
    once more what an hour allows, and about a story that was asked before.
    """

    def __init__(self, rules: LabelRules, places: SourcePlaces, vocabulary: Vocabulary | None = None) -> None:
        self._rules = rules
        self._places = places
        self._audit = AuditDraw(rules.audit_rate)
        self._vocabulary = vocabulary or Vocabulary()
        self._counts: defaultdict[int, HourlyCounts] = defaultdict(HourlyCounts)
        self._stories = StoriesTold()
        doubtful_per_hour = DOUBTFUL_PER_REQUEST * rules.others_per_hour
        self._doubtful_share = min(1.0, doubtful_per_hour / rules.expected_posts_per_hour)
        self._bars: dict[str, float] = {}

    def choose(self, posts: Iterable[ScoredPost]) -> list[DrawnBy | None]:
        """For each post, in order, why to ask about it, or None. One reason a post; the audit comes first."""
        return [self._choose(scored) for scored in posts]

    def _choose(self, scored: ScoredPost) -> DrawnBy | None:
        number = self._audit.number_of(scored.source_offset)
        reason = self._reason(scored, number & 1 == 1)
        if number < self._audit.below:
            self._stories.note(parse_fingerprint(scored.story_fingerprint), scored.post.event_time_ms)
            return "audit"
        return reason if reason is not None and self._admit(scored, reason) else None

    def _reason(self, scored: ScoredPost, read: bool) -> DrawnBy | None:
        """Why the post itself is worth asking about. Half of the posts are read for novelty, which is what costs
        time: there are far more novel posts than may be asked about.
        """
        if scored.duplicate_text or "other_language" in scored.post.flags:
            return None
        novel = read and self._vocabulary.read(
            scored.post.text, scored.verdict.companies, self._rules.novel_share
        )
        if self._is_doubtful(scored.post.channel, margin_of(scored.verdict)):
            return "uncertain"
        return "novel" if novel else None

    def _is_doubtful(self, channel: str, margin: float) -> bool:
        """Whether a margin is among the smallest of its channel.

        The bar follows the quantile that gives 4 doubtful posts a request, one small step a post (frugal streaming:
        Ma, Muthukrishnan, Sandler, 2013); it never rises above `uncertain_margin`.
        """
        bar = self._bars.get(channel, self._rules.uncertain_margin)
        doubtful = margin <= bar
        if doubtful:
            self._bars[channel] = max(0.0, bar - BAR_STEP * (1.0 - self._doubtful_share))
        elif bar < self._rules.uncertain_margin:
            self._bars[channel] = min(self._rules.uncertain_margin, bar + BAR_STEP * self._doubtful_share)
        return doubtful

    def _admit(self, scored: ScoredPost, reason: DrawnBy) -> bool:
        """Whether caps, subjects and stories leave room; if so it is taken."""
        place = self._places.of(scored.source_offset)
        if place is None:
            return False
        moment_ms = scored.post.event_time_ms
        hour = moment_ms // HOUR_MS
        counts = self._counts[place].at(hour)
        keys = self._keys(scored, reason)
        if counts is None or not self._has_room(counts, keys, place, moment_ms):
            return False
        fingerprint = parse_fingerprint(scored.story_fingerprint)
        if self._stories.knows(fingerprint, moment_ms):
            return False
        self._stories.note(fingerprint, moment_ms)
        counts.update(keys)
        return True

    def _keys(self, scored: ScoredPost, reason: DrawnBy) -> list[str]:
        """What the request counts for. The first letter keeps kinds apart, whatever a feed calls itself."""
        subjects = [f"s{reason}:{subject}" for subject in subjects_of(scored)]
        return ["a", f"f{scored.post.source or ''}", f"r{reason}", *subjects]

    def _has_room(self, counts: Tally[str], keys: list[str], place: int, moment_ms: int) -> bool:
        rules, hour = self._rules, moment_ms // HOUR_MS
        share = share_of(rules.others_per_hour, place, self._places.partitions, hour)
        limits = {
            "a": allowed_by_now(share, moment_ms),
            "f": share_of(rules.requests_per_source_and_hour, place, self._places.partitions, hour),
            "r": -(-share // NOVEL_FRACTION) if keys[2] == "rnovel" else share,
            "s": max(1, share // SUBJECT_FRACTION),
        }
        return all(counts[key] < limits[key[0]] for key in keys)


def margin_of(verdict: Verdict) -> float:
    """How far the likeliest sentiment is ahead of the second (margin sampling: Scheffer, Decomain, Wrobel, 2001).

    Without a sentiment the least that a topic's probability leaves between the first and the second; 1 with neither.
    """
    sentiment = verdict.sentiment
    if sentiment is not None:
        _, middle, high = sorted((sentiment.negative, sentiment.neutral, sentiment.positive))
        return high - middle
    return max(0.0, 2.0 * verdict.topic.probability - 1.0) if verdict.topic is not None else 1.0


def request_of(scored: ScoredPost, drawn: DrawnBy) -> LabelRequest:
    """The request for a scored post, with its whole text and what the model said.

    An audit request is blind: a person who sees a verdict agrees with it more often than one who does not, and the
    model would be judged by its own echo. It also is the same whichever model scored the post.
    """
    blind = drawn == "audit"
    return LabelRequest(
        post_id=scored.post.id,
        channel=scored.post.channel,
        text=scored.post.text,
        drawn=drawn,
        verdict=None if blind else scored.verdict,
        model_version=None if blind else scored.model_version,
        source=scored.post.source,
    )


def alert_requests(alert: Alert) -> list[LabelRequest]:
    """The requests of an alert's opening: one for each of its top stories, with the headline as text.

    A pure function of the revision, so that a repeated alert repeats them. Trend state cuts post ids: one that is
    long enough to have been cut may name no post, or another one, and is left out.
    """
    if alert.state != "opened":
        return []
    requests: dict[str, LabelRequest] = {}
    for story in alert.top_stories:
        # A cut may fall up to 3 bytes short of the limit, before a character that does not fit.
        if len(story.post_id.encode("utf-8", "replace")) < MAX_POST_ID_BYTES - 3:
            request = LabelRequest(
                post_id=story.post_id, channel=story.channel, text=story.headline, drawn="alert"
            )
            requests.setdefault(story.post_id, request)
    return list(requests.values())
