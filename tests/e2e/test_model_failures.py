"""Models that must not serve, or not go on serving: refused or rolled back with the reason, and all readers agree."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamapp.contracts.champion import Champion
from streamapp.contracts.manifest import MANIFEST_FILE, MODEL_FILE
from streamapp.contracts.messages import ModelEvent
from streamapp.settings import HttpSettings
from tests.harness.accounting import balance
from tests.harness.cluster import TestCluster, free_port, wait_until
from tests.harness.load import LoadPublisher, make_stream
from tests.harness.models import TRIGGER, ModelDesk, broken_on_trigger, cluster_for_swaps, tiny
from tests.harness.worker_process import WorkerProcess
from tests.tiny_bundle import NEGATIVE

pytestmark = pytest.mark.broker

ALL_WORDS = NEGATIVE


@pytest.fixture
def desk(cluster: Callable[..., TestCluster], tmp_path: Path) -> ModelDesk:
    return ModelDesk(cluster_for_swaps(cluster, tmp_path, shadow_seconds=0.5), tmp_path)


def posts(number: int, text: str = "Acme soars on profit", first: int = 0) -> list[dict[str, Any]]:
    now_ms = int(time.time() * 1000)
    return [
        {"id": f"p{i}", "text": f"{text} number {i}", "published_at": now_ms, "_partition": i % 4}
        for i in range(first, first + number)
    ]


def event_of(desk: ModelDesk, kind: str, champion: Champion) -> ModelEvent:
    """The first event of that kind about that announcement."""

    def found() -> list[ModelEvent]:
        return [event for event in desk.events(kind) if event.sequence == champion.sequence]

    return wait_until(found, 30, f"{kind} of {champion.model_version}")[0]


def wait_for_sequence(desk: ModelDesk, sequence: int) -> None:
    """Until somebody announced that; here the only worker rolls back."""
    wait_until(lambda: desk.line()[-1].sequence == sequence, 10, f"announcement {sequence}")


def serves(worker: WorkerProcess, version: str) -> bool:
    answer = worker.health()
    return answer is not None and json.loads(answer[1]).get("model", {}).get("version") == version


def scored_versions(desk: ModelDesk, number: int) -> list[str]:
    """Versions of the verdicts in the topic, once there are `number`."""
    wait_until(lambda: len(desk.cluster.scored()) >= number, 30, f"{number} verdicts")
    return [post.model_version for post in desk.cluster.scored()]


def tamper(desk: ModelDesk, champion: Champion) -> None:
    path = Path(champion.bundle_url) / MODEL_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(desk: ModelDesk, champion: Champion) -> None:
    path = Path(champion.bundle_url) / MODEL_FILE
    path.write_bytes(path.read_bytes()[:-100])


def newer_contract(desk: ModelDesk, champion: Champion) -> None:
    path = Path(champion.bundle_url) / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "contract_version": 99}))


def test_a_model_that_may_not_serve_is_refused_with_its_reason_and_the_old_one_goes_on(
    desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    worker = workers(desk.cluster.settings).start().wait_ready()
    damages: dict[str, tuple[Callable[[ModelDesk, Champion], None], str]] = {
        "2": (tamper, r"model.onnx: SHA-256"),
        "3": (truncate, "bytes, expected"),
        "4": (newer_contract, "contract version 99"),
    }
    for version, (damage, reason) in damages.items():
        heir = desk.publish(tiny(desk.folder, version))
        damage(desk, heir)
        announced = desk.promote(heir)
        said = event_of(desk, "refused", announced)
        assert reason in said.detail
        assert said.cause == "bundle"
        wait_for_sequence(desk, announced.sequence + 1)
    numberless = desk.promote(desk.publish(broken_on_trigger(desk.folder, "5", ALL_WORDS)))
    said = event_of(desk, "refused", numberless)
    assert said.cause == "not_finite"
    wait_for_sequence(desk, numberless.sequence + 1)
    assert desk.line()[-1].model_version == "tiny-1"
    assert desk.line()[-1].announced_by == "score/worker-0"
    desk.cluster.publish(posts(20))
    assert set(scored_versions(desk, 20)) == {"tiny-1"}
    assert worker.stop() == 0


def test_a_model_that_passes_and_then_gives_no_numbers_is_rolled_back_within_a_minute(
    desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    worker = workers(desk.cluster.settings).start().wait_ready()
    desk.cluster.publish(posts(40))
    bad = desk.promote(desk.publish(broken_on_trigger(desk.folder, "2")))
    event_of(desk, "serving", bad)
    began = time.monotonic()
    for number in range(5):
        desk.cluster.publish(posts(20, f"Trading {TRIGGER} in Acme", 100 * number + 100))
        time.sleep(0.3)
    said = event_of(desk, "rolled_back", bad)
    assert time.monotonic() - began < 60
    assert said.cause == "not_finite"
    line = desk.line()
    assert (line[-1].sequence, line[-1].model_version, line[-1].rolls_back) == (2, "tiny-1", True)
    wait_until(lambda: balance(desk.cluster).balanced, 30, "every record scored or dead")
    books = balance(desk.cluster)
    assert books.taken_in == 140
    # The first bad batch is taken for bad posts; from the second on it is the model.
    assert books.dead <= 20
    assert serves(worker, "tiny-1")
    assert worker.stop() == 0
    worker.start().wait_ready()
    assert serves(worker, "tiny-1")
    assert worker.stop() == 0


def test_a_worker_that_starts_serves_the_announced_champion_and_without_the_store_its_copy(
    desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    desk.promote(desk.publish(tiny(desk.folder, "2")))
    worker = workers(desk.cluster.settings).start().wait_ready()
    assert serves(worker, "tiny-2")
    assert worker.stop() == 0
    (desk.folder / "store").rename(desk.folder / "away")
    worker.start().wait_ready()
    assert serves(worker, "tiny-2")
    desk.cluster.publish(posts(10))
    assert set(scored_versions(desk, 10)) == {"tiny-2"}
    assert worker.stop() == 0


def test_without_store_and_copy_a_worker_is_not_ready_until_the_store_is_back(
    desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    desk.promote(desk.publish(tiny(desk.folder, "2")))
    (desk.folder / "store").rename(desk.folder / "away")
    worker = workers(desk.cluster.settings).start()

    def waits() -> bool:
        answer = worker.health()
        return answer is not None and answer[0] == 503 and "model store" in answer[1]

    wait_until(waits, 30, "not ready, and says why")
    desk.cluster.publish(posts(10))
    live = worker.health("livez")
    assert live is not None
    assert live[0] == 200
    time.sleep(2)
    assert desk.cluster.scored() == [], "it served an older model"
    (desk.folder / "away").rename(desk.folder / "store")
    worker.wait_ready()
    assert set(scored_versions(desk, 10)) == {"tiny-2"}
    assert worker.stop() == 0


def test_a_running_worker_keeps_serving_while_the_store_is_away_and_swaps_when_it_is_back(
    desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    worker = workers(desk.cluster.settings).start().wait_ready()
    heir = desk.publish(tiny(desk.folder, "2"))
    shutil.move(desk.folder / "store", desk.folder / "away")
    announced = desk.promote(heir)
    assert event_of(desk, "failed", announced).cause == "store"
    desk.cluster.publish(posts(10))
    assert set(scored_versions(desk, 10)) == {"tiny-1"}
    shutil.move(desk.folder / "away", desk.folder / "store")
    event_of(desk, "serving", announced)
    assert serves(worker, "tiny-2")
    assert worker.stop() == 0


SLOW = "slow-version:tiny-2:0.02"


@pytest.fixture
def strict_desk(cluster: Callable[..., TestCluster], tmp_path: Path) -> ModelDesk:
    """As in service: three times the time a token ends a probation."""
    # A short shadow run, in which the slow model is slow too.
    limits = {"shadow_seconds": 0.5, "shadow_recent_posts": 40, "probation_most_slowdown": 3.0}
    return ModelDesk(cluster_for_swaps(cluster, tmp_path, **limits), tmp_path)


def load(desk: ModelDesk, posts: int) -> LoadPublisher:
    records = make_stream(posts, int(time.time() * 1000) // 60_000 * 60_000 - 3_600_000).records
    return LoadPublisher(desk.cluster, records, 400).start()


def test_a_slow_model_turns_back_its_own_worker_alone_and_a_person_decides_for_all(
    strict_desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    desk, settings = strict_desk, strict_desk.cluster.settings
    slow = workers(settings, faults=(SLOW,))
    quick = workers(msgspec.structs.replace(settings, http=HttpSettings(port=free_port())), name="worker-1")
    for worker in (slow, quick):
        worker.start()
    for worker in (slow, quick):
        worker.wait_ready()
    time.sleep(3)  # the partitions are shared out
    publisher = load(desk, 14_000)
    wait_until(lambda: publisher.sent > 2_000, 30, "load under way")
    announced = desk.promote(desk.publish(tiny(desk.folder, "2")))
    said = event_of(desk, "rolled_back", announced)
    assert (said.worker, said.cause) == ("worker-0", "latency")
    assert "times as long a token" in said.detail
    assert desk.line()[-1] == announced, "one slow worker spoke for all"
    wait_until(
        lambda: serves(slow, "tiny-1") and serves(quick, "tiny-2"), 10, "each serves what is good for it"
    )
    desk.roll_back()
    wait_until(lambda: serves(slow, "tiny-1") and serves(quick, "tiny-1"), 20, "all agree")
    publisher.finish(60)
    wait_until(lambda: balance(desk.cluster).balanced, 60, "every record scored or dead")


def test_a_single_slow_worker_rolls_back_at_once(
    strict_desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    desk = strict_desk
    worker = workers(desk.cluster.settings, faults=(SLOW,)).start().wait_ready()
    publisher = load(desk, 14_000)
    wait_until(lambda: publisher.sent > 1_500, 30, "load under way")
    announced = desk.promote(desk.publish(tiny(desk.folder, "2")))
    assert event_of(desk, "rolled_back", announced).cause == "latency"
    wait_for_sequence(desk, announced.sequence + 1)
    assert serves(worker, "tiny-1")
    publisher.finish(60)
