"""How far a worker's group has come, asked of the broker: committed offsets against end offsets."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError

from streamapp.cluster.kafka_clients import open_admin, open_consumer
from tests.harness.cluster import TestCluster

INPUTS = ("news", "chat")
Offsets = dict[tuple[str, int], int]


class GroupProgress:
    """Short topic names, without the cluster's prefix."""

    def __init__(self, cluster: TestCluster) -> None:
        self._cluster = cluster
        self._admin: Any = open_admin(cluster.settings.broker)
        self._consumer: Any = open_consumer(cluster.settings.broker)

    def __enter__(self) -> "GroupProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._admin.close()
        self._consumer.close()

    def ends(self, *topics: str) -> Offsets:
        """End offsets by topic and partition."""
        found = self._consumer.end_offsets(self._partitions(topics))
        return {self._key(tp): end for tp, end in found.items()}

    def committed(self, *topics: str) -> Offsets:
        """What the group committed; 0 where it has not yet."""
        group = self._cluster.settings.worker.group
        found = self._admin.list_group_offsets(group)[group]
        wanted = dict.fromkeys(map(self._key, self._partitions(topics)), 0)
        return wanted | {
            self._key(tp): max(0, at.offset) for tp, at in found.items() if self._key(tp) in wanted
        }

    def in_flight(self, *topics: str) -> int:
        """Records that are in Kafka and not acknowledged."""
        topics = topics or INPUTS
        done = self.committed(*topics)
        return sum(max(0, end - done[key]) for key, end in self.ends(*topics).items())

    def written(self, topic: str) -> int:
        """Records of a topic, over all partitions."""
        return sum(self.ends(topic).values())

    def settle(self, timeout_seconds: float, quiet_seconds: float = 2.5) -> None:
        """Wait until the group has acknowledged everything and nothing new came for a while."""
        deadline = time.monotonic() + timeout_seconds
        quiet_since = None
        seen: Offsets = {}
        while True:
            with contextlib.suppress(KafkaError):
                ends = self.ends(*INPUTS, "subject-activity")
                lag = self.in_flight(*INPUTS, "subject-activity")
                if lag or ends != seen:
                    quiet_since, seen = time.monotonic(), ends
                elif quiet_since is not None and time.monotonic() - quiet_since >= quiet_seconds:
                    return
            assert time.monotonic() < deadline, f"records are left after {timeout_seconds} s: {self._left()}"
            time.sleep(0.25)

    def _left(self) -> Offsets:
        topics = (*INPUTS, "subject-activity")
        done = self.committed(*topics)
        return {key: end - done[key] for key, end in self.ends(*topics).items() if end > done[key]}

    def _partitions(self, topics: tuple[str, ...]) -> list[Any]:
        return list(self._all_partitions(topics))

    def _all_partitions(self, topics: tuple[str, ...]) -> Iterator[Any]:
        for topic in topics:
            name = self._cluster.name(topic)
            for number in sorted(self._consumer.partitions_for_topic(name)):
                yield TopicPartition(name, number)

    def _key(self, tp: Any) -> tuple[str, int]:
        return tp.topic.removeprefix(self._cluster.prefix), tp.partition
