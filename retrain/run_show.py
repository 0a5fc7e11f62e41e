"""How a run is shown: rich on a terminal, plain lines anywhere else, metrics always.

Must not decide anything. What the child says may quote posts and is made safe before it is shown.
"""

import logging
import time
from typing import Final, get_args

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from retrain import metrics, run_files
from retrain.run_book import RunRecord, Stage
from retrain.runs import ChildSample
from streamapp.core.foreign_text import printable
from streamapp.health import Vitals

LINE_EVERY_SECONDS: Final = 15.0
MOST_CHARS: Final = 300
_MIB: Final = 1024 * 1024

log = logging.getLogger(__name__)


class RunShow:
    """Shows runs one after another; on `terminal` as a bar where it is one, else as lines of the log."""

    def __init__(self, vitals: Vitals, terminal: Console | None = None) -> None:
        self._vitals = vitals
        self._terminal = terminal if terminal is not None and terminal.is_terminal else None
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._step = ""
        self._line_at = 0.0

    def stage(self, run: RunRecord) -> None:
        """The run has come to another stage, or has ended."""
        for name in get_args(Stage):
            metrics.RUN_STAGE.labels(name).set(name == run.stage and name != "ended")
        if run.stage == "ended":
            metrics.RUNS.labels(run.result).inc()
            metrics.RUN_MEMORY_BYTES.set(0)
            metrics.RUN_PROGRESS.set(0)
            self._close()
            self._say(f"run {run.run_id} ended: {run.result}: {run.detail}")
        else:
            self._open(run)
            self._say(f"run {run.run_id}: {run.stage} ({run.trigger.kind}: {run.trigger.reason})")

    def look(self, run: RunRecord, sample: ChildSample, progress: run_files.Progress | None) -> None:
        """The child works; several times a second."""
        metrics.RUN_SECONDS.set(sample.seconds)
        metrics.RUN_MEMORY_BYTES.set(sample.memory_bytes)
        if progress is None:
            return
        metrics.RUN_PROGRESS.set(progress.fraction)
        words = _safe(f"{progress.stage} {progress.detail}".strip())
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.fraction, description=escape(words))
        elif progress.stage != self._step or time.monotonic() - self._line_at > LINE_EVERY_SECONDS:
            self._step, self._line_at = progress.stage, time.monotonic()
            share, mib = f"{progress.fraction:.0%}", sample.memory_bytes // _MIB
            log.info("run %s: %s, %s after %.0f s, %d MiB", run.run_id, words, share, sample.seconds, mib)

    def trouble(self, part: str, words: str | None) -> None:
        """A part fails, or (None) answers again."""
        metrics.PART_FAILING.labels(part).set(words is not None)
        if words is None:
            self._vitals.ready(part)
        else:
            self._vitals.block_ready(part, _safe(words))

    def close(self) -> None:
        """Leaves the terminal as it was, also when a run did not end."""
        self._close()

    def _open(self, run: RunRecord) -> None:
        if self._terminal is None:
            return
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self._terminal, transient=True)
            self._task = self._bar.add_task(run.stage, total=1.0)
            self._bar.start()
        self._bar.update(self._task, description=run.stage, completed=0.0)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, words: str) -> None:
        if self._terminal is None:
            log.info("%s", _safe(words))
        else:
            self._terminal.print(_safe(words), markup=False, highlight=False)


def _safe(words: str) -> str:
    return printable(words if len(words) <= MOST_CHARS else words[: MOST_CHARS - 1] + "…", keep="\n")
