"""Which topics there must be, and how far a cluster is from that: planned, created, compared."""

from collections.abc import Sequence
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError, for_code
from msgspec import Struct

from streamapp.cluster.kafka_clients import kafka_uuid
from streamapp.contracts.topics import DEAD_LETTERS, INPUTS, NEWS, REDRIVEN, TOPICS, Topic
from streamapp.settings import Settings

# Kafka's own limit on a record batch; what a record may exceed the intake limit by when it carries our
# headers.
KAFKA_MAX_MESSAGE_BYTES: Final = 1_048_588
HEADER_ROOM_BYTES: Final = 65_536


class PlannedTopic(Struct, frozen=True, kw_only=True):
    """One topic as it must be. `own`: ours under our prefix, not the user's input."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]
    own: bool
    summary: str


class TopicReport(Struct, frozen=True, kw_only=True):
    """One topic as it is. `differences` says in words what is not as planned; empty where all is well."""

    name: str
    own: bool
    exists: bool
    created: bool = False
    partitions: int = 0
    topic_uuid: str = ""
    differences: tuple[str, ...] = ()


def plan_topics(settings: Settings, dev: bool = False) -> list[PlannedTopic]:
    """Our own topics and the input topics of the settings. `dev`: one replica, for a cluster of one
    broker.
    """
    ours = [
        _planned(topic, settings.topics.prefix + topic.name, settings, dev)
        for topic in TOPICS
        if topic not in INPUTS
    ]
    inputs = [
        _planned(NEWS, name, settings, dev) for name in dict.fromkeys(feed.topic for feed in settings.inputs)
    ]
    return inputs + ours


def create_topics(admin: KafkaAdminClient, planned: Sequence[PlannedTopic]) -> list[TopicReport]:
    """Creates what is missing and reports on every topic, in the order of the plan. Changes nothing that
    exists.

    Raises Kafka's error, with the topic's name in it, for a topic that the cluster refuses.
    """
    missing = {report.name for report in compare_topics(admin, planned) if not report.exists}
    wanted = {topic.name: _options(topic) for topic in planned if topic.name in missing}
    created: set[str] = set()
    if wanted:
        answer = admin.create_topics(wanted, raise_errors=False)
        created = {topic["name"] for topic in answer["topics"] if _was_created(topic)}
        admin.wait_for_topics(sorted(wanted))
    return [_with_created(report, created) for report in compare_topics(admin, planned)]


def compare_topics(admin: KafkaAdminClient, planned: Sequence[PlannedTopic]) -> list[TopicReport]:
    """What exists of the plan and where it differs: partitions, replication, and the settings the plan
    names.
    """
    found = {topic["name"]: topic for topic in admin.describe_topics([topic.name for topic in planned])}
    found = {name: topic for name, topic in found.items() if topic["error_code"] == 0}
    configs = _configs(admin, sorted(found))
    return [_compared(topic, found.get(topic.name), configs.get(topic.name, {})) for topic in planned]


def _planned(topic: Topic, name: str, settings: Settings, dev: bool) -> PlannedTopic:
    replication = 1 if dev else settings.topics.replication
    in_sync = 1 if dev else settings.topics.min_insync_replicas
    config = dict(topic.config)
    config["min.insync.replicas"] = str(min(in_sync, replication))
    config["unclean.leader.election.enable"] = "false"
    needed_bytes = settings.intake.max_record_bytes + HEADER_ROOM_BYTES
    if topic in (NEWS, REDRIVEN, DEAD_LETTERS) and settings.intake.max_record_bytes > 1_000_000:
        config["max.message.bytes"] = str(max(KAFKA_MAX_MESSAGE_BYTES, needed_bytes))
    return PlannedTopic(
        name=name,
        partitions=1 if topic.partitions == "one" else settings.topics.partitions,
        replication=replication,
        config=config,
        own=topic not in INPUTS,
        summary=topic.summary,
    )


def _options(topic: PlannedTopic) -> dict[str, Any]:
    return {
        "num_partitions": topic.partitions,
        "replication_factor": topic.replication,
        "configs": topic.config,
    }


def _was_created(answer: dict[str, Any]) -> bool:
    if answer["error_code"] == 0:
        return True
    error = for_code(answer["error_code"])
    if error is TopicAlreadyExistsError:  # somebody else was faster
        return False
    raise error(f"topic {answer['name']}: {answer.get('error_message') or error.description}")


def _with_created(report: TopicReport, created: set[str]) -> TopicReport:
    return TopicReport(
        name=report.name,
        own=report.own,
        exists=report.exists,
        created=report.name in created,
        partitions=report.partitions,
        topic_uuid=report.topic_uuid,
        differences=report.differences,
    )


def _configs(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    described = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {
        name: {key: config["value"] for key, config in entries.items()} for name, entries in described.items()
    }


def _compared(topic: PlannedTopic, found: dict[str, Any] | None, config: dict[str, str]) -> TopicReport:
    if found is None:
        return TopicReport(name=topic.name, own=topic.own, exists=False, differences=("does not exist",))
    partitions = found["partitions"]
    replication = min((len(partition["replica_nodes"]) for partition in partitions), default=0)
    differences = []
    if len(partitions) != topic.partitions:
        differences.append(f"{len(partitions)} partitions, not {topic.partitions}")
    if replication != topic.replication:
        differences.append(f"replication {replication}, not {topic.replication}")
    for key, value in topic.config.items():
        if config.get(key) != value:
            differences.append(f"{key} is {config.get(key)}, not {value}")
    return TopicReport(
        name=topic.name,
        own=topic.own,
        exists=True,
        partitions=len(partitions),
        topic_uuid=kafka_uuid(found["topic_id"]),
        differences=tuple(differences),
    )
