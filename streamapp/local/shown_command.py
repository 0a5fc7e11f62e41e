"""One of our commands, run as a user would run it, its output shown line by line as it comes.

It cannot outlive us (local/owned_process.py); what is done while it runs is the caller's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from streamapp.core.foreign_text import printable
from streamapp.local.log_lines import LogLines
from streamapp.local.owned_process import OwnedProcess

Tell = Callable[[str, str], None]


class CommandTooLongError(RuntimeError):
    """A command that did not end in its time; the text names its log."""


class ShownCommand:
    """`words` are the command as a user types it: a program of ours and its arguments. `tell(line, style)` shows."""

    def __init__(
        self, words: Sequence[str], log: Path, folder: Path, environment: Mapping[str, str], tell: Tell
    ) -> None:
        self._words, self._log, self._tell = " ".join(words), log, tell
        tell(f"$ {self._words}", "bold")
        program, *arguments = words
        self._process = OwnedProcess([sys.executable, "-m", program, *arguments], log, folder, environment)
        self._lines = LogLines(log)

    def wait(self, meanwhile: Callable[[], None], seconds: float | None = None) -> int:
        """Its exit code; `meanwhile` is called again and again. Raises CommandTooLongError after `seconds`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while (code := self._process.exit_code) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise CommandTooLongError(f"`{self._words}` did not end in {seconds:.0f} s; log: {self._log}")
            meanwhile()
            self._show_new()
        self._show_new()
        return code

    def kill(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()

    def _show_new(self) -> None:
        for line in self._lines.new():
            self._tell(f"  {printable(line)}", "dim")
