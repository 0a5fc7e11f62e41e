"""`streamapp doctor` names each planted fault in words of its own, with a command that mends it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import TopicPartition
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from streamapp.cluster.kafka_clients import open_admin, open_producer
from streamapp.cluster.service_state import write_service_state
from streamapp.contracts.messages import InputState, TopicIdentity
from streamapp.local.broker import BrokerSettings, LocalBroker
from streamapp.settings import Settings, dump_settings
from tests.harness.cluster import TestCluster
from tests.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.broker


def examine(settings: Settings, folder: Path, *options: str) -> tuple[int, list[dict[str, str]]]:
    """Exit code and findings of the command as a script sees them."""
    config = folder / "doctor.json"
    config.write_text(dump_settings(settings), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "streamapp", "doctor", "--config", str(config), "--json", "-", *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def troubles(findings: list[dict[str, str]]) -> dict[str, str]:
    """Message by check, of everything that is not ok; each has its mend."""
    found = [finding for finding in findings if finding["level"] != "ok"]
    assert all(finding["mend"] for finding in found)
    return {finding["check"]: finding["message"] for finding in found}


def change(settings: Settings, group: str, **values: Any) -> Settings:
    return msgspec.structs.replace(
        settings, **{group: msgspec.structs.replace(getattr(settings, group), **values)}
    )


def test_a_sound_installation_has_nothing_to_mend(
    cluster: Callable[..., TestCluster], tmp_path: Path
) -> None:
    code, findings = examine(cluster().settings, tmp_path, "--dev")
    assert (code, troubles(findings)) == (0, {})


def test_a_misspelt_key_is_named_and_ends_with_2(tmp_path: Path) -> None:
    config = tmp_path / "streamapp.toml"
    config.write_text("[event_time]\nlatness_seconds = 3\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "streamapp", "doctor", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "latness_seconds" in done.stderr


def plant_heartbeat(test: TestCluster, folder: Path) -> Settings:
    return change(test.settings, "worker", heartbeat_seconds=9.0)


def plant_tampered_model(test: TestCluster, folder: Path) -> Settings:
    bundle = write_tiny_bundle(folder / "tampered")
    graph = bundle / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    return change(test.settings, "model", bundle=str(bundle))


def plant_unreadable_symbols(test: TestCluster, folder: Path) -> Settings:
    symbols = folder / "symbols.toml"
    symbols.write_text("[companies.AAPL]\nnmae = 'Apple'\n", encoding="utf-8")
    return change(test.settings, "intake", symbols_file=str(symbols))


def plant_no_broker(test: TestCluster, folder: Path) -> Settings:
    return change(test.settings, "broker", bootstrap="127.0.0.1:9")


def plant_missing_topic(test: TestCluster, folder: Path) -> Settings:
    with open_admin(test.settings.broker) as admin:
        admin.delete_topics([test.name("alerts")])
    return test.settings


def plant_partitions(test: TestCluster, folder: Path) -> Settings:
    return change(test.settings, "topics", partitions=7)


def plant_recreated_topic(test: TestCluster, folder: Path) -> Settings:
    known = TopicIdentity(topic=test.name("news"), topic_uuid="A" * 22)
    write_service_state(test.settings, f"topic/{known.topic}", known)
    return test.settings


def plant_paused_input(test: TestCluster, folder: Path) -> Settings:
    state = InputState(
        topic=test.name("chat"), paused=True, reason="1000 dead letters in a row", changed_at_ms=1
    )
    write_service_state(test.settings, f"input/{state.topic}", state)
    return test.settings


def plant_lost_offsets(test: TestCluster, folder: Path) -> Settings:
    from kafka.structs import OffsetAndMetadata

    test.publish([{"id": str(number), "text": "profit", "_partition": 0} for number in range(10)])
    partition = TopicPartition(test.name("news"), 0)
    with open_admin(test.settings.broker) as admin:
        admin.alter_group_offsets(test.settings.worker.group, {partition: OffsetAndMetadata(2, "", -1)})
        admin.delete_records({partition: 5})
    return test.settings


def plant_clock(test: TestCluster, folder: Path) -> Settings:
    producer = open_producer(test.settings.broker)
    try:
        ahead_ms = int(time.time() * 1000) + 1_800_000
        producer.send(test.name("news"), value=b"{}", timestamp_ms=ahead_ms).get(timeout=30)
    finally:
        producer.close()
    return test.settings


def plant_replication(test: TestCluster, folder: Path) -> Settings:
    return change(test.settings, "topics", min_insync_replicas=2)


PLANTS = [
    (plant_heartbeat, "settings", "one late heartbeat"),
    (plant_replication, "settings", "nothing could be written"),
    (plant_tampered_model, "model", "model.onnx"),
    (plant_unreadable_symbols, "symbols", "nmae"),
    (plant_no_broker, "broker", "does not answer"),
    (plant_missing_topic, "topics", "alerts does not exist"),
    (plant_partitions, "topics", "4 partitions, not 7"),
    (plant_recreated_topic, "identity", "was recreated"),
    (plant_paused_input, "paused", "1000 dead letters in a row"),
    (plant_lost_offsets, "offsets", "3 records of"),
    (plant_clock, "clock", "in the future"),
]


@pytest.mark.parametrize(("plant", "check", "words"), PLANTS, ids=[plant[0].__name__ for plant in PLANTS])
def test_a_planted_fault_is_found_with_a_message_of_its_own(
    plant: Callable[[TestCluster, Path], Settings],
    check: str,
    words: str,
    cluster: Callable[..., TestCluster],
    tmp_path: Path,
) -> None:
    code, findings = examine(plant(cluster(), tmp_path), tmp_path, "--dev")
    assert code == 1
    assert words in troubles(findings)[check]


def test_a_taken_port_is_a_warning_that_names_it(cluster: Callable[..., TestCluster], tmp_path: Path) -> None:
    test = cluster()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", test.settings.http.port))
        taken.listen()
        code, findings = examine(test.settings, tmp_path, "--dev")
    assert code == 0
    assert str(test.settings.http.port) in troubles(findings)["port"]


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Iterator[LocalBroker]:
    """A broker that checks access lists."""
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "super.users": "User:admin",
    }
    with LocalBroker.start(
        BrokerSettings(data_dir=tmp_path / "broker", properties=properties), die_with_parent=True
    ) as local:
        yield local


def test_a_missing_permission_is_named_with_topic_and_operation(
    guarded_broker: LocalBroker, topic_prefix: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    test = TestCluster(guarded_broker.bootstrap, topic_prefix, tiny_bundle)
    denied = ACL(
        principal="User:ANONYMOUS",
        host="*",
        operation=ACLOperation.WRITE,
        permission_type=ACLPermissionType.DENY,
        resource_pattern=ResourcePattern(ResourceType.TOPIC, test.name("alerts")),
    )
    allowed = ACL(
        principal="User:ANONYMOUS",
        host="*",
        operation=ACLOperation.DESCRIBE,
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=ResourcePattern(ResourceType.TOPIC, test.name("alerts")),
    )
    with open_admin(test.settings.broker) as admin:
        admin.create_acls([denied, allowed])
    code, findings = examine(test.settings, tmp_path, "--dev")
    assert code == 1
    assert f"may not Write topic {test.name('alerts')}" in troubles(findings)["permissions"]
