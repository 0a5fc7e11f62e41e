"""Label requests and self-labels of one published batch, as messages that leave with its verdicts.

Decides nothing: core/label_requests.py and core/self_labels.py do. One a worker; called once a batch, in order.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from streamapp import metrics
from streamapp.agents.outbox import Headers, Outgoing
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import Alert, Label, LabelRequest, ScoredPost
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import Rejected
from streamapp.core.label_caps import SourcePlaces
from streamapp.core.label_requests import LabelRules, RequestChooser, alert_requests, request_of
from streamapp.core.self_labels import SelfLabeller, SelfLabelRules
from streamapp.settings import LabelSettings


class LabelTopics(Struct, frozen=True):
    """Full names of the topics that labelling writes."""

    label_requests: str
    labels: str


class Labelling:
    """What score says to people and to the retrain service. `chooser` or `labeller` None: switched off."""

    def __init__(
        self, topics: LabelTopics, chooser: RequestChooser | None, labeller: SelfLabeller | None
    ) -> None:
        self._topics = topics
        self._chooser = chooser
        self._labeller = labeller

    @classmethod
    def of(cls, settings: LabelSettings, places: SourcePlaces, topics: LabelTopics) -> "Labelling":
        """By the settings, for source partitions that stand at these places."""
        rules = LabelRules(
            requests_per_hour=settings.requests_per_hour,
            requests_per_source_and_hour=settings.requests_per_source_and_hour,
            audit_share=settings.audit_share,
            expected_posts_per_hour=settings.expected_posts_per_hour,
            uncertain_margin=settings.uncertain_margin,
            novel_share=settings.novel_share,
        )
        self_rules = SelfLabelRules(
            confidence=settings.self_label_confidence,
            labels_per_hour=settings.self_labels_per_hour,
            audit_rate=rules.audit_rate,
        )
        chooser = RequestChooser(rules, places) if settings.enabled else None
        return cls(topics, chooser, SelfLabeller(self_rules, places) if settings.self_labels else None)

    def messages(
        self, records: Sequence[RawRecord], results: Sequence[ScoredPost | Rejected]
    ) -> list[Outgoing]:
        """The messages of a batch. They carry the headers of the record that they are about."""
        posts = [result for result in results if isinstance(result, ScoredPost)]
        messages: list[Outgoing] = []
        if self._chooser is not None:
            headers = (
                record.headers
                for record, result in zip(records, results, strict=True)
                if isinstance(result, ScoredPost)
            )
            drawn = self._chooser.choose(posts)
            messages.extend(
                _outgoing(self._topics.label_requests, request_of(post, why), travelling)
                for post, why, travelling in zip(posts, drawn, headers, strict=True)
                if why is not None
            )
        if self._labeller is not None:
            messages.extend(map(self._label, self._labeller.labels(posts)))
        return messages

    def _label(self, label: Label) -> Outgoing:
        metrics.SELF_LABELS.labels(label.sentiment or "").inc()
        return Outgoing(topic=self._topics.labels, key=label.post_id.encode(), value=encode(label))


def alert_messages(requests_topic: str, alerts: Iterable[Alert]) -> list[Outgoing]:
    """The requests for the top stories of alerts that open, for the same delivery as the alerts."""
    return [_outgoing(requests_topic, request) for alert in alerts for request in alert_requests(alert)]


def _outgoing(topic: str, request: LabelRequest, headers: Headers = ()) -> Outgoing:
    metrics.LABEL_REQUESTS.labels(request.drawn).inc()
    return Outgoing(topic=topic, key=request.post_id.encode(), value=encode(request), headers=headers)
