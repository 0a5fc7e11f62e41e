"""`retrain serve` and `retrain once` tell MLflow: every run, and who is champion, whoever announced it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrain.settings import TrackingSettings
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.mlflow_server import client_of, mlflow, new_database
from tests.harness.retrain_process import RetrainHouse, stop

pytestmark = pytest.mark.broker


@pytest.fixture
def house(
    cluster: Callable[..., TestCluster],
    tiny_bundle: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> RetrainHouse:
    mlflow()
    new_database(tmp_path_factory.mktemp("mlflow"), tmp_path / "runs" / "mlflow.sqlite")
    return RetrainHouse(cluster(), tiny_bundle, tmp_path, tracking=TrackingSettings())


def digest_of_the_alias(client: Any, model: str) -> str | None:
    names = {each.name for each in client.search_registered_models()}
    if model not in names or "champion" not in client.get_registered_model(model).aliases:
        return None
    return str(client.get_model_version_by_alias(model, "champion").tags["bundle_digest"])


def test_the_alias_follows_promotion_and_a_person_who_goes_back(
    house: RetrainHouse, tiny_bundle: Path
) -> None:
    client = client_of(f"sqlite:///{house.folder}/runs/mlflow.sqlite")
    first = house.first

    def is_champion(digest: str) -> bool:
        return digest_of_the_alias(client, first.model_name) == digest

    service = house.start("serve")
    try:
        wait_until(lambda: is_champion(first.bundle_digest), 60, f"the first champion's alias: {house.log()}")
        house.label(4)
        run = house.wait_for("promoted")
        heir = house.line()[-1]
        wait_until(lambda: is_champion(heir.bundle_digest), 60, "the alias of the promoted one")
        (told,) = client.search_runs(["1"], "tags.`streamapp.kind` = 'retrain'")
        assert (told.data.tags["streamapp.run_id"], told.data.tags["result"]) == (run.run_id, "promoted")
        assert told.data.params["labels"] == "4"
        house.announce_as_a_person(tiny_bundle, pinned=True)
        wait_until(lambda: is_champion(first.bundle_digest), 60, "the alias back where it was")
        assert client.get_model_version_by_alias(first.model_name, "champion").tags["pinned"] == "true"
        assert stop(service)[0] == 0, house.log()
    finally:
        service.kill()
        service.wait(10)


def test_a_server_that_is_away_changes_nothing_of_a_run_and_is_said(
    cluster: Callable[..., TestCluster], tiny_bundle: Path, tmp_path: Path
) -> None:
    mlflow()
    away = TrackingSettings(uri="http://ann:s3cret@127.0.0.1:9", patience_seconds=1.0)
    house = RetrainHouse(cluster(), tiny_bundle, tmp_path, tracking=away)
    house.label(4)
    assert house.once() == 0, house.log()
    assert house.wait_for("promoted").announcement == house.runs()[-1].announcement
    assert house.line()[-1].sequence == 1
    assert "told to MLflow later" in house.log()
    assert "s3cret" not in house.log()
    assert not list((tmp_path / "runs").glob("*/tracking/done.json"))
    assert list((tmp_path / "runs").glob("*/tracking/request.json"))
