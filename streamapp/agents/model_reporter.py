"""What this worker does with announced models, said everywhere at once: log, metrics, /readyz, `model-events`."""

import logging
import time

from streamapp import metrics
from streamapp.agents.outbox import Outbox, Outgoing
from streamapp.contracts.champion import Champion
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import ModelEvent, ModelEventCause, ModelEventKind
from streamapp.core.admission import Shadow
from streamapp.core.foreign_text import printable
from streamapp.health import Vitals
from streamapp.inference.micro_batcher import MicroBatcher

log = logging.getLogger(__name__)

_BAD: frozenset[ModelEventKind] = frozenset({"refused", "failed", "rolled_back"})


class ModelReporter:
    """One a worker; `worker` is its stable name."""

    def __init__(
        self, worker: str, events_topic: str, outbox: Outbox, vitals: Vitals, *, cuda_wanted: bool
    ) -> None:
        self._worker = worker
        self._topic = events_topic
        self._outbox = outbox
        self._vitals = vitals
        self._cuda_wanted = cuda_wanted

    def shows(self, champion: Champion, model: MicroBatcher) -> None:
        """From now on `model` serves."""
        facts = facts_of(model)
        metrics.MODEL.info(facts)
        metrics.MODEL_SEQUENCE.set(champion.sequence)
        metrics.CPU_FALLBACK.set(self._cuda_wanted and facts["provider"] == "CPUExecutionProvider")
        self._vitals.details["model"] = {**facts, "sequence": champion.sequence}

    def measured(self, shadow: Shadow) -> None:
        """What a shadow run saw."""
        metrics.SHADOW_POSTS.set(shadow.posts)
        metrics.SHADOW_DISAGREEMENT.set(shadow.disagreement)
        metrics.SHADOW_LABEL_SHIFT.set(shadow.label_shift)
        metrics.SHADOW_SLOWDOWN.set(shadow.slowdown or 0.0)

    async def say(
        self, champion: Champion, event: ModelEventKind, detail: str = "", cause: ModelEventCause = ""
    ) -> None:
        """Tell everyone what became of `champion` here; returns when Kafka has it."""
        level = logging.ERROR if event in _BAD else logging.INFO
        detail = printable(detail)
        log.log(
            level, "model %s (champion %d): %s %s", champion.model_version, champion.sequence, event, detail
        )
        metrics.MODEL_EVENTS.labels(event, cause or "none").inc()
        self._vitals.details["announced_model"] = {
            "version": champion.model_version, "sequence": champion.sequence, "state": event, "detail": detail,
        }  # fmt: skip
        message = model_event(self._worker, champion, event, detail, cause)
        await self._outbox.deliver(
            [Outgoing(topic=self._topic, key=champion.model_name.encode(), value=encode(message))]
        )


def facts_of(model: MicroBatcher) -> dict[str, str]:
    """What a page says of a model."""
    return {
        "version": model.version,
        "provider": model.model.provider,
        "provider_reason": model.model.provider_reason,
    }


def model_event(
    worker: str, champion: Champion, event: ModelEventKind, detail: str, cause: ModelEventCause
) -> ModelEvent:
    """The event as it travels."""
    return ModelEvent(
        model_name=champion.model_name,
        model_version=champion.model_version,
        sequence=champion.sequence,
        worker=worker,
        event=event,
        happened_at_ms=int(time.time() * 1000),
        detail=detail,
        cause=cause,
    )
