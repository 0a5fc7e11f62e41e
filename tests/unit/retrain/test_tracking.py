"""Runs, versions and the alias in a real MLflow: a SQLite file, and an address that does not answer."""

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from retrain.core.tracked import TrackedRun
from retrain.settings import TrackingSettings
from retrain.tracking import Tracking, TrackingError, safe_words
from streamapp.contracts.champion import Champion
from tests.harness.mlflow_server import client_of, mlflow, new_database

RUN = TrackedRun(
    key="run-1",
    name="run 1",
    began_at_ms=1_790_000_000_000,
    ended_at_ms=1_790_000_060_000,
    worked=True,
    params={"seed": "7"},
    figures={"golden/sentiment/candidate/negative/recall": 0.75},
    tags={"result": "promoted"},
)
CHAMPION = Champion(
    sequence=1, model_name="news", model_version="news-1", bundle_digest="d1", bundle_url="s3://m/1"
)
TAGS = {"bundle_digest": "d1", "model_version": "news-1"}


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """MLflow takes what it must know from the environment: as it was, afterwards."""
    mlflow()
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def tracking(template: Path, tmp_path: Path) -> Tracking:
    new_database(template, tmp_path / "mlflow.sqlite")
    return Tracking(TrackingSettings(), tmp_path)


@pytest.fixture
def client(tracking: Tracking, tmp_path: Path) -> Any:
    return client_of(f"sqlite:///{tmp_path}/mlflow.sqlite")


def files_in(folder: Path) -> Path:
    folder.mkdir()
    (folder / "report.json").write_text("{}")
    (folder / "confusion.png").write_bytes(b"PNG")
    return folder


def test_a_run_is_there_with_its_parameters_figures_and_files(tracking: Tracking, client: Any,
                                                              tmp_path: Path) -> None:  # fmt: skip
    run_id = tracking.record(RUN, files_in(tmp_path / "files"))
    run = client.get_run(run_id)
    assert run.data.params == {"seed": "7"}
    assert run.data.metrics == {"golden/sentiment/candidate/negative/recall": 0.75}
    assert run.data.tags["result"] == "promoted"
    assert (run.info.start_time, run.info.end_time, run.info.status) == (
        RUN.began_at_ms,
        RUN.ended_at_ms,
        "FINISHED",
    )
    assert {file.path for file in client.list_artifacts(run_id, "bundle")} == {
        "bundle/report.json", "bundle/confusion.png",
    }  # fmt: skip
    assert run.info.artifact_uri.startswith(f"file://{tmp_path}/mlflow-files/")


def test_a_run_that_is_sent_again_is_the_same_one(tracking: Tracking, client: Any, tmp_path: Path) -> None:
    first = tracking.record(RUN, tmp_path / "nothing")
    later = Tracking(TrackingSettings(), tmp_path).record(RUN, files_in(tmp_path / "files"))
    assert first == later
    assert len(client.search_runs(["0", "1"])) == 1
    assert [file.path for file in client.list_artifacts(first)] == ["bundle"]


def test_a_run_that_failed_is_called_failed(tracking: Tracking, client: Any, tmp_path: Path) -> None:
    failed = msgspec.structs.replace(RUN, worked=False)
    assert client.get_run(tracking.record(failed, tmp_path / "nothing")).info.status == "FAILED"


def test_a_bundle_is_one_version_however_often_it_is_registered(tracking: Tracking, client: Any,
                                                                tmp_path: Path) -> None:  # fmt: skip
    run_id = tracking.record(RUN, files_in(tmp_path / "files"))
    assert tracking.register("news", run_id, TAGS) == tracking.register("news", run_id, TAGS) == "1"
    assert tracking.register("news", run_id, {**TAGS, "bundle_digest": "d2"}) == "2"
    assert tracking.version_of(CHAMPION) == "1"
    assert tracking.version_of(msgspec.structs.replace(CHAMPION, bundle_digest="d3")) is None
    version = client.get_model_version("news", "1")
    assert (version.run_id, version.tags["model_version"]) == (run_id, "news-1")
    assert version.source == client.get_run(run_id).info.artifact_uri + "/bundle"


def test_the_alias_goes_where_it_is_put_and_back(tracking: Tracking, client: Any, tmp_path: Path) -> None:
    run_id = tracking.record(RUN, tmp_path / "nothing")
    one = tracking.register("news", run_id, TAGS)
    two = tracking.register("news", run_id, {**TAGS, "bundle_digest": "d2"})
    for version in (one, two, one):
        assert tracking.point(CHAMPION, version, {"sequence": version})
        assert not tracking.point(CHAMPION, version, {"sequence": version})
        held = client.get_model_version_by_alias("news", "champion")
        assert (str(held.version), held.tags["sequence"]) == (version, version)


def test_no_model_of_ours_keeps_the_alias_of_another_name(tracking: Tracking, client: Any,
                                                          tmp_path: Path) -> None:  # fmt: skip
    run_id = tracking.record(RUN, tmp_path / "nothing")
    tracking.point(CHAMPION, tracking.register("news", run_id, TAGS), {})
    client.create_registered_model("somebody-elses")
    client.create_model_version("somebody-elses", "s3://x", run_id, await_creation_for=0)
    client.set_registered_model_alias("somebody-elses", "champion", "1")
    other = msgspec.structs.replace(CHAMPION, model_name="chat")
    tracking.point(other, tracking.register("chat", run_id, TAGS), {})
    aliases = {model.name: sorted(model.aliases) for model in client.search_registered_models()}
    assert aliases == {"news": [], "chat": ["champion"], "somebody-elses": ["champion"]}


def test_a_server_that_is_away_is_an_error_without_its_password(tmp_path: Path) -> None:
    away = Tracking(TrackingSettings(uri="http://ann:s3cr%40t@127.0.0.1:9/mlflow"), tmp_path)
    with pytest.raises(TrackingError) as raised:
        away.record(RUN, tmp_path)
    assert "127.0.0.1" in str(raised.value)
    assert raised.value.__cause__ is None
    assert not raised.value.refused
    for secret in ("ann", "s3cr%40t", "s3cr@t"):
        assert secret not in f"{raised.value} {away.place} {TrackingSettings(uri='http://ann:s3cr%40t@h')}"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "s3cr@t"


def test_words_of_others_are_shown_without_user_and_password() -> None:
    parts = urlsplit("postgresql://ann:s3cr%40t@db/mlflow")
    for words in (
        "cannot reach postgresql://ann:s3cr%40t@db/mlflow",
        "password s3cr@t is wrong",
        "or s3cr%40t",
    ):
        assert "s3cr" not in safe_words(words, parts)
    assert safe_words("no \x1b[31m colours", parts) == "no \N{REPLACEMENT CHARACTER}[31m colours"


def test_user_and_password_of_an_address_reach_its_server(tmp_path: Path) -> None:
    heard: list[str | None] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://ann:s3cr%40t@127.0.0.1:{server.server_port}"
        with pytest.raises(TrackingError, match="401"):
            Tracking(TrackingSettings(uri=uri), tmp_path).record(RUN, tmp_path)
        server.shutdown()
    assert heard
    assert set(heard) == {f"Basic {b64encode(b'ann:s3cr@t').decode()}"}


def test_a_database_that_is_no_database_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "mlflow.sqlite").write_text(
        "not a database, but a text that is long enough to be taken for one" * 99
    )
    with pytest.raises(TrackingError, match="not a database"):
        Tracking(TrackingSettings(), tmp_path).record(RUN, tmp_path)


def test_mlflow_tells_its_makers_nothing(tmp_path: Path) -> None:
    """In a process of its own: MLflow decides it at its import."""
    script = (
        "import sys; from pathlib import Path; from retrain.tracking import Tracking, TrackingError\n"
        "from retrain.settings import TrackingSettings\n"
        "try: Tracking(TrackingSettings(uri='http://127.0.0.1:9'), Path()).version_of(None)\n"
        "except TrackingError as error: print(error)\n"
        "from mlflow.telemetry import get_telemetry_client; print('client', get_telemetry_client())\n"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=bare
    )
    assert done.stdout.splitlines()[-1] == "client None", done.stdout


def test_what_is_told_names_neither_this_machine_nor_its_user(tracking: Tracking, client: Any,
                                                              tmp_path: Path) -> None:  # fmt: skip
    run = client.get_run(tracking.record(RUN, tmp_path / "nothing"))
    assert set(run.data.tags) == {"result", "streamapp.key", "mlflow.runName"}
