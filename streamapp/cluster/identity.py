"""Are the input topics the ones that were read before? A recreated topic restarts its offsets."""

import logging
from collections.abc import Mapping, Sequence

from streamapp.cluster.kafka_clients import open_admin, topic_uuids
from streamapp.cluster.service_state import read_service_state, write_service_state
from streamapp.contracts.messages import TopicIdentity
from streamapp.settings import Settings

log = logging.getLogger(__name__)


class TopicIdentityError(RuntimeError):
    """An input topic is missing, or is not the one that was read before; the text names the command that mends it."""


def adopt_or_refuse(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """The UUIDs of the input topics. Seen for the first time they are noted; changed ones raise."""
    uuids = _existing(settings, names)
    state = read_service_state(settings)
    for name in names:
        known = state.get(f"topic/{name}")
        if not isinstance(known, TopicIdentity):
            log.info("topic %s is read for the first time, UUID %s", name, uuids[name])
            write_service_state(settings, f"topic/{name}", TopicIdentity(topic=name, topic_uuid=uuids[name]))
        else:
            _refuse_changed(name, known.topic_uuid, uuids[name])
    return uuids


def refuse_recreated(settings: Settings, known: Mapping[str, str]) -> None:
    """Raises where a topic is gone or has another UUID than the one in `known`: for a worker that runs already."""
    uuids = _existing(settings, list(known))
    for name, known_uuid in known.items():
        _refuse_changed(name, known_uuid, uuids[name])


def activity_partitions(settings: Settings) -> int:
    """How many partitions `subject-activity` has; ticks must reach every one, and its state has as many."""
    activity, state = (settings.topics.prefix + name for name in ("subject-activity", "subject-state"))
    with open_admin(settings.broker) as admin:
        described = admin.describe_topics([activity, state])
    partitions = {topic["name"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}
    for name in (activity, state):
        if name not in partitions:
            raise TopicIdentityError(f"no topic {name}: run `streamapp topics create`")
    if partitions[state] < partitions[activity]:
        raise TopicIdentityError(
            f"topic {state} has {partitions[state]} partitions and {activity} has {partitions[activity]}: state is "
            f"kept in the partition number of its input. kafka-topics.sh --alter --topic {state} --partitions "
            f"{partitions[activity]}"
        )
    return partitions[activity]


def input_partitions(settings: Settings, names: Sequence[str]) -> dict[str, int]:
    """How many partitions each of these topics has; they must exist."""
    with open_admin(settings.broker) as admin:
        described = admin.describe_topics(list(names))
    return {topic["name"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}


def _existing(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    with open_admin(settings.broker) as admin:
        uuids = topic_uuids(admin, names)
    missing = [name for name in names if name not in uuids]
    if missing:
        raise TopicIdentityError(
            f"no topic {', '.join(missing)}: create it, or run `streamapp topics create`"
        )
    return uuids


def _refuse_changed(name: str, known_uuid: str, uuid: str) -> None:
    if known_uuid != uuid:
        raise TopicIdentityError(
            f"topic {name} was recreated: its UUID is {uuid}, the one read before was {known_uuid}. "
            f"Its offsets start anew, so nothing was read. If that is meant: streamapp topics adopt {name}"
        )
