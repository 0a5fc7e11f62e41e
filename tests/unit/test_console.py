"""A result as JSON goes where --json says, words for people elsewhere, an error to stderr with its exit code."""

import json
from pathlib import Path

import pytest

from streamapp.console import console, errors, speaker, stop, write_json


def test_a_result_goes_to_the_file_or_to_stdout_or_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json({"posts": 1}, str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text()) == {"posts": 1}
    write_json({"posts": 2}, None)
    assert capsys.readouterr().out == ""
    write_json({"posts": 3}, "-")
    assert json.loads(capsys.readouterr().out) == {"posts": 3}


def test_words_make_room_for_json_on_stdout() -> None:
    assert speaker("-") is errors
    assert speaker("out.json") is speaker(None) is console


def test_an_error_is_one_line_on_stderr_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert stop("model.store is not set: [nowhere]", 2).exit_code == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "model.store is not set: [nowhere]\n")
