"""The MLflow server of docker-compose.yml, run as written there: runs, files, versions and the alias."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retrain.core.trigger import Trigger
from retrain.run_book import RunBook
from retrain.settings import TrackingSettings
from retrain.track_keeping import TrackKeeper
from retrain.tracking import Tracking
from streamapp.contracts.champion import Announcer, Champion, announcement
from tests.deploy.compose import containers, mlflow_flags
from tests.harness.cluster import free_port
from tests.harness.mlflow_server import MlflowServer, client_of, mlflow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FIRST = Champion(sequence=0, model_name="news", model_version="news-1", bundle_digest="d1", bundle_url="")
HEIR = Champion(
    sequence=1, model_name="news", model_version="news-2", bundle_digest="d2", bundle_url="/models/2"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow-server")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[MlflowServer]:
    """Its flags as they are, with a folder of ours where its volume is."""
    mlflow()
    pytest.importorskip("flask", reason="MLflow's server is in the extra dev")
    (folder / "volume").mkdir()
    flags, port = mlflow_flags(), free_port()
    flags["--allowed-hosts"] = flags["--allowed-hosts"].replace(f":{flags['--port']}", f":{port}")
    del flags["--host"], flags["--port"]
    arguments = [
        f"{name}={value.replace('/mlflow/', f'{folder}/volume/', 1)}" for name, value in flags.items()
    ]
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION"}
    environment = {name: value for name, value in containers()["mlflow"].environment.items() if name in own}
    with closing(MlflowServer(folder, arguments, port, environment)) as started:
        yield started.wait_ready()


def test_a_run_its_files_its_version_and_the_alias_are_there(
    server: MlflowServer, folder: Path, tmp_path: Path
) -> None:
    book = RunBook(tmp_path / "runs")
    keeper = TrackKeeper(book, Tracking(TrackingSettings(uri=server.url), book.folder), patience_seconds=30.0)
    assert keeper.settle(lambda: FIRST, lambda: False)
    run = book.new_run(Trigger(kind="hand", reason="a person asked for it"), 1_790_000_000_000)
    work = book.folder_of(run) / "work"
    work.mkdir()
    (work / "report.json").write_bytes(b'{"measured": {"candidate_bytes": 7}}')
    record = announcement(
        FIRST, HEIR, Announcer(by="service:retrain", reason="better", at_ms=1), pinned=False
    )
    book.save(msgspec.structs.replace(run, stage="ended", result="promoted", announcement=record))
    assert keeper.settle(lambda: HEIR, lambda: False)

    client: Any = client_of(server.url)
    held = client.get_model_version_by_alias("news", "champion")
    assert (held.tags["bundle_digest"], held.tags["bundle_url"]) == ("d2", "/models/2")
    told = client.get_run(held.run_id)
    assert told.data.metrics["candidate_bytes"] == 7
    assert [file.path for file in client.list_artifacts(held.run_id, "bundle")] == ["bundle/report.json"]
    assert held.source.startswith("mlflow-artifacts:/")
    assert list((folder / "volume" / "files").rglob("report.json"))

    assert keeper.settle(lambda: msgspec.structs.replace(FIRST, sequence=2), lambda: False)
    assert client.get_model_version_by_alias("news", "champion").tags["bundle_digest"] == "d1"


def test_it_writes_nothing_outside_its_volume(server: MlflowServer, folder: Path) -> None:
    assert server.answers()
    assert {path.name for path in folder.iterdir()} == {"volume", server.log.name}
