"""`streamapp topics` on a real broker: created once, compared, adopted, resumed."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from streamapp.cli.topics import app
from streamapp.cluster.kafka_clients import open_admin, open_producer, read_topic_to_end, topic_uuids
from streamapp.cluster.service_state import read_service_state, write_service_state
from streamapp.cluster.topic_admin import create_topics, plan_topics
from streamapp.contracts.messages import InputState, TopicIdentity
from streamapp.settings import (
    BrokerAccess,
    InputSettings,
    IntakeSettings,
    Settings,
    TopicSettings,
    dump_settings,
)

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(broker: str, topic_prefix: str) -> Settings:
    return Settings(
        broker=BrokerAccess(bootstrap=broker),
        topics=TopicSettings(prefix=topic_prefix, partitions=3),
        inputs=(
            InputSettings(topic=f"{topic_prefix}wires", channel="news"),
            InputSettings(topic=f"{topic_prefix}forum", channel="chat"),
        ),
    )


@pytest.fixture
def config(settings: Settings, tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    path.write_text(dump_settings(settings))
    return path


def invoke(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)])


def invoke_json(config: Path, *arguments: str) -> tuple[int, Any]:
    result = invoke(config, *arguments, "--json", "-")
    return result.exit_code, json.loads(result.stdout)


def test_create_makes_every_topic_once_and_says_what_exists(config: Path, settings: Settings) -> None:
    code, reports = invoke_json(config, "create", "--dev")
    assert code == 0
    assert all(report["created"] and not report["differences"] for report in reports)
    assert {report["name"] for report in reports} == {topic.name for topic in plan_topics(settings)}
    partitions = {
        report["name"].removeprefix(settings.topics.prefix): report["partitions"] for report in reports
    }
    assert (partitions["wires"], partitions["subject-state"], partitions["service-state"]) == (3, 3, 1)
    again, reports = invoke_json(config, "create", "--dev")
    assert again == 0
    assert not any(report["created"] for report in reports)


def test_create_names_what_differs_and_changes_nothing(config: Path, settings: Settings) -> None:
    invoke(config, "create", "--dev")
    more = msgspec.structs.replace(
        settings,
        topics=msgspec.structs.replace(settings.topics, partitions=5),
        intake=IntakeSettings(max_record_bytes=2_000_000),
    )
    config.write_text(dump_settings(more))
    code, reports = invoke_json(config, "create", "--dev")
    found = {report["name"].removeprefix(settings.topics.prefix): report["differences"] for report in reports}
    assert code == 1
    assert found["alerts"] == ["3 partitions, not 5"]
    assert found["dead-letters"] == ["3 partitions, not 5", "max.message.bytes is 1048588, not 2065536"]
    assert found["service-state"] == []


def test_a_topic_that_the_cluster_refuses_is_named(config: Path, settings: Settings) -> None:
    result = invoke(config, "create")  # three replicas on one broker
    assert result.exit_code == 3
    assert settings.topics.prefix in result.stderr


def test_a_broker_that_does_not_answer_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamapp.cluster.access.BOOTSTRAP_TIMEOUT_MS", 500)
    result = invoke(config, "list", "--broker", "127.0.0.1:1")
    assert result.exit_code == 3
    assert "127.0.0.1:1" in result.stderr


def test_list_shows_missing_recreated_and_paused_topics(config: Path, settings: Settings) -> None:
    _, rows = invoke_json(config, "list", "--dev")
    assert all(row["notes"] == ["does not exist"] for row in rows)
    invoke(config, "create", "--dev")
    wires, forum = (feed.topic for feed in settings.inputs)
    write_service_state(settings, f"topic/{wires}", TopicIdentity(topic=wires, topic_uuid="another"))
    paused = InputState(topic=forum, paused=True, reason="1000 in a row", changed_at_ms=1)
    write_service_state(settings, f"input/{forum}", paused)
    _, rows = invoke_json(config, "list", "--dev")
    notes = {row["name"]: row["notes"] for row in rows if row["notes"]}
    assert set(notes) == {wires, forum}
    assert f"streamapp topics adopt {wires}" in notes[wires][0]
    assert f"streamapp topics resume {forum}" in notes[forum][0]


def test_adopt_takes_the_new_uuid_of_a_recreated_topic(config: Path, settings: Settings) -> None:
    invoke(config, "create", "--dev")
    wires = settings.inputs[0].topic
    assert invoke(config, "adopt", wires).exit_code == 0
    first = read_service_state(settings)[f"topic/{wires}"]
    with open_admin(settings.broker) as admin:
        admin.delete_topics([wires])
        while topic_uuids(admin, [wires]):
            pass
        create_topics(admin, plan_topics(settings, dev=True))
        uuid = topic_uuids(admin, [wires])[wires]
    assert invoke(config, "adopt", wires).exit_code == 0
    second = read_service_state(settings)[f"topic/{wires}"]
    assert isinstance(second, TopicIdentity)
    assert second != first
    assert second.topic_uuid == uuid
    assert len(uuid) == 22


def test_resume_ends_a_pause(config: Path, settings: Settings) -> None:
    invoke(config, "create", "--dev")
    forum = settings.inputs[1].topic
    assert "was not paused" in invoke(config, "resume", forum).stdout
    paused = InputState(topic=forum, paused=True, reason="1000 in a row", changed_at_ms=1)
    write_service_state(settings, f"input/{forum}", paused)
    result = invoke(config, "resume", forum)
    assert "1000 in a row" in result.stdout
    state = read_service_state(settings)[f"input/{forum}"]
    assert isinstance(state, InputState)
    assert not state.paused


@pytest.mark.parametrize("command", ["adopt", "resume"])
def test_a_topic_that_is_no_input_is_refused_by_name(config: Path, command: str) -> None:
    result = invoke(config, command, "alerts")
    assert result.exit_code == 2
    assert "wires" in result.stderr


def test_a_topic_is_read_to_its_end_on_every_partition(settings: Settings) -> None:
    with open_admin(settings.broker) as admin:
        create_topics(admin, plan_topics(settings, dev=True))
    topic = settings.inputs[0].topic
    producer = open_producer(settings.broker)
    for number in range(2_000):
        producer.send(topic, value=b"%d" % number, partition=number % 2, headers=[("n", b"%d" % number)])
    producer.flush()
    producer.close()
    records = list(read_topic_to_end(settings.broker, topic))
    assert sorted(int(record.value or b"") for record in records) == list(range(2_000))
    for partition in (0, 1):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(1_000))
    assert list(read_topic_to_end(settings.broker, topic + "-absent")) == []
