"""Files that are there whole or not at all, whenever the process is killed."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """The file with all of `content`, or as it was before; on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(path)
