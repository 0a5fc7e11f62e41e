"""SIGKILL at every stage of a run on a real Kafka: nothing lost, no half bundle announced, nothing announced twice."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.cluster import TestCluster
from tests.harness.retrain_process import RetrainHouse

pytestmark = pytest.mark.broker

DEATHS = (
    "save:snapshot:before", "save:snapshot:after", "save:training:before", "save:training:after", "look:2",
    "save:publishing:before", "save:publishing:after", "publish:1", "publish:3", "save:announcing:before",
    "save:announcing:after", "announce:before", "announce:after", "save:ended:before", "save:ended:after",
)  # fmt: skip


@pytest.fixture
def house(cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path) -> RetrainHouse:
    return RetrainHouse(cluster(), tiny_bundle, tmp_path)


@pytest.mark.parametrize("death", DEATHS)
def test_a_run_that_was_killed_ends_as_if_nothing_had_been(house: RetrainHouse, death: str) -> None:
    house.label(4)
    assert house.once(fault=death) == -signal.SIGKILL, house.log()
    first, line = house.runs(), house.line()
    for champion in line[1:]:
        assert house.fetched_version(champion)  # whatever is announced at any moment is whole
    assert house.once() == 0, house.log()
    ended = [run for run in house.runs() if run.result == "promoted"]
    if not (
        first and first[0].stage == "ended"
    ):  # else the kill came after its end, and this was another run
        assert len(house.cluster.read("model-announcements")) == 1
        assert len(house.runs()) == 1
    assert [champion.sequence for champion in house.line()] == list(range(len(ended) + 1))
    assert house.fetched_version(house.line()[-1]) == house.line()[-1].model_version
    assert house.stored_labels() == 4
    assert house.leftovers() == []
