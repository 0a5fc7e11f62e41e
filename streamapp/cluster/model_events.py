"""What workers did with announced models, from outside: read whole, written one by one, and whether they agree.

Synchronous; a running worker calls it in a thread and writes its own events through its outbox.
"""

import logging
from typing import Final

from streamapp.cluster.coverage import group_members
from streamapp.cluster.kafka_clients import open_producer, read_topic_to_end
from streamapp.contracts.codec import DecodeError, decode, encode
from streamapp.contracts.messages import ModelEvent, ModelEventCause
from streamapp.contracts.topics import MODEL_EVENTS
from streamapp.core.admission import MODELS_FAULT, speaks_for_all
from streamapp.settings import Settings

ACK_TIMEOUT_SECONDS: Final = 60

log = logging.getLogger(__name__)


def read_model_events(settings: Settings) -> list[ModelEvent]:
    """Every event kept, in the order of their times. One that cannot be read is left out, and the log says so."""
    events: list[ModelEvent] = []
    for record in read_topic_to_end(settings.broker, settings.topics.prefix + MODEL_EVENTS.name):
        try:
            events.append(decode(record.value, ModelEvent))
        except DecodeError as error:
            log.error("%s offset %d is no model event: %s", record.topic, record.offset, error)
    return sorted(events, key=lambda event: event.happened_at_ms)


def write_model_event(settings: Settings, event: ModelEvent) -> None:
    """Writes one event and waits until every in-sync replica has it."""
    producer = open_producer(settings.broker)
    try:
        topic = settings.topics.prefix + MODEL_EVENTS.name
        producer.send(topic, key=event.model_name.encode(), value=encode(event)).get(
            timeout=ACK_TIMEOUT_SECONDS
        )
    finally:
        producer.close(timeout=ACK_TIMEOUT_SECONDS)


def may_speak_for_all(
    settings: Settings, worker: str, cause: ModelEventCause, sequence: int, *, joined: bool
) -> bool:
    """May this worker, whose own event is written already, roll back the announcement `sequence` for everyone?

    Its event stands before this reading: of two workers that complain at once at least one sees the other. `joined`:
    it is one of the group's members, not one that still starts.
    """
    if cause in MODELS_FAULT:
        return True
    members = group_members(settings) + (not joined)
    return speaks_for_all(cause, sequence, worker, read_model_events(settings), members)
