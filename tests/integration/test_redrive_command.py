"""`streamapp redrive` on a real broker: list, show, send, and the ledger that refuses a second time."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from typer.testing import CliRunner, Result

from streamapp.cli import redrive
from streamapp.cli.redrive import app
from streamapp.cluster.kafka_clients import open_admin, open_producer, read_topic_to_end
from streamapp.cluster.topic_admin import create_topics, plan_topics
from streamapp.contracts.dead_letter import dead_letter_headers, dead_letter_key_and_value, parse_redriven
from streamapp.contracts.messages import DeadLetterReason
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.redrive import DeadLetter
from streamapp.settings import BrokerAccess, Settings, TopicSettings, dump_settings

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(broker: str, topic_prefix: str, tmp_path: Path) -> Settings:
    made = Settings(
        broker=BrokerAccess(bootstrap=broker), topics=TopicSettings(prefix=topic_prefix), inputs=()
    )
    (tmp_path / "settings.json").write_text(dump_settings(made))
    with open_admin(made.broker) as admin:
        create_topics(admin, plan_topics(made, dev=True))
    return made


@pytest.fixture
def config(settings: Settings, tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def publish(settings: Settings, records: Sequence[tuple[RawRecord, DeadLetterReason]]) -> None:
    producer = open_producer(settings.broker)
    for number, (record, reason) in enumerate(records):
        headers = dead_letter_headers(record, "news", reason, f"detail \x1b[31m{number}", 1_000 + number, "1")
        key, value = dead_letter_key_and_value(record, reason)
        topic = settings.topics.prefix + "dead-letters"
        producer.send(topic, key=key or b"none", value=value, headers=headers, partition=0).get(timeout=30)
    producer.close()


def failed(offset: int, value: bytes | None = b"{", key: bytes = b"k") -> RawRecord:
    return RawRecord(
        topic="wires",
        topic_uuid="W",
        partition=1,
        offset=offset,
        timestamp_ms=500 + offset,
        key=key,
        value=value,
        headers=(("traceparent", b"00-%d" % offset),),
    )


def invoke(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)])


def invoke_json(config: Path, *arguments: str) -> tuple[int, Any]:
    result = invoke(config, *arguments, "--json", "-")
    return result.exit_code, json.loads(result.stdout)


def redriven(settings: Settings) -> list[RawRecord]:
    return list(read_topic_to_end(settings.broker, settings.topics.prefix + "redriven"))


def test_dead_letters_are_sent_once_and_what_has_no_value_is_refused(
    config: Path, settings: Settings
) -> None:
    publish(settings, [(failed(1), "not_json"), (failed(1), "not_json"), (failed(2), "too_large")])
    dry, report = invoke_json(config, "send", "--all", "--dry-run")
    assert (dry, report["sent"], redriven(settings)) == (1, 1, [])
    code, report = invoke_json(config, "send", "--all")
    assert (code, report["sent"]) == (1, 1)
    assert [letter["refused"] for letter in report["letters"]] == [
        None,
        "its origin was sent again already",
        "its value was too large to be kept",
    ]
    [record] = redriven(settings)
    assert (record.key, record.value, record.headers[0]) == (b"k", b"{", ("traceparent", b"00-1"))
    origin = parse_redriven(record.headers)
    assert origin is not None
    assert (origin.topic, origin.partition, origin.offset, origin.timestamp_ms) == ("wires", 1, 1, 501)
    code, report = invoke_json(config, "send", "0:0")
    assert (code, report["sent"], len(redriven(settings))) == (1, 0, 1)


def test_a_send_takes_over_from_one_that_still_runs_and_neither_repeats_the_other(
    config: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, [(failed(1), "not_json"), (failed(2), "not_json")])
    send_some = redrive._send_some
    took_over: list[Any] = []

    def slow(producer: KafkaProducer, topic: str, letters: Sequence[DeadLetter]) -> None:
        """Between the two chunks of the first `send` the second one is called, and comes to its end."""
        if redriven(settings) and not took_over:
            took_over.append(None)
            took_over[0] = invoke_json(config, "send", "--all")
        send_some(producer, topic, letters)

    monkeypatch.setattr(redrive, "SENDS_IN_FLIGHT", 1)
    monkeypatch.setattr(redrive, "_send_some", slow)
    first = invoke(config, "send", "--all")
    assert first.exit_code == 5
    assert "took over" in first.stderr
    [(code, report)] = took_over
    assert (code, report["sent"]) == (1, 1)
    origins = [parse_redriven(record.headers) for record in redriven(settings)]
    assert sorted(origin.offset for origin in origins if origin is not None) == [1, 2]


def test_a_second_failure_may_be_sent_once_more(config: Path, settings: Settings) -> None:
    publish(settings, [(failed(1), "not_json")])
    assert invoke(config, "send", "--all").exit_code == 0
    [again] = redriven(settings)
    publish(settings, [(RawRecord(**{**_fields(again), "redriven": True}), "fails_alone")])
    assert invoke(config, "send", "--reason", "fails_alone").exit_code == 0
    assert invoke(config, "send", "--reason", "fails_alone").exit_code == 1
    origins = [parse_redriven(record.headers) for record in redriven(settings)]
    assert len(origins) == 2
    assert origins[0] == origins[1]


def test_list_and_send_choose_by_reason_topic_key_and_time(config: Path, settings: Settings) -> None:
    publish(
        settings,
        [
            (failed(1), "not_json"),
            (failed(2, key=b"other"), "bad_time"),
            (failed(3, value=None), "null_value"),
        ],
    )
    _, every = invoke_json(config, "list")
    assert [row["name"] for row in every] == ["0:0", "0:1", "0:2"]
    for arguments, names in (
        (["--reason", "bad_time", "--reason", "not_json"], ["0:0", "0:1"]),
        (["--topic", "forum"], []),
        (["--key", "other"], ["0:1"]),
        (["--since", "1970-01-01T00:00:01.002Z"], ["0:2"]),
        (["--until", "1970-01-01T00:00:01.001Z"], ["0:0"]),
        (["--since", "1h"], []),
    ):
        _, rows = invoke_json(config, "list", *arguments)
        assert [row["name"] for row in rows] == names, arguments
    assert invoke(config, "send", "--topic", "forum").exit_code == 4
    assert redriven(settings) == []


def test_show_gives_the_original_bytes_and_steers_no_terminal(config: Path, settings: Settings) -> None:
    publish(settings, [(failed(1, value=b"\xff{\x1b[2J"), "bad_utf8")])
    code, shown = invoke_json(config, "show", "0:0")
    assert code == 0
    assert base64.b64decode(shown["value"]) == b"\xff{\x1b[2J"
    assert shown["about"]["first"]["topic"] == "wires"
    assert "\x1b" not in invoke(config, "show", "0:0").stdout
    assert "\x1b" not in invoke(config, "list").stdout
    assert invoke(config, "show", "0:9").exit_code == 4


@pytest.mark.parametrize(
    "arguments", [["send"], ["send", "--reason", "nonsense"], ["send", "--since", "nonsense"]]
)
def test_wrong_use_sends_nothing_and_says_so(config: Path, arguments: list[str]) -> None:
    assert invoke(config, *arguments).exit_code == 2


def _fields(record: RawRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}
