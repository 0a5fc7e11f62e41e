"""Two ways to show a demo that runs: a live screen on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from typing import Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamapp.contracts.messages import Alert
from streamapp.local.alert_card import CardStyle, alert_lines
from streamapp.local.demo_figures import DemoFigures
from streamapp.local.demo_scene import Scene
from streamapp.local.demo_trends import trend_table
from streamapp.local.demo_view import alert_block, dead_letters, frame, verdicts

PLAIN_EVERY_SECONDS: Final = 5.0
PLAIN_WIDTH: Final = 130
FRAME_SECONDS: Final = 0.25
MAX_HEIGHT: Final = 46
CHART_LINES: Final = 16


class Show(Protocol):
    """What the demo needs of a show."""

    def say(self, line: str) -> None:
        """A line of progress."""

    def update(self, figures: DemoFigures, scene: Scene, final: bool = False) -> None:
        """The newest figures; called often."""

    def alert(self, alert: Alert, scene: Scene) -> None:
        """A revision that has just come."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class LiveShow:
    """A screen of its own height that redraws in place; the last frame stays."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._drawn_at = 0.0

    def say(self, line: str) -> None:
        self._console.print(Text(line))

    def update(self, figures: DemoFigures, scene: Scene, final: bool = False) -> None:
        now = time.monotonic()
        if now - self._drawn_at < FRAME_SECONDS and not final:
            return
        self._drawn_at = now
        size = self._console.size
        drawn = frame(figures, scene, min(size.height - 1, MAX_HEIGHT), size.width)
        if self._live is None:
            self._live = Live(drawn, console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(drawn, refresh=True)

    def alert(self, alert: Alert, scene: Scene) -> None:
        """The frame shows it."""

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class PlainShow:
    """A line every few seconds, an alert as soon as it comes, the chart at the end."""

    def __init__(self, console: Console) -> None:
        # A pipe has no width, and rich would take it for 80 columns.
        self._console = Console(file=console.file, width=PLAIN_WIDTH, highlight=False, markup=False)
        self._said_at = float("-inf")

    def say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def update(self, figures: DemoFigures, scene: Scene, final: bool = False) -> None:
        now = time.monotonic()
        if final:
            self._print_final(figures, scene)
        elif now - self._said_at >= PLAIN_EVERY_SECONDS:
            self._said_at = now
            self.say(status_line(figures, scene))

    def alert(self, alert: Alert, scene: Scene) -> None:
        style = CardStyle(name_of=scene.name_of, width=PLAIN_WIDTH, time_text=scene.day_time)
        for line in alert_lines(alert, style):
            self._console.print(line, soft_wrap=True)

    def close(self) -> None:
        """Nothing to put back."""

    def _print_final(self, figures: DemoFigures, scene: Scene) -> None:
        self.say("\nVerdicts")
        self._console.print(verdicts(figures))
        self.say("\nDead letters")
        self._console.print(dead_letters(figures))
        self.say("\nNegative stories per subject, a bar for each 15 minutes")
        self._console.print(trend_table(figures, scene, CHART_LINES, PLAIN_WIDTH))
        self.say("\nAlerts")
        for line in alert_block(figures, scene, PLAIN_WIDTH):
            self._console.print(line, soft_wrap=True)


def status_line(figures: DemoFigures, scene: Scene) -> str:
    """The figures of one moment."""
    sentiments = sum(figures.sentiments.values(), start=type(figures.sentiments["news"])())
    subjects = ", ".join(sorted(figures.open_subjects())) or "none"
    return (
        f"{scene.clock}  {figures.rate(scene.now_ms):4.1f} posts/s  in {sum(figures.published.values())}"
        f"  scored {figures.scored}  dead {len(figures.dead)}  lag {scene.lag}"
        f"  | negative {sentiments['negative']}, neutral {sentiments['neutral']}, positive {sentiments['positive']}"
        f"  | open alerts: {subjects}"
    )
