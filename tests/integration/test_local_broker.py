"""The local broker on the real Apache Kafka: its life, its faults and its command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from streamapp.local import kafka_settings
from streamapp.local.broker import BrokerError, BrokerSettings, LocalBroker, attach

CLI = [sys.executable, "-c", "from streamapp.cli.broker import app; app()"]
OWNER = """
import sys, time
from pathlib import Path
from streamapp.local.broker import BrokerSettings, LocalBroker
broker = LocalBroker.start(BrokerSettings(Path(sys.argv[1])), die_with_parent=True)
print(broker.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """One broker for the tests that leave it running as they found it."""
    settings = BrokerSettings(tmp_path_factory.mktemp("shared broker ä"))
    with LocalBroker.start(settings, die_with_parent=True) as running:
        yield running


def started(data_dir: Path, **settings: object) -> LocalBroker:
    return LocalBroker.start(BrokerSettings(data_dir, **settings), die_with_parent=True)  # type: ignore[arg-type]


def create_topic(broker: LocalBroker, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])
    admin.close()


def produce(broker: LocalBroker, topic: str, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for sent in [producer.send(topic, value) for value in values]:
        sent.get(timeout=30)
    producer.close()


def consume(broker: LocalBroker, topic: str, count: int, group: str) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=broker.bootstrap, group_id=group, auto_offset_reset="earliest"
    )
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        values += [record.value for batch in consumer.poll(timeout_ms=500).values() for record in batch]
    consumer.close()
    return sorted(values)


def processes_of(data_dir: Path) -> list[int]:
    """The processes whose command line names this folder, zombies left out (they have no command line)."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if process.pid != os.getpid() and any(
            str(data_dir / "server.properties") == each for each in command
        ):
            found.append(process.pid)
    return found


def eventually(holds: Callable[[], bool], timeout_seconds: float = 10) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_it_takes_and_gives_messages_through_a_consumer_group(broker: LocalBroker) -> None:
    values = [b"message %d" % number for number in range(100)]
    create_topic(broker, "round-trip")

    produce(broker, "round-trip", values)

    assert consume(broker, "round-trip", 100, "round-trip") == sorted(values)


def test_a_misspelt_topic_is_not_created(broker: LocalBroker) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, max_block_ms=1500)
    with pytest.raises(Exception, match=r"(?i)topic|metadata|timeout"):
        producer.send("no-such-topic", b"x").get(timeout=5)
    producer.close(timeout=1)

    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    assert "no-such-topic" not in admin.list_topics()
    admin.close()


def test_it_listens_on_loopback_only(broker: LocalBroker) -> None:
    listening = [
        each.laddr.ip
        for each in psutil.Process(broker.pid).net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    ]

    assert len(listening) == 2
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_it_logs_into_its_data_folder(broker: LocalBroker) -> None:
    assert broker.data_dir in broker.log_file.parents
    assert "Kafka Server started" in broker.log_file.read_text(encoding="utf-8")


def test_another_program_finds_it_by_its_folder(broker: LocalBroker) -> None:
    found = attach(broker.data_dir)

    assert found is not None
    assert (found.pid, found.bootstrap) == (broker.pid, broker.bootstrap)
    assert found.is_answering()


def test_a_second_start_in_the_same_folder_is_refused(broker: LocalBroker) -> None:
    with pytest.raises(BrokerError, match=f"already runs.*{broker.bootstrap}"):
        started(broker.data_dir)
    assert broker.is_answering()


def test_a_taken_port_is_named(broker: LocalBroker, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=f"Port {broker.port} .* taken"):
        started(tmp_path, port=broker.port)


def test_a_paused_broker_does_not_answer_and_a_resumed_one_does(broker: LocalBroker) -> None:
    broker.pause()
    try:
        assert broker.is_alive()
        assert not broker.is_answering(timeout_seconds=1)
    finally:
        broker.resume()
    assert eventually(lambda: broker.is_answering(timeout_seconds=2))


def test_stop_and_restart_keep_port_and_data_and_leave_no_process(tmp_path: Path) -> None:
    with started(tmp_path) as broker:
        create_topic(broker, "kept")
        produce(broker, "kept", [b"before"])
        first_pid, bootstrap = broker.pid, broker.bootstrap

        broker.stop()
        broker.stop()
        assert not processes_of(tmp_path)
        assert attach(tmp_path) is None

        broker.restart()
        assert (broker.bootstrap, broker.pid != first_pid) == (bootstrap, True)
        assert consume(broker, "kept", 1, "reader") == [b"before"]
    assert not processes_of(tmp_path)


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    values = [b"%d" % number for number in range(500)]
    with started(tmp_path) as broker:
        create_topic(broker, "kept")
        produce(broker, "kept", values)
        broker.kill()
        assert not broker.is_alive()
        assert attach(tmp_path) is None  # the state file of the killed one is stale

        broker.restart()
        assert consume(broker, "kept", 500, "reader") == sorted(values)


def test_a_stale_state_file_that_names_a_living_process_is_recognised(tmp_path: Path) -> None:
    with started(tmp_path) as broker:
        state = json.loads((tmp_path / "broker.json").read_bytes())
        assert state["pid"] == broker.pid
    (tmp_path / "broker.json").write_text(json.dumps({**state, "pid": os.getpid()}))

    assert attach(tmp_path) is None
    with started(tmp_path) as again:
        assert again.is_answering()


def test_a_port_taken_between_choice_and_use_is_chosen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = kafka_settings.free_port
    with socket.create_server((kafka_settings.HOST, choose())) as other:
        choices = iter([other.getsockname()[1]])
        monkeypatch.setattr(kafka_settings, "free_port", lambda **besides: next(choices, None) or choose())
        lines: list[str] = []
        with LocalBroker.start(BrokerSettings(tmp_path), lines.append, die_with_parent=True) as broker:
            assert broker.port != other.getsockname()[1]
            assert any("choosing another" in line for line in lines)


def test_two_starts_at_once_do_not_collide(tmp_path: Path) -> None:
    brokers: list[LocalBroker] = []
    threads = [
        threading.Thread(target=lambda name=name: brokers.append(started(tmp_path / name))) for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len({broker.bootstrap for broker in brokers}) == 2
        assert all(broker.is_answering() for broker in brokers)
    finally:
        for broker in brokers:
            broker.stop()


def test_a_start_that_takes_too_long_shows_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"did not answer within 0\.5 s") as caught:
        started(tmp_path, startup_timeout_seconds=0.5)

    assert str(tmp_path / "logs" / "broker.log") in str(caught.value)
    assert not processes_of(tmp_path)
    assert not (tmp_path / "broker.json").exists()


def test_a_broker_that_ends_while_it_starts_shows_why(tmp_path: Path) -> None:
    with started(tmp_path):
        pass
    with pytest.raises(BrokerError, match=r"(?s)ended while it started.*queued\.max\.requests"):
        started(tmp_path, properties={"queued.max.requests": "0"})
    assert not processes_of(tmp_path)


def test_it_dies_with_its_owner_when_asked(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert processes_of(tmp_path) == [pid]
        owner.send_signal(signal.SIGKILL)

    assert eventually(lambda: not processes_of(tmp_path))


def test_from_the_command_line_it_stays_up_until_it_is_stopped(tmp_path: Path) -> None:
    folder = ["--data-dir", str(tmp_path)]
    absent = subprocess.run([*CLI, "status", *folder], capture_output=True, text=True, check=False)
    try:
        begun = subprocess.run([*CLI, "start", *folder], capture_output=True, text=True, check=True)
        again = subprocess.run([*CLI, "start", *folder], capture_output=True, text=True, check=True)
        status = subprocess.run([*CLI, "status", *folder, "--json", "-"], capture_output=True, check=True)
    finally:
        ended = subprocess.run([*CLI, "stop", *folder], capture_output=True, text=True, check=True)
    facts = json.loads(status.stdout)

    assert absent.returncode == 3
    assert facts["running"]
    assert facts["answering"]
    assert all(str(facts[name]) in begun.stdout for name in ("bootstrap", "pid", "data_dir", "log_file"))
    assert facts["bootstrap"] in again.stdout
    assert facts["bootstrap"] in ended.stdout
    assert not processes_of(tmp_path)
