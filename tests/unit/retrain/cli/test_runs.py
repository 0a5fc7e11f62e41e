"""`retrain runs` for people and for programs."""

import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from retrain.cli.main import app
from retrain.core.trigger import Trigger
from retrain.run_book import RunBook
from streamapp import console


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # How wide a terminal was when the module was imported must not decide where a table wraps.
    monkeypatch.setattr(console, "console", Console(width=200))
    path = tmp_path / "retrain.toml"
    path.write_text(f'[run]\nfolder = "{tmp_path / "runs"}"\n')
    return path


def ask(config: Path, *arguments: str) -> str:
    answer = CliRunner().invoke(app, ["runs", "--config", str(config), *arguments])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_without_a_run_that_is_said(config: Path) -> None:
    assert "no run yet" in ask(config)


def test_every_run_is_a_row_with_its_end_and_why(config: Path, tmp_path: Path) -> None:
    book = RunBook(tmp_path / "runs")
    for second in range(3):
        run = book.new_run(Trigger(kind="labels", reason="200 new labels"), 1_790_000_000_000 + second * 1000)
        book.save(
            msgspec.structs.replace(run, stage="ended", result="refused", detail=f"recall fell {second}")
        )
    said = ask(config, "--newest", "2")
    assert "recall fell 2" in said
    assert "recall fell 0" not in said
    assert [row["detail"] for row in json.loads(ask(config, "--json", "-"))] == [
        f"recall fell {n}" for n in range(3)
    ]


def test_a_damaged_record_is_named(config: Path, tmp_path: Path) -> None:
    run = RunBook(tmp_path / "runs").new_run(Trigger(kind="hand", reason="x"), 1_790_000_000_000)
    (tmp_path / "runs" / run.run_id / "run.json").write_text("{")
    answer = CliRunner().invoke(app, ["runs", "--config", str(config)])
    assert answer.exit_code == 5
    assert run.run_id in answer.output.replace("\n", "")
