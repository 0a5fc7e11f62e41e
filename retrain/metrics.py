"""Every metric of the retrain service: name, type, labels, help. Nothing else of retrain defines one.

Names are `streamapp_retrain_<noun>_<unit>`; label values are closed sets.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics import MetricWrapperBase

REGISTRY = CollectorRegistry()

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

CATALOGUE: tuple[MetricWrapperBase, ...] = (
    LABELS, LABELS_STORED, LABELS_REPEATED, LABELS_REFUSED, LABEL_OFFSETS_LOST,
)  # fmt: skip
