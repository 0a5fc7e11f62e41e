"""Every message that crosses a process boundary, as one frozen struct each.

Glossary
  Post          one incoming news item or chat message; its channel is `news` or `chat`
  Verdict       what the model says of a post: sentiment, topic, companies
  ScoredPost    a post, its verdict and the version of the model that gave it
  Subject       what a trend is about: `topic:central_banks` or `company:AAPL`
  Activity      what one scored post adds to one subject
  Story         posts that tell the same thing; surges count stories, not copies
  Surge         far more negative stories about a subject than its own past explains
  Alert         the life of a surge: opened, updated, resolved, each revision with evidence
  Frontier      how far event time has come on one source partition
  Watermark     how far it has come for one partition of `subject-activity`
  Dead letter   an input that cannot be used, kept whole with the reason

Times are event times in milliseconds since the Unix epoch (UTC) unless a name says otherwise.
Fields may be added with a default; a field is never renamed, removed or given another meaning
without a new `contract_version`.
"""

from typing import Literal

from msgspec import Struct

CONTRACT_VERSION = 1

Channel = Literal["news", "chat"]
Sentiment = Literal["negative", "neutral", "positive"]
SENTIMENTS: tuple[Sentiment, ...] = ("negative", "neutral", "positive")

PostFlag = Literal["time_missing", "time_in_future", "other_language", "text_truncated"]

DeadLetterReason = Literal[
    "not_json",
    "wrong_type",
    "text_missing",
    "text_empty",
    "null_value",
    "bad_utf8",
    "too_large",
    "bad_time",
    "fails_alone",
    "not_finite",
    "bad_activity",
    "bad_label",
]


class SourceOffset(Struct, frozen=True, order=True):
    """Where a post came from: the identity that delivery and idempotency rest on.

    The topic's UUID is part of it because a recreated topic restarts its offsets.
    """

    topic_uuid: str
    partition: int
    offset: int


class Post(Struct, frozen=True, kw_only=True):
    """One usable input. `text` is cleaned (contracts/encoding.py) and never empty.

    `source` is the feed's own name (a wire, a forum); `symbols` are upper-case tickers as the feed gave them.
    """

    id: str
    channel: Channel
    text: str
    event_time_ms: int
    source: str | None = None
    symbols: tuple[str, ...] = ()
    flags: tuple[PostFlag, ...] = ()


class SentimentVerdict(Struct, frozen=True):
    """The likeliest sentiment and the calibrated probability of each."""

    label: Sentiment
    negative: float
    neutral: float
    positive: float


class TopicVerdict(Struct, frozen=True):
    """The likeliest topic and its probability."""

    label: str
    probability: float


class CompanyMention(Struct, frozen=True, kw_only=True):
    """A company the post is about. `span` is [start, end) in characters of the cleaned text, where known."""

    symbol: str
    name: str | None = None
    span: tuple[int, int] | None = None
    sentiment: Sentiment | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """What one forward pass says of a post. A head that the bundle lacks leaves its field None."""

    sentiment: SentimentVerdict | None = None
    topic: TopicVerdict | None = None
    companies: tuple[CompanyMention, ...] = ()


class ScoredPost(Struct, frozen=True, kw_only=True, tag_field="type", tag="scored-post"):
    """A post with its verdict. Key: post id. The newest record of an id supersedes the older ones."""

    contract_version: int = CONTRACT_VERSION
    post: Post
    verdict: Verdict
    model_version: str
    source_offset: SourceOffset
    story_fingerprint: str
    duplicate_text: bool = False


class Activity(Struct, frozen=True, kw_only=True):
    """What one scored post adds to one subject.

    `story_fingerprint` is the SimHash-64 of the cleaned text as 16 hex digits; `headline` its first 120 characters.
    """

    source_offset: SourceOffset
    post_id: str
    channel: Channel
    event_time_ms: int
    sentiment: Sentiment
    story_fingerprint: str
    headline: str
    model_version: str


class ActivityBatch(Struct, frozen=True, kw_only=True, tag_field="type", tag="activity-batch"):
    """The activities of one scored batch for one subject, offsets ascending per source partition. Key: subject."""

    contract_version: int = CONTRACT_VERSION
    subject: str
    activities: tuple[Activity, ...]


class SourceFrontier(Struct, frozen=True, kw_only=True):
    """How far one source partition has come.

    `offset` is the last acknowledged one (-1: none since assignment), `frontier_ms` the greatest
    min(event time, record timestamp) acknowledged, None where nothing was acknowledged yet; `record_ms` the
    greatest record timestamp acknowledged, of posts and others; before the first, that of the record that comes next.
    """

    topic_uuid: str
    partition: int
    offset: int
    frontier_ms: int | None
    caught_up: bool
    record_ms: int | None = None


class Tick(Struct, frozen=True, kw_only=True, tag_field="type", tag="tick"):
    """One worker's frontiers, sent to every `subject-activity` partition after the sends that they cover."""

    contract_version: int = CONTRACT_VERSION
    worker: str
    sources: tuple[SourceFrontier, ...]


class SwapPair(Struct, frozen=True, kw_only=True):
    """Posts that both models scored: how many the old one called `old`, the new one `new`.

    `topic` is the old model's (None: it gave none). `new_topic` is the new model's: None where it is the same, the
    empty string where the new model gave none.
    """

    channel: Channel
    topic: str | None
    old: Sentiment
    new: Sentiment
    posts: int
    new_topic: str | None = None


class SwapPairs(Struct, frozen=True, kw_only=True, tag_field="type", tag="swap-pairs"):
    """What a worker's shadow run saw before it switched models; puts both versions on one scale.

    Sent to every `subject-activity` partition before the worker's first activity of the new version. Of one worker and
    pair of versions the first message counts, so it may be sent again. `gate` is the same count over the posts that
    the gate judged by: what is believed where `pairs` are few.
    """

    contract_version: int = CONTRACT_VERSION
    worker: str
    old_model_version: str
    new_model_version: str
    pairs: tuple[SwapPair, ...]
    gate: tuple[SwapPair, ...] = ()


SubjectActivity = ActivityBatch | Tick | SwapPairs


class SentimentCounts(Struct, frozen=True):
    """Posts by sentiment."""

    negative: int = 0
    neutral: int = 0
    positive: int = 0


class TrendMinute(Struct, frozen=True, kw_only=True, tag_field="type", tag="trend-minute"):
    """One subject and closed event minute. Key: subject. Of one minute the greatest revision counts.

    `late_posts` are those within `posts` that came after the minute was decided; stories never change then.
    """

    contract_version: int = CONTRACT_VERSION
    subject: str
    minute_start_ms: int
    revision: int
    posts: SentimentCounts
    stories: int
    negative_stories: int
    expected_negative_stories: float
    late_posts: int = 0
    model_versions: tuple[str, ...] = ()


class StoryEvidence(Struct, frozen=True, kw_only=True):
    """One story of an alert: its first headline and how many posts told it so far."""

    headline: str
    post_id: str
    channel: Channel
    first_seen_ms: int
    copies: int
    story_fingerprint: str


AlertState = Literal["opened", "updated", "resolved"]
Severity = Literal["warning", "critical"]


class Alert(Struct, frozen=True, kw_only=True, tag_field="type", tag="alert"):
    """One revision of a surge's life. Key: subject; identity: (alert_id, revision), both deterministic.

    Expected and observed are negative stories within [window_start_ms, window_end_ms). `p_value` is the
    probability of at least the observed count under the subject's own past.
    """

    contract_version: int = CONTRACT_VERSION
    alert_id: str
    revision: int
    state: AlertState
    subject: str
    severity: Severity
    opened_at_ms: int
    window_start_ms: int
    window_end_ms: int
    expected_negative_stories: float
    observed_negative_stories: int
    observed_stories: int
    expected_share: float
    observed_share: float
    p_value: float
    reason: str
    top_stories: tuple[StoryEvidence, ...] = ()
    model_versions: tuple[str, ...] = ()


LabelOrigin = Literal["person", "import", "rule"]
DrawnBy = Literal["audit", "uncertain", "novel", "alert", "none"]


class LabelRequest(Struct, frozen=True, kw_only=True, tag_field="type", tag="label-request"):
    """A post worth a person's minute. Key: post id. `source` is the feed's own name, as in the post."""

    contract_version: int = CONTRACT_VERSION
    post_id: str
    channel: Channel
    text: str
    drawn: DrawnBy
    verdict: Verdict | None = None
    model_version: str | None = None
    source: str | None = None


class Label(Struct, frozen=True, kw_only=True, tag_field="type", tag="label"):
    """What a person, an import or a guarded rule says is right for a post. Key: post id.

    A part that is None is not said, and leaves standing what an earlier label said of it.
    """

    contract_version: int = CONTRACT_VERSION
    post_id: str
    text: str | None = None
    channel: Channel | None = None
    sentiment: Sentiment | None = None
    topic: str | None = None
    companies: tuple[CompanyMention, ...] | None = None
    author: str
    labelled_at_ms: int
    origin: LabelOrigin
    drawn: DrawnBy = "none"
    source: str | None = None


class ModelAnnounced(Struct, frozen=True, kw_only=True, tag_field="type", tag="model-announced"):
    """Makes workers load a bundle. Counts only by the rule of contracts/champion.py: `sequence` is the champion's + 1
    and `replaces` its digest. `pinned`: from here on only a person announces another, until one does without it.
    `rolls_back`: it served before, so it needs no shadow run, which would judge it by the one that it is to replace.
    """

    contract_version: int = CONTRACT_VERSION
    model_name: str
    model_version: str
    sequence: int
    replaces: str | None
    bundle_digest: str
    bundle_url: str
    announced_at_ms: int
    announced_by: str
    reason: str
    pinned: bool = False
    rolls_back: bool = False


ModelEventKind = Literal["fetched", "refused", "shadowing", "serving", "rolled_back", "failed"]
ModelEventCause = Literal["", "bundle", "parity", "shadow", "errors", "not_finite", "latency", "store"]


class ModelEvent(Struct, frozen=True, kw_only=True, tag_field="type", tag="model-event"):
    """What a worker did with a bundle. Key: model name.

    `cause` is why it was refused, failed or rolled back: a second worker with the same cause may speak for all.
    """

    contract_version: int = CONTRACT_VERSION
    model_name: str
    model_version: str
    sequence: int
    worker: str
    event: ModelEventKind
    happened_at_ms: int
    detail: str = ""
    cause: ModelEventCause = ""


class TopicIdentity(Struct, frozen=True, kw_only=True, tag_field="type", tag="topic-identity"):
    """The UUID under which a topic was first read. Key: `topic/NAME`."""

    contract_version: int = CONTRACT_VERSION
    topic: str
    topic_uuid: str


class InputState(Struct, frozen=True, kw_only=True, tag_field="type", tag="input-state"):
    """Whether an input topic is paused, by whom or what, and since when (wall clock). Key: `input/NAME`."""

    contract_version: int = CONTRACT_VERSION
    topic: str
    paused: bool
    reason: str
    changed_at_ms: int


ServiceState = TopicIdentity | InputState
