"""Ended runs are told to a real MLflow once, kept while it is away, and the alias follows the champion."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retrain import metrics
from retrain.core.trigger import Trigger
from retrain.run_book import RunBook, RunRecord
from retrain.settings import RetrainSettings, RunSettings, TrackingSettings
from retrain.track_keeping import TRACKING_LOCK, TrackKeeper, keeper_of
from retrain.tracking import Tracking
from streamapp.contracts.champion import Announcer, Champion, announcement
from streamapp.settings import SettingsError
from tests.harness.mlflow_server import client_of, mlflow, new_database

AT_MS = 1_790_000_000_000
FIRST = Champion(sequence=0, model_name="news", model_version="news-1", bundle_digest="d1", bundle_url="")
HEIR = Champion(
    sequence=1, model_name="news", model_version="news-2", bundle_digest="d2", bundle_url="s3://m/2"
)


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def book(tmp_path: Path) -> RunBook:
    return RunBook(tmp_path / "runs")


@pytest.fixture
def keeper(book: RunBook, template: Path) -> TrackKeeper:
    new_database(template, book.folder / "mlflow.sqlite")
    return keeper_with(book, "local")


@pytest.fixture
def client(keeper: TrackKeeper, book: RunBook) -> Any:
    return client_of(f"sqlite:///{book.folder}/mlflow.sqlite")


def keeper_with(book: RunBook, uri: str) -> TrackKeeper:
    return TrackKeeper(book, Tracking(TrackingSettings(uri=uri), book.folder), patience_seconds=0.0)


def ended_run(book: RunBook, result: Any, **changes: Any) -> RunRecord:
    """A run with the files that a judged one has."""
    run = book.new_run(Trigger(kind="hand", reason="a person asked for it"), AT_MS)
    folder = book.folder_of(run)
    (folder / "request.json").write_bytes(b'{"seed": 11, "training": {"epochs": 4}}')
    (folder / "labels.jsonl").write_text('{"text": "a secret post"}')
    (folder / "work" / "candidate").mkdir(parents=True)
    (folder / "work" / "candidate" / "model.onnx").write_bytes(b"weights")
    for name in ("README.md", "manifest.json", "confusion-golden-sentiment.png"):
        (folder / "work" / "candidate" / name).write_text(name)
    report = {"measured": {"candidate_bytes": 7}, "posts": {"train": {"chat: negative": 3}}}
    (folder / "work" / "report.json").write_bytes(msgspec.json.encode(report))
    told = {
        "champion": FIRST,
        "labels": 3,
        "reasons": ("recall_fell: 0.8 to 0.6",),
        "ended_at_ms": AT_MS + 1000,
    }
    run = msgspec.structs.replace(run, stage="ended", result=result, **{**told, **changes})
    book.save(run)
    return run


def announced(heir: Champion = HEIR) -> dict[str, Any]:
    record = announcement(
        FIRST, heir, Announcer(by="service:retrain", reason="better", at_ms=AT_MS), pinned=False
    )
    return {"announcement": record, "published_url": heir.bundle_url}


def untracked() -> float:
    return float(metrics.UNTRACKED_RUNS._value.get())


def failing() -> float:
    return float(metrics.PART_FAILING.labels("tracking")._value.get())


def test_refused_runs_are_told_with_reasons_figures_and_files(
    book: RunBook, keeper: TrackKeeper, client: Any
) -> None:
    ended_run(book, "refused")
    assert keeper.settle(lambda: None, never)
    (run,) = client.search_runs(["1"])
    assert run.data.params == {
        "seed": "11", "training.epochs": "4", "trigger": "hand", "labels": "3", "champion": "news-1",
    }  # fmt: skip
    assert run.data.tags["reasons"] == "recall_fell: 0.8 to 0.6"
    assert run.data.tags["result"] == "refused"
    assert run.data.metrics["posts/train/chat/negative"] == 3
    assert run.data.metrics["candidate_bytes"] == 7
    assert {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "bundle")} == {
        "report.json", "README.md", "manifest.json", "confusion-golden-sentiment.png",
    }  # fmt: skip
    assert client.search_model_versions("name = 'news'") == []


def test_a_run_is_told_once(book: RunBook, keeper: TrackKeeper, client: Any) -> None:
    ended_run(book, "refused")
    assert keeper.settle(lambda: None, never)
    assert keeper_with(book, "local").settle(lambda: None, never)
    (run,) = client.search_runs(["1"])
    assert len(client.get_metric_history(run.info.run_id, "labels")) == 1
    assert untracked() == 0


def test_a_run_that_is_under_way_is_not_told(book: RunBook, keeper: TrackKeeper, client: Any) -> None:
    book.new_run(Trigger(kind="hand", reason="x"), AT_MS)
    assert keeper.settle(lambda: None, never)
    assert client.search_experiments(filter_string="name = 'streamapp retrain'") == []


def test_a_promoted_bundle_is_a_version_and_the_alias_follows_the_champion(
    book: RunBook, keeper: TrackKeeper, client: Any
) -> None:
    assert keeper.settle(lambda: FIRST, never)
    assert client.get_model_version_by_alias("news", "champion").tags["bundle_digest"] == "d1"
    run = ended_run(book, "promoted", **announced())
    assert keeper.settle(lambda: HEIR, never)
    held = client.get_model_version_by_alias("news", "champion")
    assert (held.tags["bundle_digest"], held.tags["bundle_url"], held.tags["sequence"]) == (
        "d2",
        "s3://m/2",
        "1",
    )
    assert client.get_run(held.run_id).data.tags["streamapp.run_id"] == run.run_id

    rolled_back = msgspec.structs.replace(FIRST, sequence=2, pinned=True, rolls_back=True)
    assert keeper.settle(lambda: rolled_back, never)
    held = client.get_model_version_by_alias("news", "champion")
    assert (held.tags["bundle_digest"], held.tags["sequence"], held.tags["pinned"]) == ("d1", "2", "true")
    assert len(client.search_model_versions("name = 'news'")) == 2


def test_a_champion_of_a_run_that_has_not_ended_waits_for_its_run(
    book: RunBook, keeper: TrackKeeper, client: Any
) -> None:
    run = ended_run(book, "promoted", **announced())
    book.save(msgspec.structs.replace(run, stage="announcing", result=None))
    assert keeper.settle(lambda: HEIR, never)
    assert client.search_registered_models() == []
    book.save(run)
    assert keeper.settle(lambda: HEIR, never)
    assert (
        client.get_run(client.get_model_version_by_alias("news", "champion").run_id).data.params["seed"]
        == "11"
    )


def test_an_alias_that_somebody_moved_is_put_back_by_the_next_process(
    book: RunBook, keeper: TrackKeeper, client: Any
) -> None:
    ended_run(book, "promoted", **announced())
    assert keeper.settle(lambda: FIRST, never)
    assert keeper.settle(lambda: HEIR, never)
    client.set_registered_model_alias("news", "champion", "1")
    assert keeper_with(book, "local").settle(lambda: HEIR, never)
    assert client.get_model_version_by_alias("news", "champion").tags["bundle_digest"] == "d2"


def test_a_server_that_is_away_loses_no_run_though_its_files_are_tidied_away(
    book: RunBook, keeper: TrackKeeper, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = ended_run(book, "refused")
    away = keeper_with(book, "http://ann:s3cret@127.0.0.1:9")
    away.set_aside(run)
    assert not away.settle(lambda: FIRST, never)
    assert (untracked(), failing()) == (1, 1)
    assert "told to MLflow later" in caplog.text
    assert "s3cret" not in caplog.text
    book.tidy(keep=0)
    assert not (book.folder_of(run) / "work").exists()
    assert keeper.settle(lambda: FIRST, never)
    (told,) = client.search_runs(["1"], "tags.`streamapp.kind` = 'retrain'")
    assert told.data.metrics["candidate_bytes"] == 7
    assert len(client.list_artifacts(told.info.run_id, "bundle")) == 4
    assert (untracked(), failing()) == (0, 0)


def test_what_is_kept_for_later_has_neither_posts_nor_weights(book: RunBook, keeper: TrackKeeper) -> None:
    run = ended_run(book, "promoted", **announced())
    keeper.set_aside(run)
    kept = [path for path in (book.folder_of(run) / "tracking").rglob("*") if path.is_file()]
    assert len(kept) == 5
    assert not [path for path in kept if b"secret post" in path.read_bytes() or path.name == "model.onnx"]


def test_a_death_while_setting_aside_is_made_good(book: RunBook, keeper: TrackKeeper, client: Any) -> None:
    run = ended_run(book, "refused")
    half = book.folder_of(run) / ".tracking.part"
    half.mkdir()
    (half / "left.txt").write_text("half")
    assert keeper.settle(lambda: None, never)
    assert len(client.search_runs(["1"])) == 1
    assert not half.exists()


def test_a_death_after_telling_and_before_noting_it_makes_no_second_run(
    book: RunBook, keeper: TrackKeeper, client: Any
) -> None:
    run = ended_run(book, "promoted", **announced())
    assert keeper.settle(lambda: HEIR, never)
    shutil.rmtree(book.folder_of(run) / "tracking")
    assert keeper.settle(lambda: HEIR, never)
    assert len(client.search_runs(["1"])) == 1
    assert len(client.search_model_versions("name = 'news'")) == 1


def test_a_damaged_report_is_said_and_the_rest_is_told(
    book: RunBook, keeper: TrackKeeper, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = ended_run(book, "failed", detail="the child failed\nposts that it quoted")
    (book.folder_of(run) / "work" / "report.json").write_text("{")
    assert keeper.settle(lambda: None, never)
    (told,) = client.search_runs(["1"])
    assert (told.info.status, told.data.tags["detail"]) == ("FAILED", "the child failed")
    assert "report.json" in caplog.text


def test_processes_on_one_folder_take_turns(book: RunBook, keeper: TrackKeeper, client: Any) -> None:
    ended_run(book, "refused")
    with book.locked(TRACKING_LOCK):
        assert keeper.settle(lambda: FIRST, never)
    assert client.search_experiments(filter_string="name = 'streamapp retrain'") == []


def test_nothing_is_tracked_where_the_settings_say_so(book: RunBook) -> None:
    mlflow()
    run = RunSettings(folder=str(book.folder))
    assert keeper_of(RetrainSettings(run=run, tracking=TrackingSettings(uri="")), book) is None
    assert keeper_of(RetrainSettings(run=run), book) is not None


def test_an_address_without_mlflow_stops_the_start(book: RunBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.track_keeping.is_installed", lambda: False)
    with pytest.raises(SettingsError, match=r"tracking\.uri"):
        keeper_of(RetrainSettings(tracking=TrackingSettings(uri="http://mlflow:5000")), book)
    assert keeper_of(RetrainSettings(), book) is None
