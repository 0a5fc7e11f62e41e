"""Writers that race for the champion on a real Kafka: one wins by the log, and all readers see the same one."""

import threading
from collections.abc import Callable

import pytest

from streamapp.cluster.announcements import Announced, ChampionPinnedError, announce, read_champions
from streamapp.contracts.champion import Announcer, Champion, announcement
from streamapp.contracts.messages import ModelAnnounced
from tests.harness.cluster import TestCluster

pytestmark = pytest.mark.broker

FIRST = Champion(sequence=0, model_name="m", model_version="m-0", bundle_digest="d0", bundle_url="")
WRITERS = 6


def record(present: Champion, version: int, *, pinned: bool = False) -> ModelAnnounced:
    heir = Champion(
        sequence=0, model_name="m", model_version=f"m-{version}", bundle_digest=f"d{version}", bundle_url="/b"
    )  # fmt: skip
    return announcement(present, heir, Announcer(by="cli/ann", reason="test", at_ms=version), pinned=pinned)


def test_of_writers_that_race_one_wins_and_each_is_told_who(cluster: Callable[..., TestCluster]) -> None:
    test = cluster()
    told: list[Announced] = []

    def race(version: int) -> None:
        told.append(
            announce(test.settings.broker, test.name("model-announcements"), record(FIRST, version), FIRST)
        )

    racers = [threading.Thread(target=race, args=(version,)) for version in range(1, WRITERS + 1)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    line = read_champions(test.settings.broker, test.name("model-announcements"), FIRST)
    assert [champion.sequence for champion in line] == [0, 1]
    assert [outcome.won for outcome in told].count(True) == 1
    assert {outcome.champion for outcome in told} == {line[-1]}


def test_a_record_is_written_once_however_often_it_is_announced(cluster: Callable[..., TestCluster]) -> None:
    test = cluster()
    topic = test.name("model-announcements")
    for _ in range(3):
        assert announce(test.settings.broker, topic, record(FIRST, 1), FIRST).won
    assert len(test.read("model-announcements")) == 1


def test_a_stale_view_loses(cluster: Callable[..., TestCluster]) -> None:
    test = cluster()
    topic = test.name("model-announcements")
    first = announce(test.settings.broker, topic, record(FIRST, 1), FIRST)
    announce(test.settings.broker, topic, record(first.champion, 2), FIRST)
    late = announce(test.settings.broker, topic, record(FIRST, 3), FIRST)
    assert not late.won
    assert late.champion == first.champion
    assert read_champions(test.settings.broker, topic, FIRST)[-1].model_version == "m-2"


def test_a_pinned_champion_is_replaced_by_a_person_only(cluster: Callable[..., TestCluster]) -> None:
    test = cluster()
    topic = test.name("model-announcements")
    pinned = announce(
        test.settings.broker, topic, record(FIRST, 1, pinned=True), FIRST, despite_pin=True
    ).champion
    with pytest.raises(ChampionPinnedError, match="m-1 is pinned by cli/ann: test"):
        announce(test.settings.broker, topic, record(pinned, 2), FIRST)
    assert announce(test.settings.broker, topic, record(pinned, 2), FIRST, despite_pin=True).won


def test_a_record_that_is_no_announcement_does_not_count(cluster: Callable[..., TestCluster]) -> None:
    test = cluster()
    topic = test.name("model-announcements")
    with test.producer() as producer:
        for value in (b"not json", None, b'{"type":"model-announced","contract_version":99}'):
            producer.send(topic, value=value, key=b"m")
    assert announce(test.settings.broker, topic, record(FIRST, 1), FIRST).won
