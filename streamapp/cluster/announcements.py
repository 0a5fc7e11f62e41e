"""The log of announced models from outside a worker: read to its end and folded, written and asked who won.

Synchronous, for commands, the retrain service and a worker's start; a running worker follows the log itself.
"""

import logging
from typing import Final

from msgspec import Struct

from streamapp.cluster.kafka_clients import open_producer, read_topic_to_end
from streamapp.contracts.champion import Champion, champions, heir_of
from streamapp.contracts.codec import DecodeError, decode, encode
from streamapp.contracts.messages import ModelAnnounced
from streamapp.contracts.raw_record import RawRecord
from streamapp.settings import BrokerAccess

ACK_TIMEOUT_SECONDS: Final = 60

log = logging.getLogger(__name__)


class ChampionPinnedError(RuntimeError):
    """A person keeps the champion from being replaced; the text says which and who."""


class Announced(Struct, frozen=True, kw_only=True):
    """What became of a record: the champion of its sequence, and whether that is the record's own."""

    champion: Champion
    won: bool


def readable(record: RawRecord) -> ModelAnnounced | None:
    """The announcement in `record`; None, said in the log, for what this release cannot read: all its readers agree."""
    try:
        announced: ModelAnnounced = decode(record.value, ModelAnnounced)
    except DecodeError as error:
        log.error(
            "%s offset %d is no announcement and does not count: %s", record.topic, record.offset, error
        )
        return None
    return announced


def read_announcements(access: BrokerAccess, topic: str) -> list[ModelAnnounced]:
    """Every announcement in the log, in order, those that do not count too."""
    records = read_topic_to_end(access, topic)
    return [announced for record in records if (announced := readable(record)) is not None]


def read_champions(access: BrokerAccess, topic: str, first: Champion) -> tuple[Champion, ...]:
    """Every champion so far, the present one last. `first` serves where the log is empty."""
    return champions(first, read_announcements(access, topic))


def announce(
    access: BrokerAccess, topic: str, record: ModelAnnounced, first: Champion, *, despite_pin: bool = False
) -> Announced:
    """Writes `record` to the log, reads the log to its end and tells who won; a record that is there is not repeated.

    Raises ChampionPinnedError where the champion is pinned, unless a person announces or a broken one is rolled back
    (`despite_pin`). A pin that lands in between wins by its sequence like every other record.
    """
    line = read_champions(access, topic, first)
    if line[-1].pinned and not despite_pin:
        pinned = line[-1]
        raise ChampionPinnedError(
            f"{pinned.model_version} is pinned by {pinned.announced_by}: {pinned.reason}"
        )
    if line[-1].sequence < record.sequence:
        _write(access, topic, record)
        line = read_champions(access, topic, first)
    champion = next((past for past in line if past.sequence == record.sequence), line[-1])
    return Announced(champion=champion, won=champion == heir_of(record))


def _write(access: BrokerAccess, topic: str, record: ModelAnnounced) -> None:
    producer = open_producer(access)
    try:
        producer.send(topic, key=record.model_name.encode(), value=encode(record)).get(
            timeout=ACK_TIMEOUT_SECONDS
        )
    finally:
        producer.close(timeout=ACK_TIMEOUT_SECONDS)
