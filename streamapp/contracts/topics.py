"""The table of topics: name, key, messages, who writes, who reads, how Kafka keeps it.

`streamapp topics create`, the documentation and the tests are made from this table and nothing else.
"""

from typing import Any, Literal

from msgspec import Struct

from streamapp.contracts import messages as m

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Partitions = Literal["input", "one"]


class Topic(Struct, frozen=True, kw_only=True):
    """One topic. `partitions` is `input` (as many as the settings say) or `one`; `message` is None for raw bytes."""

    name: str
    message: Any
    key: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    partitions: Partitions = "input"
    config: tuple[tuple[str, str], ...] = ()
    summary: str


def _kept(days: float) -> tuple[str, str]:
    return ("retention.ms", str(int(days * DAY_MS)))


NEWS = Topic(
    name="news",
    message=None,
    key="any",
    writers=("user",),
    readers=("score",),
    config=(_kept(7),),
    summary="News items as JSON, in our own format or the user's by mapping.",
)
CHAT = Topic(
    name="chat",
    message=None,
    key="any",
    writers=("user",),
    readers=("score",),
    config=(_kept(7),),
    summary="Chat messages as JSON, in our own format or the user's by mapping.",
)
REDRIVEN = Topic(
    name="redriven",
    message=None,
    key="original key",
    writers=("redrive",),
    readers=("score", "redrive"),
    config=(_kept(30),),
    summary="Dead letters sent again, origin in the headers; the ledger that refuses a second redrive.",
)
SCORED_POSTS = Topic(
    name="scored-posts",
    message=m.ScoredPost,
    key="post id",
    writers=("score",),
    readers=("desk", "retrain", "user"),
    config=(_kept(7),),
    summary="Every post with its verdict and the model version.",
)
SUBJECT_ACTIVITY = Topic(
    name="subject-activity",
    message=m.SubjectActivity,
    key="subject",
    writers=("score",),
    readers=("watch",),
    config=(_kept(2),),
    summary="The activities of one scored batch for one subject; ticks; swap pairs.",
)
# segment.ms must stay below the compaction lag, or the active segment hides old records from compaction;
# the lag keeps the newer record of a key until a stalled worker's older one can no longer arrive (design 6.6).
SUBJECT_STATE = Topic(
    name="subject-state",
    message=None,
    key="subject",
    writers=("watch",),
    readers=("watch",),
    config=(
        ("cleanup.policy", "compact"),
        ("min.compaction.lag.ms", str(HOUR_MS)),
        ("segment.ms", str(10 * 60_000)),
        ("min.cleanable.dirty.ratio", "0.1"),
    ),
    summary="Trend state of a subject (MessagePack), or a partition's frontiers; carries the offset it includes.",
)
SUBJECT_TRENDS = Topic(
    name="subject-trends",
    message=m.TrendMinute,
    key="subject",
    writers=("watch",),
    readers=("desk", "user"),
    config=(_kept(30),),
    summary="One subject and closed event minute: posts by sentiment, stories, negative stories, expected ones.",
)
ALERTS = Topic(
    name="alerts",
    message=m.Alert,
    key="subject",
    writers=("watch",),
    readers=("desk", "bridge", "user"),
    config=(_kept(90),),
    summary="The revisions of every surge: opened, updated, resolved, each with evidence.",
)
DEAD_LETTERS = Topic(
    name="dead-letters",
    message=None,
    key="original key",
    writers=("score", "watch", "retrain"),
    readers=("redrive", "user"),
    config=(_kept(30),),
    summary="Inputs that cannot be used: the original bytes, origin and reason in headers.",
)
LABEL_REQUESTS = Topic(
    name="label-requests",
    message=m.LabelRequest,
    key="post id",
    writers=("score", "watch"),
    readers=("desk", "retrain"),
    config=(_kept(7),),
    summary="Posts worth a person's minute: a uniform audit share, doubtful, novel and alert-linked ones.",
)
LABELS = Topic(
    name="labels",
    message=m.Label,
    key="post id",
    writers=("desk", "import", "score"),
    readers=("retrain",),
    config=(_kept(7),),
    summary="What a person or a guarded rule says is right for a post.",
)
MODEL_ANNOUNCEMENTS = Topic(
    name="model-announcements",
    message=m.ModelAnnounced,
    key="model name",
    writers=("retrain", "cli", "score"),
    readers=("score", "retrain"),
    partitions="one",
    config=(("retention.ms", "-1"),),
    summary="Which bundle serves; every reader folds the whole log by one rule.",
)
MODEL_EVENTS = Topic(
    name="model-events",
    message=m.ModelEvent,
    key="model name",
    writers=("score",),
    readers=("retrain", "cli"),
    config=(_kept(90),),
    summary="What a worker did with a bundle.",
)
SERVICE_STATE = Topic(
    name="service-state",
    message=m.ServiceState,
    key="`topic/NAME` or `input/NAME`",
    writers=("score", "cli"),
    readers=("score",),
    partitions="one",
    config=(("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.1")),
    summary="Topic UUIDs and paused inputs; read to the end before serving, then followed.",
)

TOPICS: tuple[Topic, ...] = (
    NEWS, CHAT, REDRIVEN, SCORED_POSTS, SUBJECT_ACTIVITY, SUBJECT_STATE, SUBJECT_TRENDS, ALERTS, DEAD_LETTERS,
    LABEL_REQUESTS, LABELS, MODEL_ANNOUNCEMENTS, MODEL_EVENTS, SERVICE_STATE,
)  # fmt: skip
INPUTS: tuple[Topic, ...] = (NEWS, CHAT)
