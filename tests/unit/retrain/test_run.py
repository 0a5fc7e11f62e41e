"""The two files between the service and its child process, and what the child says of a request that is no use."""

import sys
from pathlib import Path

import pytest

from retrain.core.run_request import OUTCOME_FILE, RetrainRequest, RunOutcome, decode_run, encode_run
from retrain.run import main, read_outcome


def request(folder: Path) -> RetrainRequest:
    return RetrainRequest(
        champion_bundle=folder / "champion", labels=folder / "labels.jsonl", work=folder / "work", seed=3
    )


def test_a_request_survives_the_way_to_the_child(tmp_path: Path) -> None:
    assert decode_run(encode_run(request(tmp_path)), RetrainRequest) == request(tmp_path)


def test_a_misspelt_setting_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "request.json"
    path.write_bytes(encode_run(request(tmp_path)).replace(b'"patience_epochs"', b'"patience_epoch"'))
    monkeypatch.setattr(sys, "argv", ["run", str(path)])
    assert main() == 1
    assert "patience_epoch" in capsys.readouterr().err


def test_a_run_that_has_its_outcome_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(tmp_path)
    done = RunOutcome(
        decision="refuse",
        reasons=("worse: x",),
        candidate=None,
        report=tmp_path / "report.json",
        figures={"a": 1.0},
    )
    asked.work.mkdir()
    (asked.work / OUTCOME_FILE).write_bytes(encode_run(done))
    path = tmp_path / "request.json"
    path.write_bytes(encode_run(asked))
    monkeypatch.setattr(sys, "argv", ["run", str(path)])
    assert main() == 0
    assert read_outcome(asked.work) == done
