"""Two ways to watch a model being replaced: figures that redraw below the story on a terminal, plain lines else."""

from __future__ import annotations

import time
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamapp.local.demo_learning_figures import LearningFigures
from streamapp.local.demo_learning_progress import TrainingStep

PLAIN_EVERY_SECONDS: Final = 10.0
FRAME_SECONDS: Final = 0.25
BAR_CELLS: Final = 24


class LearningShow:
    """Lines of the story as they come, and the present figures: redrawn on a terminal, every few seconds elsewhere."""

    def __init__(self, console: Console, plain: bool) -> None:
        self._console = console
        self._live = None if plain else Live(console=console, auto_refresh=False, transient=True)
        self._shown_at = float("-inf")

    def say(self, line: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(Text(line, style=style), soft_wrap=True)

    def update(self, figures: LearningFigures, phase: str, step: TrainingStep | None = None) -> None:
        """The newest figures, and how far training is; called often."""
        now = time.monotonic()
        if now - self._shown_at < (PLAIN_EVERY_SECONDS if self._live is None else FRAME_SECONDS):
            return
        self._shown_at = now
        if self._live is None:
            self.say(status_line(figures, phase if step is None else f"{step.words}, {step.fraction:.0%}"))
            return
        self._live.start()
        bar = "" if step is None else f"\n{_bar(step.fraction)} {step.words}"
        self._live.update(Text(f"{status_line(figures, phase)}{bar}"), refresh=True)

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._live is not None:
            self._live.stop()


def status_line(figures: LearningFigures, phase: str) -> str:
    """The figures of one moment."""
    verdicts = ", ".join(f"{each.verdicts} by {each.version}" for each in figures.versions()) or "none"
    return (
        f"{phase}  |  verdicts: {verdicts}  |  dead letters {len(figures.dead)}  |  labels {figures.labels}"
    )


def _bar(done: float) -> str:
    filled = round(max(0.0, min(1.0, done)) * BAR_CELLS)
    return "█" * filled + "░" * (BAR_CELLS - filled)
