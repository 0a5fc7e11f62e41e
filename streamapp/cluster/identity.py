"""Are the input topics the ones that were read before? A recreated topic restarts its offsets."""

import logging
from collections.abc import Sequence

from streamapp.cluster.kafka_clients import open_admin, topic_uuids
from streamapp.cluster.service_state import read_service_state, write_service_state
from streamapp.contracts.messages import TopicIdentity
from streamapp.settings import Settings

log = logging.getLogger(__name__)


class TopicIdentityError(RuntimeError):
    """An input topic is missing, or is not the one that was read before; the text names the command that mends it."""


def adopt_or_refuse(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """The UUIDs of the input topics. Seen for the first time they are noted; changed ones raise."""
    with open_admin(settings.broker) as admin:
        uuids = topic_uuids(admin, names)
    missing = [name for name in names if name not in uuids]
    if missing:
        raise TopicIdentityError(
            f"no topic {', '.join(missing)}: create it, or run `streamapp topics create`"
        )
    state = read_service_state(settings)
    for name in names:
        known = state.get(f"topic/{name}")
        if not isinstance(known, TopicIdentity):
            log.info("topic %s is read for the first time, UUID %s", name, uuids[name])
            write_service_state(settings, f"topic/{name}", TopicIdentity(topic=name, topic_uuid=uuids[name]))
        elif known.topic_uuid != uuids[name]:
            raise TopicIdentityError(
                f"topic {name} was recreated: its UUID is {uuids[name]}, the one read before was {known.topic_uuid}. "
                f"Its offsets start anew, so nothing was read. If that is meant: streamapp topics adopt {name}"
            )
    return uuids
