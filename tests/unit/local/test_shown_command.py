"""A command's own words are shown as it says them, its exit code is told, and it never runs on for ever."""

import os
from pathlib import Path

import pytest

from streamapp.local.shown_command import CommandTooLongError, ShownCommand


def command(folder: Path, shown: list[str], *arguments: str) -> ShownCommand:
    # Any module that Python runs with -m will do.
    return ShownCommand(arguments, folder / "log", folder, os.environ, lambda line, style: shown.append(line))


def test_the_command_what_it_prints_and_its_exit_code_are_told(tmp_path: Path) -> None:
    shown: list[str] = []
    assert command(tmp_path, shown, "streamapp", "version").wait(lambda: None, 60) == 0
    assert shown[0] == "$ streamapp version"
    assert len(shown) == 2
    assert command(tmp_path, [], "streamapp", "no-such-command").wait(lambda: None, 60) == 2


def test_a_command_that_does_not_end_is_named_and_can_be_killed(tmp_path: Path) -> None:
    running = command(tmp_path, [], "http.server", "0", "--bind", "127.0.0.1")
    with pytest.raises(CommandTooLongError, match=r"http\.server 0"):
        running.wait(lambda: None, 0.1)
    running.kill()
    assert running.wait(lambda: None, 10) < 0
