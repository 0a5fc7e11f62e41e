"""The files between the service and its child: whole paths, the last progress, outcomes that are none."""

from pathlib import Path

import pytest

from retrain.core.run_request import RetrainRequest, RunOutcome, decode_run, encode_run
from retrain.run_files import OutcomeError, Progress, read_outcome, read_progress, request_of
from retrain.settings import RetrainSettings, RunSettings

OUTCOME = RunOutcome(decision="refuse", reasons=("no",), candidate=None, report=Path("/r.json"), figures={})


def test_the_request_names_whole_paths_and_survives_its_file(tmp_path: Path) -> None:
    settings = RetrainSettings(run=RunSettings(golden="golden.jsonl"))
    request = request_of(settings, Path("runs/r1"), Path("models/m"))
    assert decode_run(encode_run(request), RetrainRequest) == request
    assert request.work == Path.cwd() / "runs/r1/work"
    assert request.champion_bundle.is_absolute()
    assert request.golden == Path.cwd() / "golden.jsonl"
    assert request.rehearsal is None


def test_an_outcome_is_read_where_the_child_left_it(tmp_path: Path) -> None:
    assert read_outcome(tmp_path) is None
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "outcome.json").write_bytes(encode_run(OUTCOME))
    assert read_outcome(tmp_path) == OUTCOME


def test_an_outcome_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "outcome.json").write_text('{"decision": "maybe"}')
    with pytest.raises(OutcomeError, match=r"outcome\.json"):
        read_outcome(tmp_path)


def test_the_last_whole_line_of_progress_counts_among_other_words(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    lines = (
        '{"stage":"train","fraction":0.1,"detail":""}',
        "a library says something",
        '{"stage":"train","fraction":0.25,"detail":"epoch 1"}',
        "Traceback: nothing of ours",
        '{"stage":"train","fract',
    )
    (tmp_path / "child.log").write_text("x" * 20_000 + "\n" + "\n".join(lines))
    assert read_progress(tmp_path) == Progress(stage="train", fraction=0.25, detail="epoch 1")
