"""A file that another process writes, line by line as it grows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# Date, time, level and logger of a log line say nothing to who watches it being written.
_LOG_HEAD: Final = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[,.]\d+ INFO [\w.]+: ")


class LogLines:
    """Whole lines that came since the last question, without the head of a log line where it is only INFO."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def new(self) -> list[str]:
        """The new lines; a line that is still being written comes with the next call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            found = file.read()
        self._offset += len(found)
        *lines, self._rest = (self._rest + found).split(b"\n")
        return [_LOG_HEAD.sub("", line.decode(errors="replace")) for line in lines if line.strip()]
