"""`retrain labels` as scripts see it: what it writes and its exit codes."""

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from retrain.cli.main import app
from retrain.core.trigger import Trigger
from retrain.label_store import LabelStore
from retrain.run_book import RunBook
from tests.unit.retrain.label_records import label, record


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "retrain.toml"
    text = f'[store]\npath = "{tmp_path / "labels.sqlite"}"\n[run]\nfolder = "{tmp_path / "runs"}"\n'
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def filled(config: Path, tmp_path: Path) -> Path:
    with LabelStore(tmp_path / "labels.sqlite") as store:
        store.add([record(0), record(1, label(at_ms=2_000, sentiment="positive"))])
        store.add([record(2, label("n-2", author="bo", origin="import"))])
    return config


def invoke(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["labels", *arguments, "--config", str(config)])


def test_export_writes_what_holds_or_the_whole_history(filled: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in invoke(filled, "export").stdout.splitlines()]
    assert [(line["post_id"], line["sentiment"]) for line in lines] == [
        ("n-1", "positive"),
        ("n-2", "negative"),
    ]
    assert len(invoke(filled, "export", "--history").stdout.splitlines()) == 3
    assert len(invoke(filled, "export", "--origin", "import").stdout.splitlines()) == 1
    target = tmp_path / "out.jsonl"
    assert invoke(filled, "export", str(target)).exit_code == 0
    assert len(target.read_text(encoding="utf-8").splitlines()) == 2
    assert invoke(filled, "export", str(tmp_path / "absent" / "out.jsonl")).exit_code == 2


def test_erase_takes_one_thing_and_says_when_there_was_nothing(filled: Path) -> None:
    done = invoke(filled, "erase", "--author", "ana", "--json", "-")
    assert (done.exit_code, json.loads(done.stdout)) == (
        0,
        {"labels": 2, "posts": 0, "wiped": True, "snapshot_lines": 0, "runs": 0, "waiting": []},
    )
    assert invoke(filled, "erase", "--author", "ana").exit_code == 4
    assert invoke(filled, "erase", "--post", "n-2", "--as", "boss").exit_code == 0
    audit = json.loads(invoke(filled, "audit", "--author", "boss", "--json", "-").stdout)
    assert [each["action"] for each in audit] == ["erased post"]
    assert invoke(filled, "export").stdout == ""
    assert invoke(filled, "erase").exit_code == 2
    assert invoke(filled, "erase", "--post", "n-2", "--author", "bo").exit_code == 2


def test_erase_reaches_snapshots_of_runs_and_names_one_that_is_under_way(
    filled: Path, tmp_path: Path
) -> None:
    book = RunBook(tmp_path / "runs")
    done, under_way = (book.new_run(Trigger(kind="hand", reason="x"), 1_790_000_000_000) for _ in range(2))
    for run in (done, under_way):
        (book.folder_of(run) / "labels.jsonl").write_text(invoke(filled, "export").stdout)
    book.save(msgspec.structs.replace(done, stage="ended", result="refused"))
    said = invoke(filled, "erase", "--author", "ana")
    assert said.exit_code == 0
    assert "1 lines of the snapshots of 1 runs" in said.stdout
    assert f"run {under_way.run_id} is under way" in said.stdout
    left = (book.folder_of(done) / "labels.jsonl").read_text().splitlines()
    assert [json.loads(line)["post_id"] for line in left] == ["n-2"]
    assert invoke(filled, "erase", "--post", "n-2").exit_code == 0
    assert (book.folder_of(done) / "labels.jsonl").read_text() == ""


def test_audit_shows_people_as_hashes_and_finds_them_by_name(filled: Path) -> None:
    found = json.loads(invoke(filled, "audit", "--author", "bo", "--json", "-").stdout)
    assert [(each["action"], each["detail"]) for each in found] == [("labelled", "n-2")]
    assert found[0]["actor"] != "bo"
    assert invoke(filled, "audit", "--since", "soon").exit_code == 2


def test_a_store_that_does_not_exist_is_named_and_not_made(config: Path, tmp_path: Path) -> None:
    missing = invoke(config, "export")
    assert missing.exit_code == 5
    assert not (tmp_path / "labels.sqlite").exists()


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    config = tmp_path / "retrain.toml"
    config.write_text('[store]\nfile = "x"\n', encoding="utf-8")
    refused = invoke(config, "export")
    assert (refused.exit_code, "file" in refused.stderr) == (2, True)
