"""An announced model takes over in every worker while posts flow: nothing lost, nothing unversioned, all agree."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streamapp.contracts.codec import decode
from streamapp.contracts.messages import ActivityBatch, ScoredPost, SubjectActivity, SwapPairs
from streamapp.settings import HttpSettings, Settings
from tests.harness.accounting import balance
from tests.harness.cluster import TestCluster, free_port, wait_until
from tests.harness.load import LoadPublisher, make_stream
from tests.harness.models import ModelDesk, cluster_for_swaps, tiny
from tests.harness.worker_process import WorkerProcess
from tests.tiny_bundle import expected_sentiment

pytestmark = pytest.mark.broker

FIRST, SECOND = "tiny-1", "tiny-2"


@pytest.fixture
def desk(cluster: Callable[..., TestCluster], tmp_path: Path) -> ModelDesk:
    return ModelDesk(cluster_for_swaps(cluster, tmp_path), tmp_path)


def settings_of_second(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, http=HttpSettings(port=free_port()))


def load(desk: ModelDesk, posts: int, posts_per_second: float) -> LoadPublisher:
    """Posts of two hours ago, being published from now on."""
    begin_ms = int(time.time() * 1000) - 2 * 3_600_000
    records = make_stream(posts, begin_ms // 60_000 * 60_000).records
    return LoadPublisher(desk.cluster, records, posts_per_second).start()


def all_scored(desk: ModelDesk) -> list[ScoredPost]:
    """Once every record has its fate."""
    wait_until(lambda: balance(desk.cluster).balanced, 60, "every record scored or dead")
    return desk.cluster.scored()


def assert_verdicts_are_their_versions(scored: list[ScoredPost]) -> None:
    """The second model flips every strong verdict, so a verdict tells which model gave it."""
    for post in scored:
        assert post.verdict.sentiment is not None
        flipped = post.model_version == SECOND
        assert post.verdict.sentiment.label == expected_sentiment(post.post.text, flip=flipped), post


def assert_no_partition_returns(scored: list[ScoredPost]) -> None:
    """In the order of a source partition the old model ends before the new one begins."""
    by_partition: dict[tuple[str, int], list[ScoredPost]] = {}
    for post in scored:
        by_partition.setdefault((post.source_offset.topic_uuid, post.source_offset.partition), []).append(
            post
        )
    for posts in by_partition.values():
        posts.sort(key=lambda post: post.source_offset.offset)
        versions = [post.model_version for post in posts]
        assert versions == sorted(versions), "a verdict of the old model stands behind one of the new"


def assert_pairs_come_first(desk: ModelDesk) -> None:
    """Every partition of `subject-activity` has a worker's pairs before the first activity of the new version."""
    told: set[int] = set()
    for record in desk.cluster.read("subject-activity"):
        activity: SubjectActivity = decode(record.value, SubjectActivity)
        if isinstance(activity, SwapPairs):
            assert (activity.old_model_version, activity.new_model_version) == (FIRST, SECOND)
            assert sum(pair.posts for pair in activity.pairs) > 0
            told.add(record.partition)
        elif isinstance(activity, ActivityBatch):
            assert activity.activities[0].model_version == FIRST or record.partition in told
    assert len(told) == 4


def test_two_workers_swap_under_load_and_what_is_in_flight_ends_on_the_old_model(
    desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    settings = desk.cluster.settings
    pair = [workers(settings, name="worker-0"), workers(settings_of_second(settings), name="worker-1")]
    for worker in pair:
        worker.start()
    for worker in pair:
        worker.wait_ready()
    time.sleep(3)  # the partitions are shared out
    publisher = load(desk, 8_000, 500)
    wait_until(lambda: publisher.sent > 1_000, 30, "load under way")
    desk.promote(desk.publish(tiny(desk.folder, "2", flip=True)))
    serving = wait_until(
        lambda: {event.worker for event in desk.events("serving")} == {"worker-0", "worker-1"},
        40,
        "both serve",
    )
    assert serving
    assert publisher.running(), "the swap came after the load"
    publisher.finish(60)
    scored = all_scored(desk)
    assert {post.model_version for post in scored} == {FIRST, SECOND}
    assert_verdicts_are_their_versions(scored)
    assert_no_partition_returns(scored)
    assert_pairs_come_first(desk)
    assert balance(desk.cluster).scored_repeats == 0
    for worker in pair:
        answer = worker.health()
        assert answer is not None
        assert f'"version": "{SECOND}"' in answer[1]
        assert worker.stop() == 0
