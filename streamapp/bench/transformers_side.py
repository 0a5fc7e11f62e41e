"""The side that most people start with: `transformers.pipeline`, one message at a time, in a process of its own.

streamapp itself never imports torch or transformers: an interpreter that has them runs `transformers_loop.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.manifest import TOKENIZER_FILE
from streamapp.local.owned_process import OwnedProcess

LOOP: Final = Path(__file__).with_name("transformers_loop.py")
TIMEOUT_SECONDS: Final = 180.0
POLL_SECONDS: Final = 0.1
_ASK: Final = (
    "import importlib.util as u, sys; sys.exit(not (u.find_spec('torch') and u.find_spec('transformers')))"
)


class TransformersSide:
    """Measures where `python` has torch and transformers; else `note` says that it could not."""

    def __init__(self, python: str, bundle: Path, posts: int) -> None:
        # The child runs in a folder of its own, where a relative path would name nothing.
        found = shutil.which(python)
        self._python = str(Path(found).absolute()) if found else python
        self._posts = posts
        self._tokenizer = read_bundle(bundle).path(TOKENIZER_FILE)
        self.available = posts > 0 and _has_transformers(python)
        self.note = (
            "transformers.pipeline on an untrained encoder of the shape of MiniLM-L6 (speed does not depend on the "
            f"weights) with this bundle's tokenizer, one head, one message at a time, {posts} posts a round."
            if self.available
            else "not measured: no interpreter with torch and transformers was named (--transformers-python)."
        )

    def posts_per_second(self, texts: list[str]) -> float | None:
        """The rate over the first posts of `texts`; None where it cannot be measured."""
        if not self.available:
            return None
        with tempfile.TemporaryDirectory(prefix="streamapp-bench-") as name:
            folder = Path(name)
            (folder / "texts.json").write_bytes(msgspec.json.encode(texts[: self._posts]))
            child = OwnedProcess(
                [self._python, str(LOOP), str(self._tokenizer), str(folder / "texts.json")],
                folder / "log",
                folder,
                os.environ,
            )
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while child.exit_code is None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if child.exit_code is None:
                child.kill()
            if child.exit_code != 0:
                self.available = False
                self.note = f"not measured: {child.log_tail(1)}"
                return None
            return float(json.loads(child.log_tail(1))["posts_per_second"])


def _has_transformers(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", _ASK], check=False, capture_output=True).returncode == 0
    except OSError:
        return False
