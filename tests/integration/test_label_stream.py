"""Labels from a real broker into the store: what is stored is committed, bad ones are dead letters, kills lose none."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from retrain import metrics
from retrain.label_classes import LabelClasses
from retrain.label_store import LabelStore, LabelStoreError
from retrain.label_stream import LabelStream, Taken
from retrain.label_topics import LabelTopicsError
from retrain.settings import LabelSettings, RetrainSettings, StoreSettings
from streamapp.cluster.access import kafka_python_options
from streamapp.cluster.kafka_clients import open_admin, open_producer, read_topic_to_end
from streamapp.cluster.topic_admin import create_topics, plan_topics
from streamapp.contracts.codec import encode
from streamapp.contracts.dead_letter import parse_dead_letter
from streamapp.contracts.messages import Label, LabelRequest, ModelAnnounced
from streamapp.core.label_rules import LabelLimits
from streamapp.local.broker import BrokerSettings, LocalBroker
from streamapp.settings import BrokerAccess, Settings, TopicSettings, dump_settings
from tests.conftest import REPOSITORY
from tests.unit.retrain.label_records import label

pytestmark = pytest.mark.broker

LIMITS = LabelLimits(topics=frozenset({"macro"}))
NOW_MS = int(time.time() * 1000)


def make_topics(bootstrap: str, prefix: str) -> None:
    settings = Settings(
        broker=BrokerAccess(bootstrap=bootstrap), topics=TopicSettings(prefix=prefix), inputs=()
    )
    with open_admin(settings.broker) as admin:
        create_topics(admin, plan_topics(settings, dev=True))


def settings_for(bootstrap: str, prefix: str, folder: Path) -> RetrainSettings:
    return RetrainSettings(
        broker=BrokerAccess(bootstrap=bootstrap),
        topics=TopicSettings(prefix=prefix),
        store=StoreSettings(path=str(folder / "labels.sqlite")),
        labels=LabelSettings(patience_seconds=20.0),
    )


@pytest.fixture
def settings(broker: str, topic_prefix: str, tmp_path: Path) -> RetrainSettings:
    make_topics(broker, topic_prefix)
    return settings_for(broker, topic_prefix, tmp_path)


@contextmanager
def reading(settings: RetrainSettings) -> Iterator[tuple[LabelStore, LabelStream]]:
    with (
        LabelStore(Path(settings.store.path)) as store,
        LabelStream(settings, store, LabelClasses(LIMITS)) as stream,
    ):
        yield store, stream


def publish(settings: RetrainSettings, topic: str, *messages: msgspec.Struct | bytes) -> None:
    producer = open_producer(settings.broker)
    for message in messages:
        raw = message if isinstance(message, bytes) else encode(message)
        key = getattr(message, "post_id", "k").encode()
        producer.send(settings.topics.prefix + topic, key=key, value=raw).get(timeout=30)
    producer.close()


def take_until(stream: LabelStream, records: int) -> list[Taken]:
    """Batches until so many records were read."""
    taken: list[Taken] = []
    deadline = time.monotonic() + 30
    while sum(each.records for each in taken) < records:
        assert time.monotonic() < deadline, taken
        taken.append(stream.take(0.2))
    return taken


def committed(settings: RetrainSettings, topic: str = "labels") -> int:
    """Offsets that the group has committed, over all partitions."""
    consumer = KafkaConsumer(
        **kafka_python_options(settings.broker), group_id=settings.topics.prefix + "retrain"
    )
    name = settings.topics.prefix + topic
    partitions = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name)]
    offsets = [consumer.committed(partition) or 0 for partition in partitions]
    consumer.close()
    return sum(offsets)


def request(post_id: str, drawn: str = "audit") -> LabelRequest:
    return LabelRequest(post_id=post_id, channel="chat", text="From the queue", drawn=drawn)  # type: ignore[arg-type]


def bare(post_id: str) -> Label:
    """A label that relies on the request for text and channel."""
    return label(post_id, NOW_MS, text=None, channel=None)


def test_what_is_stored_is_committed_and_bad_labels_are_dead_letters_with_a_reason(
    settings: RetrainSettings,
) -> None:
    publish(
        settings, "labels", label("n-1", NOW_MS), b"no json", label("n-2", NOW_MS, topic="sports"),
        bare("never-seen"), label("n-3", NOW_MS, topic="macro"),
    )  # fmt: skip
    with reading(settings) as (store, stream):
        taken = take_until(stream, 5)
        assert (sum(each.bad for each in taken), committed(settings)) == (3, 5)
        assert {each.post_id for each in store.current()} == {"n-1", "n-3"}
        assert metrics.REGISTRY.get_sample_value("streamapp_retrain_labels", {"origin": "person"}) == 2
    letters = [
        parse_dead_letter(each.headers)
        for each in read_topic_to_end(settings.broker, settings.topics.prefix + "dead-letters")
    ]
    assert {letter.reason for letter in letters} == {"bad_label"}
    said = " | ".join(sorted(letter.detail for letter in letters))
    for reason in ("unknown topic 'sports'", "neither a text nor a known post", "JSON is malformed"):
        assert reason in said


def test_a_label_finds_its_post_in_the_queue_whichever_is_read_first(settings: RetrainSettings) -> None:
    publish(settings, "labels", *(bare(f"p-{number}") for number in range(40)))
    publish(settings, "label-requests", *(request(f"p-{number}") for number in range(40)))
    with reading(settings) as (store, stream):
        take_until(stream, 80)
        current = store.current()
    assert len(current) == 40
    assert {(each.text, each.channel, each.drawn) for each in current} == {
        ("From the queue", "chat", "audit")
    }


def test_what_was_erased_stays_away_when_everything_is_read_again(settings: RetrainSettings) -> None:
    old = NOW_MS - 60_000
    publish(settings, "label-requests", request("gone"))
    publish(
        settings,
        "labels",
        label("gone", old, author="bo"),
        bare("gone"),
        label("by-ana", old),
        label("kept", old, author="bo"),
    )
    with reading(settings) as (store, stream):
        take_until(stream, 5)
        store.erase_post("gone")
        store.erase_author("ana")
        store._database.execute("DELETE FROM position")
    with reading(settings) as (store, stream):
        take_until(stream, 5)
        assert [each.post_id for each in store.current()] == ["kept"]
    assert list(read_topic_to_end(settings.broker, settings.topics.prefix + "dead-letters")) == []


def test_who_announced_a_model_is_in_the_audit_log_once(settings: RetrainSettings) -> None:
    announced = ModelAnnounced(
        model_name="starter", model_version="starter-2", sequence=1, replaces=None, bundle_digest="d",
        bundle_url="u", announced_at_ms=NOW_MS, announced_by="cli/ana", reason="too slow", rolls_back=True,
    )  # fmt: skip
    publish(settings, "model-announcements", announced)
    audit = []
    for _ in range(2):
        with reading(settings) as (store, stream):
            stream.take(2.0)
            audit = store.audit("ana")
            store._database.execute("DELETE FROM position")
    assert [(each.action, each.detail) for each in audit] == [
        ("rolled back", "starter-2 as number 1: too slow")
    ]


def test_one_store_has_one_reader(settings: RetrainSettings) -> None:
    with (
        reading(settings),
        LabelStore(Path(settings.store.path)) as store,
        pytest.raises(LabelStoreError, match="another process reads"),
    ):
        LabelStream(settings, store, LabelClasses(LIMITS))


def test_missing_topics_are_named_at_once(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    with (
        reading(settings_for(broker, topic_prefix, tmp_path)) as (_, stream),
        pytest.raises(LabelTopicsError, match=f"{topic_prefix}labels"),
    ):
        stream.take(0.1)


def test_a_recreated_topic_is_read_from_its_beginning(settings: RetrainSettings) -> None:
    publish(settings, "labels", *(label(f"n-{number}", NOW_MS) for number in range(8)))
    with reading(settings) as (_, stream):
        take_until(stream, 8)
    with open_admin(settings.broker) as admin:
        admin.delete_topics([settings.topics.prefix + "labels"])
    wait_for_topics(settings)
    publish(settings, "labels", label("new", NOW_MS))
    with reading(settings) as (store, stream):
        take_until(stream, 1)
        assert "new" in {each.post_id for each in store.current()}
        assert len(store.current()) == 9


def wait_for_topics(settings: RetrainSettings) -> None:
    """Kafka deletes in the background, and refuses the name until it has."""
    deadline = time.monotonic() + 30
    while True:
        try:
            make_topics(settings.broker.bootstrap, settings.topics.prefix)
            return
        except KafkaError:
            assert time.monotonic() < deadline
            time.sleep(0.3)


def test_a_store_that_fails_loses_nothing_and_commits_nothing(settings: RetrainSettings) -> None:
    settings = msgspec.structs.replace(settings, labels=LabelSettings(patience_seconds=0.0))
    publish(settings, "labels", *(label(f"n-{number}", NOW_MS, text="x" * 9_000) for number in range(30)))
    with reading(settings) as (store, stream):
        stream._topics.place(store.positions())
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(LabelStoreError, match="full"):
            take_until(stream, 30)
        before = len(store.current())
        assert committed(settings) == sum(store.positions().values()) == before < 30
        store._database.execute("PRAGMA max_page_count = 1000000")
        take_until(stream, 30 - before)
        assert (len(store.current()), committed(settings)) == (30, 30)


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_loses_no_label_and_stores_none_twice(
    settings: RetrainSettings, tmp_path: Path
) -> None:
    config = tmp_path / "settings.json"
    config.write_text(dump_settings(settings), encoding="utf-8")
    chance = random.Random(7)
    sent, most = 0, 0
    for _ in range(8):
        reader = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.label_reader", str(config)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"reading\n"
        burst = [label(f"n-{number}", NOW_MS + number) for number in range(sent, sent + 150)]
        producer = open_producer(settings.broker)
        for each in burst:
            producer.send(settings.topics.prefix + "labels", key=each.post_id.encode(), value=encode(each))
        producer.flush()
        producer.close()
        sent += len(burst)
        time.sleep(chance.uniform(0.0, 0.5))
        reader.kill()
        most = max(most, reader.communicate()[0].count(b"\n"))
    with reading(settings) as (store, stream):
        deadline = time.monotonic() + 30
        while sum(store.positions().values()) < sent and time.monotonic() < deadline:
            stream.take(0.2)
        stored = [entry.post_id for entry in store.history()]
        assert len(stored) == len(set(stored)) == sent
        assert committed(settings) == sent
    assert most > 10, "no reader was killed in the middle of its work"


@pytest.mark.slow
def test_a_broker_that_goes_away_is_waited_for_and_then_raised(tmp_path: Path) -> None:
    with LocalBroker.start(BrokerSettings(data_dir=tmp_path / "broker"), die_with_parent=True) as local:
        make_topics(local.bootstrap, "gone-")
        settings = msgspec.structs.replace(
            settings_for(local.bootstrap, "gone-", tmp_path), labels=LabelSettings(patience_seconds=3.0)
        )
        publish(settings, "labels", label("n-1", NOW_MS))
        with reading(settings) as (store, stream):
            take_until(stream, 1)
            local.stop()
            stream._topics._stall._looked_at = 0.0
            with pytest.raises(KafkaError):
                stream.take(0.2)
            assert len(store.current()) == 1
