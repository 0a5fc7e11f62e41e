"""What is wrong with the cluster, as findings: a check, how bad it is, words, and the command that mends it."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import stamina
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import CoordinatorNotAvailableError, KafkaError
from msgspec import Struct

from streamapp.cluster.kafka_clients import open_admin, open_consumer
from streamapp.cluster.service_state import read_service_state
from streamapp.cluster.topic_admin import PlannedTopic, compare_topics, plan_topics
from streamapp.contracts.messages import InputState, TopicIdentity
from streamapp.contracts.topics import SERVICE_STATE
from streamapp.settings import Settings, SettingsError

Level = Literal["ok", "warning", "failure"]

CLOCK_TOLERANCE_SECONDS = 60.0


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `mend` is the command or the setting that mends it; empty where all is well."""

    check: str
    level: Level
    message: str
    mend: str = ""


def check_cluster(settings: Settings, dev: bool) -> Iterator[Finding]:
    """Everything about broker, topics, permissions and the consumer group; ends early where nothing answers."""
    try:
        with open_admin(settings.broker) as admin:
            yield Finding(check="broker", level="ok", message=f"Kafka answers at {settings.broker.bootstrap}")
            planned = plan_topics(settings, dev)
            yield from _check_brokers(admin, planned)
            yield from _check_topics(admin, planned, dev)
            yield from _check_permissions(admin, settings)
            yield from _check_state(admin, settings)
            yield from _check_offsets(admin, settings)
    except (KafkaError, OSError, SettingsError) as error:
        yield Finding(
            check="broker",
            level="failure",
            message=f"Kafka at {settings.broker.bootstrap} does not answer: {type(error).__name__}: {error}",
            mend="set what is named in the group broker of the settings; for a local one: streamapp broker start",
        )


def _check_brokers(admin: KafkaAdminClient, planned: Sequence[PlannedTopic]) -> Iterator[Finding]:
    brokers = len(admin.describe_cluster()["brokers"])
    wanted = max(topic.replication for topic in planned)
    if brokers < wanted:
        yield Finding(
            check="replication",
            level="failure",
            message=f"the cluster has {brokers} brokers, too few for {wanted} replicas",
            mend="add brokers, or set topics.replication; for trying out: --dev",
        )
    else:
        yield Finding(check="replication", level="ok", message=f"{brokers} brokers for {wanted} replicas")


def _check_topics(admin: KafkaAdminClient, planned: Sequence[PlannedTopic], dev: bool) -> Iterator[Finding]:
    reports = compare_topics(admin, planned)
    create = "streamapp topics create" + (" --dev" if dev else "")
    for report in reports:
        if not report.exists:
            yield Finding(
                check="topics", level="failure", message=f"topic {report.name} does not exist", mend=create
            )
            continue
        for difference in report.differences:
            yield Finding(
                check="topics",
                level="failure" if report.own else "warning",
                message=f"topic {report.name} has {difference}",
                mend="kafka-configs.sh --alter (or kafka-topics.sh --alter for partitions); or change the settings",
            )
    if all(report.exists and not report.differences for report in reports):
        yield Finding(check="topics", level="ok", message=f"{len(reports)} topics are as they must be")


def _check_permissions(admin: KafkaAdminClient, settings: Settings) -> Iterator[Finding]:
    prefix = settings.topics.prefix
    inputs = {source.topic for source in settings.inputs} | {prefix + "redriven"}
    both = {prefix + name for name in ("subject-activity", "subject-state", "service-state")}
    outputs = {prefix + name for name in ("scored-posts", "subject-trends", "alerts", "dead-letters")}
    refused = 0
    for topic in admin.describe_topics(sorted(inputs | both | outputs)):
        operations = topic.get("authorized_operations")
        if topic["error_code"] != 0 or operations is None:
            continue
        name = topic["name"]
        for wanted, verb in ((inputs | both, "Read"), (outputs | both, "Write")):
            if name in wanted and verb.upper() not in operations:
                refused += 1
                yield Finding(
                    check="permissions",
                    level="failure",
                    message=f"this user may not {verb} topic {name}",
                    mend=f"kafka-acls.sh --add --operation {verb} --topic {name} --allow-principal User:...",
                )
    if not refused:
        yield Finding(
            check="permissions", level="ok", message="every topic may be read and written as needed"
        )


def _check_state(admin: KafkaAdminClient, settings: Settings) -> Iterator[Finding]:
    described = admin.describe_topics([settings.topics.prefix + SERVICE_STATE.name])
    if any(topic["error_code"] != 0 for topic in described):
        return
    uuids = {report.name: report.topic_uuid for report in compare_topics(admin, plan_topics(settings))}
    troubles = 0
    for state in read_service_state(settings).values():
        if isinstance(state, TopicIdentity) and uuids.get(state.topic, "") not in ("", state.topic_uuid):
            troubles += 1
            yield Finding(
                check="identity",
                level="failure",
                message=f"topic {state.topic} was recreated since it was last read; workers will not start",
                mend=f"streamapp topics adopt {state.topic}",
            )
        if isinstance(state, InputState) and state.paused:
            troubles += 1
            yield Finding(
                check="paused",
                level="failure",
                message=f"input {state.topic} is paused: {state.reason}",
                mend=f"streamapp redrive list, mend the feed, then: streamapp topics resume {state.topic}",
            )
    if not troubles:
        yield Finding(check="identity", level="ok", message="no input was recreated or is paused")


def _check_offsets(admin: KafkaAdminClient, settings: Settings) -> Iterator[Finding]:
    """Records deleted before they were read, and record times that this machine's clock has not reached."""
    committed = _committed(admin, settings.worker.group)
    consumer = open_consumer(settings.broker)
    try:
        inputs = [source.topic for source in settings.inputs]
        tps = [
            TopicPartition(name, number)
            for name in inputs
            for number in consumer.partitions_for_topic(name) or ()
        ]
        begins = consumer.beginning_offsets(tps) if tps else {}
        yield from _lost(committed, begins)
        yield _newest_record(consumer, tps)
    finally:
        consumer.close()


# A fresh cluster makes its offsets topic when it is first asked for a group's coordinator.
@stamina.retry(on=CoordinatorNotAvailableError, timeout=20.0)
def _committed(admin: KafkaAdminClient, group: str) -> dict[Any, Any]:
    committed: dict[Any, Any] = admin.list_group_offsets(group).get(group, {})
    return committed


def _lost(committed: dict[Any, Any], begins: dict[Any, int]) -> Iterator[Finding]:
    lost = 0
    for tp, begin in begins.items():
        offset = getattr(committed.get(tp), "offset", -1)
        if 0 <= offset < begin:
            lost += 1
            yield Finding(
                check="offsets",
                level="failure",
                message=f"{begin - offset} records of {tp.topic} partition {tp.partition} were deleted unread",
                mend=f"raise retention.ms of {tp.topic}, and add workers until the lag stays low",
            )
    if not lost:
        yield Finding(check="offsets", level="ok", message="no record was deleted before it was read")


def _newest_record(consumer: Any, tps: Sequence[Any]) -> Finding:
    ends = consumer.end_offsets(tps) if tps else {}
    begins = consumer.beginning_offsets(tps) if tps else {}
    filled = [tp for tp in tps if ends[tp] > begins[tp]]
    if not filled:
        return Finding(
            check="clock", level="ok", message="the inputs are empty: nothing to compare the clock with"
        )
    consumer.assign(filled)
    for tp in filled:
        consumer.seek(tp, ends[tp] - 1)
    deadline = time.monotonic() + 10
    newest_ms = 0
    while time.monotonic() < deadline and any(consumer.position(tp) < ends[tp] for tp in filled):
        for records in consumer.poll(timeout_ms=500).values():
            newest_ms = max(newest_ms, *(record.timestamp for record in records))
    ahead_seconds = newest_ms / 1000 - time.time()
    if ahead_seconds > CLOCK_TOLERANCE_SECONDS:
        return Finding(
            check="clock",
            level="failure",
            message=f"the newest input record is {ahead_seconds:.0f} s in the future of this machine's clock",
            mend="set this machine's clock (chronyc makestep), or that of the producer of the input",
        )
    return Finding(
        check="clock", level="ok", message="no input record is in the future of this machine's clock"
    )
