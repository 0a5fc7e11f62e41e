"""A worker swaps from a model without a head for companies to one with it, and back: posts say what it finds."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamapp.contracts.codec import decode
from streamapp.contracts.messages import ActivityBatch, CompanyMention, ScoredPost, SubjectActivity
from tests.harness.accounting import balance
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.models import ModelDesk, cluster_for_swaps, tiny
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

TEXT = "<b>Apple</b> plunges: Globex Industries and $MSFT warn of losses, number"
APPLE = CompanyMention(symbol="AAPL", name="Apple", span=(0, 5))
MICROSOFT = CompanyMention(symbol="MSFT", name="Microsoft", span=(37, 42))
GLOBEX = CompanyMention(symbol="UNLISTED", span=(15, 32))


@pytest.fixture
def desk(cluster: Callable[..., TestCluster], tmp_path: Path) -> ModelDesk:
    return ModelDesk(cluster_for_swaps(cluster, tmp_path, shadow_seconds=0.5), tmp_path)


def publish(desk: ModelDesk, first: int) -> list[ScoredPost]:
    """Twelve posts, once they are scored."""
    now_ms = int(time.time() * 1000)
    records: list[dict[str, Any]] = [
        {"id": f"p{number}", "text": f"{TEXT} {number}", "published_at": now_ms, "_partition": number % 4}
        for number in range(first, first + 12)
    ]
    desk.cluster.publish(records)
    ids = {record["id"] for record in records}
    wait_until(lambda: ids <= {post.post.id for post in desk.cluster.scored()}, 30, "twelve verdicts")
    return [post for post in desk.cluster.scored() if post.post.id in ids]


def subjects_of(desk: ModelDesk, version: str) -> set[str]:
    """The companies that posts of that model version were counted for."""
    found = set()
    for record in desk.cluster.read("subject-activity"):
        activity: SubjectActivity = decode(record.value, SubjectActivity)
        if isinstance(activity, ActivityBatch) and activity.subject.startswith("company:"):
            found |= {activity.subject for each in activity.activities if each.model_version == version}
    return found


def test_companies_that_the_model_finds_are_mentions_and_subjects_while_it_serves(
    desk: ModelDesk, workers: Callable[..., WorkerProcess]
) -> None:
    worker = workers(desk.cluster.settings).start().wait_ready()
    without = publish(desk, 0)
    assert {post.model_version for post in without} == {"tiny-1"}
    assert all(post.verdict.companies == (MICROSOFT,) for post in without)
    announced = desk.promote(desk.publish(tiny(desk.folder, "2", companies=True)))
    wait_until(lambda: desk.events("serving"), 40, "the head for companies serves")
    found = publish(desk, 100)
    assert {post.model_version for post in found} == {"tiny-2"}
    for post in found:
        assert post.verdict.companies == (MICROSOFT, APPLE, GLOBEX)
        assert post.post.text[15:32] == "Globex Industries"
    desk.roll_back()
    wait_until(lambda: desk.line()[-1].sequence == announced.sequence + 1, 10, "rolled back")
    wait_until(lambda: len(desk.events("serving")) == 2, 40, "the first model serves again")
    back = publish(desk, 200)
    assert {(post.model_version, post.verdict.companies) for post in back} == {("tiny-1", (MICROSOFT,))}
    wait_until(lambda: balance(desk.cluster).balanced, 30, "every record scored or dead")
    assert balance(desk.cluster).dead == 0
    assert subjects_of(desk, "tiny-1") == {"company:MSFT"}
    assert subjects_of(desk, "tiny-2") == {"company:MSFT", "company:AAPL", "company:unlisted"}
    assert worker.stop() == 0
