"""A worker with a public key serves signed models alone; whatever else is announced is refused, and it serves on."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.harness.accounting import balance
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.models import ModelDesk, cluster_for_swaps, tiny
from tests.harness.signing_keys import key_pair
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker


def test_an_unsigned_model_and_one_of_another_key_are_refused_and_a_signed_one_serves(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    keys, others = key_pair(tmp_path), key_pair(tmp_path, "other")
    test = cluster_for_swaps(cluster, tmp_path)
    model = msgspec.structs.replace(test.settings.model, public_key=str(keys.public))
    test.settings = msgspec.structs.replace(test.settings, model=model)
    desk = ModelDesk(test, tmp_path)
    worker = workers(test.settings, name="worker-0").start()
    worker.wait_ready()

    for version, key, reason in (
        ("2", "", "not signed"),
        ("3", str(others.private), "signature does not hold"),
    ):
        desk.promote(desk.publish(tiny(tmp_path, version), key))
        refused = f"tiny-{version}"
        wait_until(
            lambda: [event for event in desk.events("refused") if event.model_version == refused],  # noqa: B023
            40,
            f"{refused} refused",
        )
        (event,) = [event for event in desk.events("refused") if event.model_version == refused]
        assert reason in event.detail
        assert event.cause == "bundle"
        wait_until(lambda: desk.line()[-1].model_version == "tiny-1", 40, "the champion before is back")
    assert worker.health() is not None

    desk.promote(desk.publish(tiny(tmp_path, "4"), str(keys.private)))
    wait_until(
        lambda: [event for event in desk.events("serving") if event.model_version == "tiny-4"], 40, "serves"
    )
    test.publish([{"id": "p1", "text": "Lender plunges on fraud", "published_at": 1_790_000_000_000}])
    wait_until(lambda: balance(test).balanced, 40, "the post scored")
    assert [post.model_version for post in test.scored()] == ["tiny-4"]
    assert worker.stop() == 0


def test_a_key_that_is_none_stops_the_start_with_its_name(
    cluster: Callable[..., TestCluster], workers: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    key_pair(tmp_path)
    test = cluster_for_swaps(cluster, tmp_path)
    model = msgspec.structs.replace(test.settings.model, public_key=str(tmp_path / "missing.pem"))
    worker = workers(msgspec.structs.replace(test.settings, model=model), name="worker-0").start()
    assert worker.wait(60) == 2
    assert "missing.pem" in worker.log()
