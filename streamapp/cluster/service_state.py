"""What all workers share by `service-state`: topic UUIDs and paused inputs, read whole, written one by one."""

from typing import Final

from streamapp.cluster.kafka_clients import open_producer, read_topic_to_end
from streamapp.contracts.codec import decode, encode
from streamapp.contracts.messages import ServiceState
from streamapp.contracts.topics import SERVICE_STATE
from streamapp.settings import Settings

ACK_TIMEOUT_SECONDS: Final = 60


def read_service_state(settings: Settings) -> dict[str, ServiceState]:
    """The newest state of each key of `service-state`; a tombstone removes its key."""
    state: dict[str, ServiceState] = {}
    for record in read_topic_to_end(settings.broker, settings.topics.prefix + SERVICE_STATE.name):
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            state.pop(key, None)
        else:
            state[key] = decode(record.value, ServiceState)
    return state


def write_service_state(settings: Settings, key: str, message: ServiceState) -> None:
    """Writes one state and waits until every in-sync replica has it."""
    producer = open_producer(settings.broker)
    try:
        topic = settings.topics.prefix + SERVICE_STATE.name
        producer.send(topic, key=key.encode(), value=encode(message)).get(timeout=ACK_TIMEOUT_SECONDS)
    finally:
        producer.close(timeout=ACK_TIMEOUT_SECONDS)
