"""Estimated quality from real `scored-posts`: measured, compared with the first posts of a champion, and told."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from retrain import metrics
from retrain.model_watch import ModelWatch
from retrain.patience import StoppedError
from retrain.publish import PublishedModels
from retrain.settings import QualitySettings
from streamapp.contracts.messages import SentimentVerdict
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.retrain_process import RetrainHouse

pytestmark = pytest.mark.broker

SURE = SentimentVerdict("neutral", 0.04, 0.92, 0.04)
UNSURE = SentimentVerdict("negative", 0.45, 0.35, 0.2)
QUALITY = QualitySettings(reference_posts=200, fewest_posts=100)


class Silent:
    def trouble(self, part: str, words: str | None) -> None:
        assert words is None, f"{part}: {words}"


def test_posts_that_become_harder_raise_an_alarm_against_the_first_ones(
    cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path
) -> None:
    house = RetrainHouse(cluster(), tiny_bundle, tmp_path, quality=QUALITY)
    watch = ModelWatch(house.settings, PublishedModels(house.settings), Silent())
    Path(house.settings.run.folder).mkdir(exist_ok=True)
    stopping = threading.Event()

    pool = ThreadPoolExecutor(1)
    following = pool.submit(watch.run, stopping.is_set)
    try:
        house.publish_scored(SURE, 300)
        house.publish_scored(UNSURE, 100, first=5_000, version="another-model-9")
        kept = Path(house.settings.run.folder)
        wait_until(
            lambda: following.done() or list(kept.glob("first-posts-*.json")), 30, "the reference is kept"
        )
        assert watch.seen is not None
        assert watch.seen.alarms == ()
        house.publish_scored(UNSURE, 900, first=1_000)
        alarms = wait_until(lambda: watch.seen and watch.seen.alarms, 40, "an alarm")
        assert alarms
        assert {(alarm.kind, alarm.channel, alarm.head) for alarm in alarms} >= {
            ("accuracy", "chat", "sentiment")
        }
        estimated = metrics.ESTIMATED_ACCURACY.labels("chat", "sentiment")._value.get()
        assert 0.45 <= estimated < 0.92 - 0.05
        assert metrics.REFERENCE_ACCURACY.labels("chat", "sentiment")._value.get() == pytest.approx(0.92)
    finally:
        stopping.set()
    assert isinstance(following.exception(timeout=30), StoppedError)
    again = ModelWatch(house.settings, PublishedModels(house.settings), Silent())
    again.look()
    assert again._first.complete
    assert msgspec.json.decode(next(kept.glob("first-posts-*.json")).read_bytes())[0]["posts"] == 200
