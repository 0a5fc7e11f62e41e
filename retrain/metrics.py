"""Every metric of the retrain service: name, type, labels, help. Nothing else of retrain defines one.

Names are `streamapp_retrain_<noun>_<unit>`. Gauges that end in `_time_seconds` are moments (Unix time), 0 for never.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics import MetricWrapperBase

REGISTRY = CollectorRegistry()

RUNS = Counter(
    "streamapp_retrain_runs", "Runs that ended since the start, by result.", ["result"], registry=REGISTRY
)
FAILURES_IN_A_ROW = Gauge(
    "streamapp_retrain_failures_in_a_row",
    "Runs that failed since the last one that was decided.",
    registry=REGISTRY,
)
REFUSALS_IN_A_ROW = Gauge(
    "streamapp_retrain_refusals_in_a_row", "Candidates that the gate refused since it last promoted one.",
    registry=REGISTRY,
)  # fmt: skip
RUN_STAGE = Gauge(
    "streamapp_retrain_run_stage", "1 for the stage that the run is in, 0 for the others and without a run.",
    ["stage"], registry=REGISTRY,
)  # fmt: skip
RUN_SECONDS = Gauge(
    "streamapp_retrain_run_seconds",
    "How long the child of the present or last run has run.",
    registry=REGISTRY,
)
RUN_PROGRESS = Gauge(
    "streamapp_retrain_run_progress_ratio", "How far the child's present step is, 0 to 1.", registry=REGISTRY
)
RUN_MEMORY_BYTES = Gauge(
    "streamapp_retrain_run_memory_bytes", "Resident memory of the child and what it started; 0 without one.",
    registry=REGISTRY,
)  # fmt: skip
WANTED_SINCE_SECONDS = Gauge(
    "streamapp_retrain_wanted_time_seconds", "Since when a rule has asked for a run that was not decided yet.",
    registry=REGISTRY,
)  # fmt: skip
DECIDED_SECONDS = Gauge(
    "streamapp_retrain_decided_time_seconds",
    "When the last run whose gate's answer stood began.",
    registry=REGISTRY,
)
LABELS = Gauge("streamapp_retrain_labels", "Labels in the store, by origin.", ["origin"], registry=REGISTRY)
LABELS_STORED = Counter(
    "streamapp_retrain_labels_stored", "Labels that were new to the store.", ["origin"], registry=REGISTRY
)
LABELS_REPEATED = Counter(
    "streamapp_retrain_labels_repeated", "Labels read that the store held already.", registry=REGISTRY
)
LABELS_REFUSED = Counter(
    "streamapp_retrain_labels_refused",
    "Labels read and not stored: `bad_label` became a dead letter, `erased` names what was erased.",
    ["reason"], registry=REGISTRY,
)  # fmt: skip
LABEL_OFFSETS_LOST = Counter(
    "streamapp_retrain_label_offsets_lost", "Records that Kafka deleted before they were read.", ["topic"],
    registry=REGISTRY,
)  # fmt: skip
NEW_LABELS = Gauge(
    "streamapp_retrain_labels_new",
    "Posts that people labelled since the last decided run.",
    registry=REGISTRY,
)
PART_FAILING = Gauge(
    "streamapp_retrain_part_failing",
    "1 while a part (broker, model store, label store, disk, tracking) does not answer.",
    ["part"], registry=REGISTRY,
)  # fmt: skip
UNTRACKED_RUNS = Gauge(
    "streamapp_retrain_untracked_runs", "Ended runs that were not told to MLflow yet.", registry=REGISTRY
)
READY = Gauge("streamapp_retrain_ready", "1 while /readyz says 200.", registry=REGISTRY)
CHAMPION_SEQUENCE = Gauge(
    "streamapp_retrain_champion_sequence",
    "Sequence of the champion in the log of announcements.",
    registry=REGISTRY,
)
CHAMPION_PINNED = Gauge(
    "streamapp_retrain_champion_pinned",
    "1 while a person keeps the champion from being replaced.",
    registry=REGISTRY,
)
CHAMPION_MADE_SECONDS = Gauge(
    "streamapp_retrain_champion_made_time_seconds", "When the bundle that serves was made.", registry=REGISTRY
)
ROLLED_BACK_SECONDS = Gauge(
    "streamapp_retrain_rolled_back_time_seconds", "When an earlier bundle was last announced again.",
    registry=REGISTRY,
)  # fmt: skip
ESTIMATE_POSTS = Gauge(
    "streamapp_retrain_estimate_posts", "Scored posts of the champion that the estimate is made from.",
    ["channel", "head"], registry=REGISTRY,
)  # fmt: skip
ESTIMATED_ACCURACY = Gauge(
    "streamapp_retrain_estimated_accuracy_ratio", "Expected accuracy by the calibrated probabilities.",
    ["channel", "head"], registry=REGISTRY,
)  # fmt: skip
REFERENCE_ACCURACY = Gauge(
    "streamapp_retrain_reference_accuracy_ratio", "What the estimated accuracy is compared with.",
    ["channel", "head"], registry=REGISTRY,
)  # fmt: skip
LABEL_DRIFT = Gauge(
    "streamapp_retrain_label_drift_psi", "Population stability index of the labels given, against the reference.",
    ["channel", "head"], registry=REGISTRY,
)  # fmt: skip
QUALITY_LOW = Gauge(
    "streamapp_retrain_quality_low", "1 while the estimate breaks a limit of the settings.",
    ["kind", "channel", "head"], registry=REGISTRY,
)  # fmt: skip

CATALOGUE: tuple[MetricWrapperBase, ...] = (
    RUNS, FAILURES_IN_A_ROW, REFUSALS_IN_A_ROW, RUN_STAGE, RUN_SECONDS, RUN_PROGRESS, RUN_MEMORY_BYTES,
    WANTED_SINCE_SECONDS, DECIDED_SECONDS, LABELS, LABELS_STORED, LABELS_REPEATED, LABELS_REFUSED, LABEL_OFFSETS_LOST,
    NEW_LABELS, PART_FAILING, UNTRACKED_RUNS, READY, CHAMPION_SEQUENCE, CHAMPION_PINNED, CHAMPION_MADE_SECONDS,
    ROLLED_BACK_SECONDS, ESTIMATE_POSTS, ESTIMATED_ACCURACY, REFERENCE_ACCURACY, LABEL_DRIFT, QUALITY_LOW,
)  # fmt: skip
