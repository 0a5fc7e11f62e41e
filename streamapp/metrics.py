"""Every metric of the service: name, type, labels, help. Nothing else defines one.

Names are `streamapp_<noun>_<unit>`; label values are closed sets or bounded by the settings. Subjects are a label of
one gauge only, whose writer bounds them (agents/open_surges.py). Incremented per batch, not per message.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

REGISTRY = CollectorRegistry()

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LATENESS_SECONDS = (0.0, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
_POSTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

POSTS_IN = Counter(
    "streamapp_posts_in",
    "Records taken in; channel `unknown` where a redriven record does not say.",
    ["channel"],
    registry=REGISTRY,
)
POSTS_SCORED = Counter(
    "streamapp_posts_scored", "Posts scored and published.", ["channel"], registry=REGISTRY
)
POSTS_DUPLICATE = Counter(
    "streamapp_posts_duplicate", "Scored posts whose text was scored before.", ["channel"], registry=REGISTRY
)
DEAD_LETTERS = Counter(
    "streamapp_dead_letters", "Inputs that became dead letters.", ["channel", "reason"], registry=REGISTRY
)
VERDICTS = Counter(
    "streamapp_verdicts", "Scored posts by verdict.", ["channel", "topic", "sentiment"], registry=REGISTRY
)
OTHER_LANGUAGE = Counter(
    "streamapp_posts_other_language", "Scored posts left out of trends for their language.", ["channel"],
    registry=REGISTRY,
)  # fmt: skip
BATCH_POSTS = Histogram(
    "streamapp_batch_posts", "Records of one batch.", ["agent"], buckets=_POSTS, registry=REGISTRY
)
STAGE_SECONDS = Histogram(
    "streamapp_stage_seconds",
    "Time of one batch in one stage.",
    ["stage"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
PUBLISH_TO_VERDICT_SECONDS = Histogram(
    "streamapp_publish_to_verdict_seconds", "From the record's timestamp to the acknowledged verdict.", ["channel"],
    buckets=_SECONDS, registry=REGISTRY,
)  # fmt: skip
EVENT_TIME_LAG_SECONDS = Gauge(
    "streamapp_event_time_lag_seconds", "How old the newest post of the last batch was, by its own time.",
    ["channel"], registry=REGISTRY,
)  # fmt: skip
WATERMARK_SECONDS = Gauge(
    "streamapp_watermark_seconds", "Event time up to which a partition's minutes may close (Unix time).",
    ["partition"], registry=REGISTRY,
)  # fmt: skip
WATERMARK_TRAIL_SECONDS = Gauge(
    "streamapp_watermark_trail_seconds", "How far the watermark trails the greatest frontier.", ["partition"],
    registry=REGISTRY,
)  # fmt: skip
LATENESS_SECONDS = Histogram(
    "streamapp_lateness_seconds", "How far the oldest activity of one write lay behind the watermark, or 0.",
    buckets=_LATENESS_SECONDS, registry=REGISTRY,
)  # fmt: skip
LATE_POSTS = Counter(
    "streamapp_posts_late", "Activities that came after their minute closed.", registry=REGISTRY
)
ALERTS = Counter("streamapp_alerts", "Alert revisions published.", ["state"], registry=REGISTRY)
LABEL_REQUESTS = Counter(
    "streamapp_label_requests", "Posts that people were asked about, by why they were drawn.", ["drawn"],
    registry=REGISTRY,
)  # fmt: skip
SELF_LABELS = Counter(
    "streamapp_self_labels", "Labels of origin `rule` that the model gave.", ["sentiment"], registry=REGISTRY
)
OPEN_ALERTS = Gauge(
    "streamapp_alerts_open", "Alerts open now in this worker's partitions.", registry=REGISTRY
)
SURGE_OPEN = Gauge(
    "streamapp_surge_open",
    "1 while a surge is open, backfill left out; topics stay at 0, a company is there only meanwhile, at most 50.",
    ["subject"], registry=REGISTRY,
)  # fmt: skip
SURGES_UNNAMED = Gauge(
    "streamapp_surges_unnamed", "Open company surges beyond the 50 that streamapp_surge_open names.",
    registry=REGISTRY,
)  # fmt: skip
SUBJECTS = Gauge("streamapp_subjects", "Subjects with state in this worker.", registry=REGISTRY)
STATE_RECOVERY_SECONDS = Gauge(
    "streamapp_state_recovery_seconds", "How long the last reading of trend state took.", registry=REGISTRY
)
STATE_BYTES = Gauge(
    "streamapp_state_bytes", "Trend state of a partition as it is in `subject-state`: the newest record of each key.",
    ["partition"], registry=REGISTRY,
)  # fmt: skip
STATE_RECORDS = Counter("streamapp_state_records", "Trend state records written.", registry=REGISTRY)
CONSUMER_LAG_POSTS = Gauge(
    "streamapp_consumer_lag_records",
    "End offset less committed offset.",
    ["topic", "partition"],
    registry=REGISTRY,
)
WAITING_RECORDS = Gauge(
    "streamapp_waiting_records", "Records of a topic that are not committed yet; a paused input is left out.",
    ["topic"], registry=REGISTRY,
)  # fmt: skip
HELD_RECORDS = Gauge(
    "streamapp_held_records", "Records fetched that wait for older ones of slower partitions or workers.",
    ["topic"], registry=REGISTRY,
)  # fmt: skip
PROGRESS_SECONDS = Gauge(
    "streamapp_progress_seconds", "Unix time when a topic's commits last moved or nothing of it waited.",
    ["topic"], registry=REGISTRY,
)  # fmt: skip
INPUT_PAUSED = Gauge(
    "streamapp_input_paused", "1 while an input topic is paused.", ["topic"], registry=REGISTRY
)
OFFSETS_LOST = Counter(
    "streamapp_offsets_lost", "Offsets that were deleted before they were read.", ["topic", "partition"],
    registry=REGISTRY,
)  # fmt: skip
LAST_RECORD_SECONDS = Gauge(
    "streamapp_input_last_record_seconds", "Unix time of the newest record taken from an input; before one "
    "was, of the newest in the topic, or of the first assignment.", ["topic"], registry=REGISTRY,
)  # fmt: skip
MODEL = Info(
    "streamapp_model", "The model that serves: version, provider, why that provider.", registry=REGISTRY
)
CPU_FALLBACK = Gauge(
    "streamapp_cpu_fallback", "1 when CUDA was asked for and the CPU serves.", registry=REGISTRY
)
MODEL_SEQUENCE = Gauge(
    "streamapp_model_sequence", "Which announcement the model that serves comes from; 0: the settings' bundle.",
    registry=REGISTRY,
)  # fmt: skip
MODEL_ANNOUNCED = Gauge(
    "streamapp_model_announced_sequence", "Which announcement is the champion; another one serves while a new model "
    "is tried, and where it was turned away.", registry=REGISTRY,
)  # fmt: skip
MODEL_EVENTS = Counter(
    "streamapp_model_events", "What became of announced models here, and why.", ["event", "cause"],
    registry=REGISTRY,
)  # fmt: skip
SHADOW_POSTS = Gauge("streamapp_shadow_posts", "Posts that the last shadow run compared.", registry=REGISTRY)
SHADOW_DISAGREEMENT = Gauge(
    "streamapp_shadow_disagreement_ratio", "Share of them whose sentiment the two models do not agree on.",
    registry=REGISTRY,
)  # fmt: skip
SHADOW_LABEL_SHIFT = Gauge(
    "streamapp_shadow_label_shift_ratio", "Share of them that moved to other labels on balance.",
    registry=REGISTRY,
)  # fmt: skip
SHADOW_SLOWDOWN = Gauge(
    "streamapp_shadow_slowdown_ratio", "Time a post of the new model by that of the serving one; 0: not timed.",
    registry=REGISTRY,
)  # fmt: skip
SWAP_SECONDS = Histogram(
    "streamapp_swap_seconds", "How long no batch began while models were exchanged.", buckets=_SECONDS,
    registry=REGISTRY,
)  # fmt: skip
LOOP_LAG_SECONDS = Gauge(
    "streamapp_loop_lag_seconds", "How late the event loop's last tick was.", registry=REGISTRY
)
LOOP_TICK_SECONDS = Gauge(
    "streamapp_loop_tick_seconds",
    "Unix time of the event loop's last tick, 0 before the first assignment.",
    registry=REGISTRY,
)
READY = Gauge("streamapp_ready", "1 while /readyz says 200.", registry=REGISTRY)

BRIDGE_OPEN_ALERTS = Gauge(
    "streamapp_bridge_open_alerts", "Surges that Alertmanager is told of.", registry=REGISTRY
)
BRIDGE_SENT = Counter(
    "streamapp_bridge_notices", "Alerts that Alertmanager took, renewals included.", registry=REGISTRY
)
BRIDGE_FAILURES = Counter(
    "streamapp_bridge_failures", "Requests that Alertmanager did not take.", registry=REGISTRY
)
BRIDGE_UNREADABLE = Counter(
    "streamapp_bridge_unreadable", "Records of `alerts` that are no alert.", registry=REGISTRY
)
BRIDGE_LAST_SUCCESS = Gauge(
    "streamapp_bridge_last_success_seconds",
    "Unix time when Alertmanager last took the alerts.",
    registry=REGISTRY,
)

CATALOGUE: tuple[MetricWrapperBase, ...] = (
    POSTS_IN, POSTS_SCORED, POSTS_DUPLICATE, DEAD_LETTERS, VERDICTS, OTHER_LANGUAGE, BATCH_POSTS,
    STAGE_SECONDS, PUBLISH_TO_VERDICT_SECONDS, EVENT_TIME_LAG_SECONDS, WATERMARK_SECONDS,
    WATERMARK_TRAIL_SECONDS, LATENESS_SECONDS, LATE_POSTS, ALERTS, LABEL_REQUESTS, SELF_LABELS, OPEN_ALERTS, SURGE_OPEN,
    SURGES_UNNAMED, SUBJECTS, STATE_RECOVERY_SECONDS, STATE_BYTES, STATE_RECORDS, CONSUMER_LAG_POSTS,
    WAITING_RECORDS, HELD_RECORDS, PROGRESS_SECONDS, INPUT_PAUSED, OFFSETS_LOST, LAST_RECORD_SECONDS, MODEL,
    CPU_FALLBACK, MODEL_SEQUENCE, MODEL_ANNOUNCED, MODEL_EVENTS, SHADOW_POSTS, SHADOW_DISAGREEMENT,
    SHADOW_LABEL_SHIFT, SHADOW_SLOWDOWN, SWAP_SECONDS, LOOP_LAG_SECONDS, LOOP_TICK_SECONDS, READY,
    BRIDGE_OPEN_ALERTS, BRIDGE_SENT,
    BRIDGE_FAILURES, BRIDGE_UNREADABLE, BRIDGE_LAST_SUCCESS,
)  # fmt: skip
