"""`retrain serve` on a real Kafka: what begins a run, what stops one, and what a broken part does to it."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retrain.settings import ModelStoreSettings, QualitySettings, ScheduleSettings
from streamapp.contracts.messages import SentimentVerdict
from streamapp.local.broker import BrokerSettings, LocalBroker
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.retrain_process import RetrainHouse, stop

pytestmark = pytest.mark.broker

Serve = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def house(cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path) -> RetrainHouse:
    return RetrainHouse(cluster(), tiny_bundle, tmp_path)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts services that do not outlive the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(house: RetrainHouse, mode: str = "promote", fault: str = "none") -> subprocess.Popen[bytes]:
        process = house.start("serve", mode=mode, fault=fault)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def metric(house: RetrainHouse, name: str) -> float:
    """The value of a sample by its name and labels as the page shows them."""
    answer = house.page("metrics")
    assert answer is not None, house.log()
    (line,) = [line for line in answer[1].splitlines() if line.rpartition(" ")[0] == name]
    return float(line.rpartition(" ")[2])


def test_enough_labels_begin_a_run_and_too_few_do_not(house: RetrainHouse, serve: Serve) -> None:
    service = serve(house)
    house.label(2)
    wait_until(lambda: house.page("readyz") and house.page("readyz")[0] == 200, 60, "ready")  # type: ignore[index]
    wait_until(lambda: metric(house, "streamapp_retrain_labels_new") == 2, 30, "two labels in the store")
    assert house.runs() == []
    house.label(2, first=2)
    run = house.wait_for("promoted")
    assert (run.trigger.kind, run.labels) == ("labels", 4)
    wait_until(lambda: metric(house, "streamapp_retrain_champion_sequence") == 1, 30, "the new champion seen")
    assert metric(house, 'streamapp_retrain_runs_total{result="promoted"}') == 1
    assert metric(house, "streamapp_retrain_labels_new") == 0
    assert house.page("livez") == (200, '{"alive": true, "troubles": []}\n')
    assert stop(service)[0] == 0
    assert len(house.runs()) == 1


def test_a_new_champion_brings_the_classes_that_labels_may_name(house: RetrainHouse, serve: Serve) -> None:
    serve(house)
    wait_until(lambda: house.page("readyz") and house.page("readyz")[0] == 200, 60, "ready")  # type: ignore[index]
    house.label_topic("p1", "crypto")
    refused = 'streamapp_retrain_labels_refused_total{reason="bad_label"}'
    wait_until(
        lambda: f"{refused} 1.0" in (house.page("metrics") or (0, ""))[1], 30, "an unknown class refused"
    )
    house.announce_as_a_person(house.with_topic("crypto"))
    wait_until(lambda: metric(house, "streamapp_retrain_champion_sequence") == 1, 30, "the new champion seen")
    house.label_topic("p2", "crypto")
    wait_until(lambda: house.stored_labels() == 1, 30, "the label that names its class is stored")


def test_falling_quality_begins_a_run_where_there_is_something_to_learn_from(
    cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path, serve: Serve
) -> None:
    quality = QualitySettings(reference_posts=100, fewest_posts=100)
    schedule = ScheduleSettings(cron="", new_labels=0, fewest_new_labels=1, rest_minutes=0.0)
    house = RetrainHouse(cluster(), tiny_bundle, tmp_path, quality=quality, schedule=schedule)
    house.publish_scored(SentimentVerdict("neutral", 0.04, 0.92, 0.04), 150)
    serve(house)
    wait_until(lambda: list((tmp_path / "runs").glob("first-posts-*.json")), 60, "the reference is kept")
    house.publish_scored(SentimentVerdict("negative", 0.45, 0.35, 0.2), 900, first=1_000)
    low = 'streamapp_retrain_quality_low{channel="chat",head="sentiment",kind="accuracy"}'
    wait_until(lambda: low + " 1.0" in (house.page("metrics") or (0, ""))[1], 60, "the alarm is told")
    assert house.runs() == []
    house.label(1)
    run = house.wait_for("promoted")
    assert run.trigger.kind == "quality"
    assert "sentiment of chat" in run.trigger.reason


def test_sigterm_stops_the_child_and_the_next_start_goes_on_with_it(
    house: RetrainHouse, serve: Serve
) -> None:
    service = serve(house, mode="hang")
    house.label(4)
    house.wait_for_child()
    code, seconds = stop(service)
    assert code == 0, house.log()
    assert seconds < 15
    serve(house)
    run = house.wait_for("promoted")
    assert (run.starts, house.child_starts()) == (1, 2)


def test_kill_9_of_the_service_ends_its_child_and_the_next_start_goes_on_with_it(
    house: RetrainHouse, serve: Serve
) -> None:
    service = serve(house, mode="hang")
    house.label(4)
    house.wait_for_child()
    stop(service, signal.SIGKILL)
    serve(house)
    run = house.wait_for("promoted")
    assert house.child_starts() == 2
    assert len(house.cluster.read("model-announcements")) == 1
    assert run.starts == 2


def test_a_second_service_on_the_same_folder_is_refused(
    house: RetrainHouse, serve: Serve, tiny_bundle: Path, tmp_path: Path
) -> None:
    first = serve(house)
    wait_until((tmp_path / "runs" / "serve.pid").is_file, 60, "the first one has the lock")
    second = RetrainHouse(house.cluster, tiny_bundle, tmp_path)  # with a port of its own
    assert second.start("serve").wait(60) == 8, house.log()
    assert f"process {first.pid} has" in house.log()


def test_a_model_store_that_is_away_is_named_and_waited_for(
    cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path, serve: Serve
) -> None:
    blocked = tmp_path / "place"
    blocked.write_text("no folder yet")
    store = ModelStoreSettings(url=str(blocked / "models"))
    house = RetrainHouse(cluster(), tiny_bundle, tmp_path, model_store=store)
    serve(house)
    house.label(4)
    wait_until(lambda: "model store" in house.waiting_for(), 60, "/readyz names the store")
    assert metric(house, 'streamapp_retrain_part_failing{part="model store"}') == 1
    assert metric(house, 'streamapp_retrain_run_stage{stage="publishing"}') == 1
    assert house.cluster.read("model-announcements") == []
    blocked.unlink()
    house.wait_for("promoted")
    assert len(house.cluster.read("model-announcements")) == 1
    wait_until(lambda: house.waiting_for() == {}, 30, "ready again")


def test_a_broker_that_goes_away_in_a_run_is_waited_for(
    tiny_bundle: Path, tmp_path: Path, serve: Serve
) -> None:
    with LocalBroker.start(BrokerSettings(data_dir=tmp_path / "broker"), die_with_parent=True) as broker:
        house = RetrainHouse(TestCluster(broker.bootstrap, "away-", tiny_bundle), tiny_bundle, tmp_path)
        go = tmp_path / "go"
        serve(house, mode=f"promote-when:{go}")
        house.label(4)
        house.wait_for_child()
        broker.kill()
        go.touch()
        wait_until(lambda: "broker" in house.waiting_for(), 60, "/readyz names the broker")
        broker.restart()
        run = house.wait_for("promoted", 120)
        assert house.line()[-1].sequence == 1
        assert len(house.cluster.read("model-announcements")) == 1
        house.label(1, first=4)
        wait_until(lambda: house.stored_labels() == 5, 60, "labels go on")
        assert run.starts == 1


def test_a_stop_while_the_broker_hangs_is_bounded_and_loses_nothing(
    tiny_bundle: Path, tmp_path: Path, serve: Serve
) -> None:
    with LocalBroker.start(BrokerSettings(data_dir=tmp_path / "broker"), die_with_parent=True) as broker:
        house = RetrainHouse(TestCluster(broker.bootstrap, "hangs-", tiny_bundle), tiny_bundle, tmp_path)
        service = serve(house, mode="hang")
        house.label(4)
        house.wait_for_child()
        broker.pause()
        code, seconds = stop(service)
        broker.resume()
        assert code in (0, 72), house.log()
        assert seconds < house.settings.run.grace_seconds + 20
        assert house.once() == 0, house.log()
        assert house.child_starts() == 2
