"""The input topics as score sees them: identity, rules, and a Faust message as a plain record."""

from collections.abc import Mapping
from typing import Any

from streamapp.contracts.messages import Channel, Post
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import InputRules, Rejected, choose_rules, decode_post


class Inputs:
    """Rules and UUIDs of the input topics. `redriven` has no rules of its own: a record's origin decides."""

    def __init__(
        self, rules_by_topic: Mapping[str, InputRules], redriven_topic: str, topic_uuids: Mapping[str, str]
    ) -> None:
        self._rules_by_topic = rules_by_topic
        self._redriven_topic = redriven_topic
        self._topic_uuids = topic_uuids

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics that score consumes."""
        return tuple(self._topic_uuids)

    def uuid_of(self, topic: str) -> str:
        """The UUID of one of the topics."""
        return self._topic_uuids[topic]

    def moves_time(self, topic: str) -> bool:
        """Whether records of `topic` move event time: those of the user's inputs do, redriven ones do not."""
        return topic in self._rules_by_topic

    def take_in(self, record: RawRecord) -> Post | Rejected:
        """The post in the record, by the rules of the topic that it first came from."""
        rules = choose_rules(record, self._rules_by_topic)
        return rules if isinstance(rules, Rejected) else decode_post(record, rules)

    def channel_of(self, record: RawRecord) -> Channel | None:
        """The channel of the record's own topic; None for `redriven`, whose headers say it."""
        rules = self._rules_by_topic.get(record.topic)
        return rules.channel if rules else None

    def record_of(self, message: Any) -> RawRecord:
        """The plain record of a Faust message."""
        topic: str = message.topic
        return RawRecord(
            topic=topic,
            topic_uuid=self._topic_uuids[topic],
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=round(message.timestamp * 1000),
            key=message.key,
            value=message.value,
            headers=tuple(message.headers or ()),
            redriven=topic == self._redriven_topic,
        )
