"""`retrain once` on a real Kafka: its ways to end, and what is full, pinned, taken or missed on the way."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from retrain.label_store import LabelStore
from retrain.run_book import RunBook, Since
from retrain.settings import ModelStoreSettings, QualitySettings, RunSettings, ScheduleSettings
from streamapp.contracts.champion import Champion
from streamapp.contracts.messages import SentimentVerdict
from streamapp.inference.model_store import ModelStore
from streamapp.inference.signatures import verifier_of
from tests.harness.cluster import TestCluster
from tests.harness.retrain_process import RetrainHouse, stop
from tests.harness.signing_keys import key_pair
from tests.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.broker


@pytest.fixture
def house(cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path) -> RetrainHouse:
    return RetrainHouse(cluster(), tiny_bundle, tmp_path)


def test_a_better_candidate_is_published_and_announced(house: RetrainHouse) -> None:
    house.label(4)
    answer = house.folder / "answer.json"
    assert house.once("--json", str(answer)) == 0, house.log()
    said = json.loads(answer.read_text())
    champion = house.line()[-1]
    assert (said["result"], said["labels"], said["sequence"]) == ("promoted", 4, 1)
    assert said["model_version"] == champion.model_version == house.fetched_version(champion)
    assert "better on 4 labels" in champion.reason
    assert house.once("--if-due") == 0
    assert len(house.runs()) == 1
    assert "nothing is due" in house.log()


def test_with_a_key_what_is_promoted_is_signed_and_only_the_signed_is_learnt_from(
    cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path
) -> None:
    keys = key_pair(tmp_path)
    signing = ModelStoreSettings(
        url=str(tmp_path / "models"), signing_key=str(keys.private), public_key=str(keys.public)
    )
    house = RetrainHouse(cluster(), tiny_bundle, tmp_path, model_store=signing)
    house.label(4)
    assert house.once() == 0, house.log()
    signed = ModelStore(tmp_path / "another-machine", verifier=verifier_of(str(keys.public)))
    assert signed.fetch(house.line()[-1]).manifest.model_version == house.line()[-1].model_version
    house.announce_as_a_person(write_tiny_bundle(tmp_path / "unsigned", "unsigned"))
    assert house.once() == 6
    assert "not signed" in house.runs()[-1].detail


def test_falling_quality_is_due_for_once_too(
    cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path
) -> None:
    quality = QualitySettings(reference_posts=100, fewest_posts=100)
    schedule = ScheduleSettings(cron="", new_labels=0, fewest_new_labels=1, rest_minutes=0.0)
    house = RetrainHouse(cluster(), tiny_bundle, tmp_path, quality=quality, schedule=schedule)
    house.publish_scored(SentimentVerdict("neutral", 0.04, 0.92, 0.04), 150)
    house.label(1)
    assert house.once("--if-due") == 0
    assert house.runs() == []
    house.publish_scored(SentimentVerdict("negative", 0.45, 0.35, 0.2), 900, first=1_000)
    assert house.once("--if-due") == 0, house.log()
    assert (house.runs()[0].trigger.kind, house.runs()[0].result) == ("quality", "promoted")


def test_labels_may_name_the_classes_of_the_announced_champion(house: RetrainHouse) -> None:
    house.announce_as_a_person(house.with_topic("crypto"))
    house.label_topic("p1", "crypto")
    house.label_topic("p2", "weather")
    assert house.once(mode="refuse") == 0, house.log()
    with LabelStore(Path(house.settings.store.path)) as store:
        assert [(label.post_id, label.topic) for label in store.current()] == [("p1", "crypto")]


def test_a_refused_candidate_is_not_announced_and_its_reason_is_said(house: RetrainHouse) -> None:
    house.label(4)
    assert house.once(mode="refuse") == 0
    assert house.once("--fail-on-refusal", mode="refuse") == 9
    assert house.cluster.read("model-announcements") == []
    assert house.runs()[-1].reasons == ("recall_fell: negative 0.80 to 0.60",)
    assert "recall_fell" in house.log()
    assert not (house.folder / "models").exists()


def test_a_child_that_crashes_is_started_again_from_its_checkpoint(house: RetrainHouse) -> None:
    house.label(4)
    assert house.once(mode="crash-once") == 0, house.log()
    assert house.child_starts() == 2
    assert house.runs()[0].result == "promoted"


def test_a_child_that_always_fails_is_given_up_with_its_last_words(house: RetrainHouse) -> None:
    house.label(4)
    assert house.once(mode="fail") == 6
    assert house.child_starts() == 3
    assert "out of luck" in house.runs()[0].detail
    assert house.once() == 0, house.log()


def test_a_stopped_run_goes_on_at_the_next_call(house: RetrainHouse) -> None:
    house.label(4)
    process = house.start("once", mode="hang")
    house.wait_for_child()
    code, seconds = stop(process)
    assert code == 128 + signal.SIGTERM
    assert seconds < 10
    assert house.leftovers() == []
    assert house.once() == 0, house.log()
    assert house.child_starts() == 2
    assert house.runs()[0].starts == 1  # a stop of ours is no failure of the child


def test_of_two_calls_one_is_told_that_the_other_is_under_way(house: RetrainHouse) -> None:
    house.label(4)
    go = house.folder / "go"
    process = house.start("once", mode=f"promote-when:{go}")
    house.wait_for_child()
    assert house.once() == 8
    go.touch()
    assert process.wait(60) == 0, house.log()
    assert len(house.runs()) == 1


def test_another_champion_that_came_meanwhile_is_not_overrun(house: RetrainHouse) -> None:
    house.label(4)
    go = house.folder / "go"
    process = house.start("once", mode=f"promote-when:{go}")
    house.wait_for_child()
    other = house.announce_as_a_person(write_tiny_bundle(house.folder / "other", version="other"))
    go.touch()
    assert process.wait(60) == 7, house.log()
    assert house.line()[-1] == other
    assert "tiny-other (by cli/ann, sequence 1) took" in house.runs()[0].detail
    assert house.once("--if-due") == 0, house.log()  # its labels still wait: judged again, against the other
    assert house.runs()[1].champion == other
    assert house.line()[-1].sequence == 2


def test_nothing_is_announced_while_the_champion_is_pinned(house: RetrainHouse) -> None:
    house.label(4)
    pinned = house.announce_as_a_person(
        write_tiny_bundle(house.folder / "other", version="other"), pinned=True
    )
    assert house.once() == 7, house.log()
    assert house.line()[-1] == pinned
    assert "tiny-other is pinned by cli/ann" in house.runs()[0].detail
    assert ModelStore(house.folder / "x").fetch(
        Champion(sequence=0, model_name="", model_version="", bundle_url=house.runs()[0].published_url,
                 bundle_digest=house.runs()[0].announcement.bundle_digest)  # type: ignore[union-attr]
    )  # fmt: skip
    house.announce_as_a_person(house.folder / "other")
    assert house.once() == 0, house.log()
    assert house.line()[-1].sequence == 3


def test_a_champion_that_is_pinned_in_a_run_is_kept_and_no_other_champion(house: RetrainHouse) -> None:
    house.label(4)
    go = house.folder / "go"
    process = house.start("once", mode=f"promote-when:{go}")
    house.wait_for_child()
    house.announce_as_a_person(house.bundle, pinned=True)
    go.touch()
    assert process.wait(60) == 7, house.log()
    assert (house.runs()[0].result, house.line()[-1].sequence) == ("pinned", 1)


def test_a_firing_that_was_missed_is_made_up_for_by_the_next_call(
    cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path
) -> None:
    schedule = ScheduleSettings(cron="0 3 * * *", new_labels=0, fewest_new_labels=1)
    house = RetrainHouse(cluster(), tiny_bundle, tmp_path, schedule=schedule)
    two_days_ago_ms = int((time.time() - 2 * 86_400) * 1000)
    RunBook(tmp_path / "runs").save_since(Since(watched_since_ms=two_days_ago_ms))
    house.label(1)
    assert house.once("--if-due") == 0, house.log()
    assert house.once("--if-due") == 0, house.log()
    assert [run.trigger.kind for run in house.runs()] == ["cron"]


@pytest.mark.parametrize(("part", "fault"), [("model store", "full:store:6"), ("disk", "full:disk:2")])
def test_a_full_disk_is_named_waited_for_and_loses_nothing(
    house: RetrainHouse, part: str, fault: str
) -> None:
    house.label(4)
    assert house.once(fault=fault) == 0, house.log()
    assert f"{part} does not answer, asking again" in house.log()
    assert "File too large" in house.log()
    assert house.fetched_version(house.line()[-1]) == house.line()[-1].model_version
    assert len(house.cluster.read("model-announcements")) == 1
    assert house.child_starts() == 1
    assert not list((house.folder / "models").rglob("*.part"))


def test_a_store_that_stays_full_ends_the_call_and_the_next_goes_on_from_there(
    cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path
) -> None:
    run = RunSettings(folder=str(tmp_path / "runs"), patience_seconds=1.0)
    house = RetrainHouse(cluster(), tiny_bundle, tmp_path, run=run)
    house.label(4)
    assert house.once(fault="full:store:999") == 5
    assert house.runs()[0].stage == "publishing"
    assert house.line()[-1].sequence == 0
    assert house.once() == 0, house.log()
    assert house.child_starts() == 1
    assert house.line()[-1].sequence == 1
