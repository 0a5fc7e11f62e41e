"""A record that cannot be used, on its way to `dead-letters`."""

import time

from streamapp.agents.outbox import Outgoing
from streamapp.contracts.dead_letter import dead_letter_headers, dead_letter_key_and_value
from streamapp.contracts.messages import Channel, DeadLetterReason
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import Rejected
from streamapp.release import RELEASE


def dead_letter(topic: str, record: RawRecord, channel: Channel | None, rejected: Rejected) -> Outgoing:
    """The dead letter of `record`; its metadata alone where the whole turns out too large for the topic."""
    whole = _outgoing(topic, record, channel, (rejected.reason, rejected.detail))
    if whole.value is None:
        return whole
    # A value that just fitted its input topic may not fit beside our headers.
    detail = f"does not fit {topic} whole; {rejected.reason}: {rejected.detail}"
    return Outgoing(
        topic=topic,
        key=whole.key,
        value=whole.value,
        headers=whole.headers,
        instead=_outgoing(topic, record, channel, ("too_large", detail)),
    )


def _outgoing(
    topic: str, record: RawRecord, channel: Channel | None, cause: tuple[DeadLetterReason, str]
) -> Outgoing:
    reason, detail = cause
    headers = dead_letter_headers(record, channel, reason, detail, int(time.time() * 1000), RELEASE)
    key, value = dead_letter_key_and_value(record, reason)
    return Outgoing(topic=topic, key=key, value=value, headers=tuple(headers))
