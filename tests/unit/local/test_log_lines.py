"""A growing file is shown line by line, each whole and once."""

from pathlib import Path

from streamapp.local.log_lines import LogLines


def test_each_line_comes_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = LogLines(path)
    assert lines.new() == []
    path.write_text("one\ntw")
    assert lines.new() == ["one"]
    with path.open("a") as file:
        file.write("o\n\nthree\n")
    assert lines.new() == ["two", "three"]
    assert lines.new() == []


def test_the_head_of_an_info_line_is_left_out_and_that_of_a_warning_stays(tmp_path: Path) -> None:
    path = tmp_path / "log"
    warning = "2026-03-12 13:30:00,123 WARNING retrain.runs: slow"
    path.write_text(f"2026-03-12 13:30:00,123 INFO retrain.run_show: train, 20%\n{warning}\n")
    assert LogLines(path).new() == ["train, 20%", warning]
