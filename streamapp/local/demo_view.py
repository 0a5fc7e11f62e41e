"""How the demo looks on a terminal: figures in, rich renderables out. Decides nothing and reads nothing.

Times are shown on the clock of the simulated day, not on the dates that the replay gave the posts.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamapp.contracts.messages import SENTIMENTS, ScoredPost
from streamapp.local.alert_card import CardStyle, alert_lines
from streamapp.local.demo_figures import DemoFigures, quantile
from streamapp.local.demo_scene import DAY_MS, DAY_START_MS, Scene
from streamapp.local.demo_trends import TALL_ROWS, trend_panel
from streamapp.local.terminal_text import foreign

SENTIMENT_STYLES: Final = {"negative": "red", "neutral": "bright_black", "positive": "green"}
HEADER_LINES: Final = 4
FLOW_ROWS: Final = 7
MAX_SUBJECTS: Final = 12
MIN_SUBJECTS: Final = 3
CARD_LINES: Final = 6
MAX_LATEST: Final = 8
BORDERS: Final = 2
# Below this a frame cannot hold what it must show.
MIN_WIDTH: Final = 100
MIN_HEIGHT: Final = 36


class Heights(Struct, frozen=True):
    """Lines of the parts below the flow, borders left out. A latest of 0: no room for it."""

    chart: int
    card: int
    alerts: int
    latest: int


def share_out(height: int, alerts: int) -> Heights:
    """How `height` lines are shared: alerts first, then the chart, and what is left for the newest posts."""
    rest = height - HEADER_LINES - FLOW_ROWS - BORDERS
    least_chart = 1 + MIN_SUBJECTS + (TALL_ROWS - 1) * min(alerts, MIN_SUBJECTS)
    card = max(2, min(CARD_LINES, (rest - 2 * BORDERS - least_chart) // max(1, alerts)))
    alert_lines_wanted = max(1, card * alerts)
    rest -= alert_lines_wanted + BORDERS
    most_chart = 1 + MAX_SUBJECTS + (TALL_ROWS - 1) * alerts
    chart = max(least_chart, min(most_chart, rest - 3 * BORDERS))
    latest = min(MAX_LATEST, rest - chart - 2 * BORDERS)
    if latest < 1:
        chart, latest = max(least_chart, min(most_chart, rest - BORDERS)), 0
    return Heights(chart, card, alert_lines_wanted, latest)


def frame(figures: DemoFigures, scene: Scene, height: int, width: int) -> RenderableType:
    """The whole screen, never higher than `height` lines."""
    heights = share_out(height, len(figures.alerts))
    parts = [
        Layout(_header(scene), size=HEADER_LINES),
        _flow_row(figures, scene),
        Layout(trend_panel(figures, scene, heights.chart, width), size=heights.chart + BORDERS),
        Layout(_alerts(figures, scene, heights.card, width), size=heights.alerts + BORDERS),
    ]
    if heights.latest:
        parts.append(Layout(_latest(figures, scene, heights.latest), size=heights.latest + BORDERS))
    layout = Layout()
    layout.split_column(*parts)
    return _Sized(layout, min(height, sum(part.size or 0 for part in parts)))


class _Sized:
    """A layout of a fixed height: rich would give it the whole terminal."""

    def __init__(self, layout: Layout, height: int) -> None:
        self._layout, self._height = layout, height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._layout.__rich_console__(console, options.update(height=self._height))


def _header(scene: Scene) -> RenderableType:
    clock = Table.grid(padding=(0, 1), expand=True)
    clock.add_column(no_wrap=True)
    clock.add_column(ratio=1)
    clock.add_column(no_wrap=True, justify="right")
    done = max(0, min(DAY_MS, scene.clock_ms))
    clock.add_row(
        Text(f" {scene.clock} ", style="bold black on cyan"),
        ProgressBar(total=DAY_MS, completed=done, complete_style="cyan", finished_style="cyan"),
        Text(f"simulated trading day 13:30 to 20:00 UTC, {scene.speed:.0f} times real time", style="dim"),
    )
    return Panel(
        Group(Text(f"{scene.title}  |  {scene.phase}", no_wrap=True, overflow="ellipsis"), clock),
        title="[bold]streamapp demo[/bold]",
        title_align="left",
        border_style="cyan",
    )


def _flow_row(figures: DemoFigures, scene: Scene) -> Layout:
    row = Layout(size=FLOW_ROWS + BORDERS)
    row.split_row(
        Layout(Panel(_flow(figures, scene), title="Flow", title_align="left"), ratio=3),
        Layout(Panel(verdicts(figures), title="Verdicts", title_align="left"), ratio=5),
        Layout(Panel(dead_letters(figures), title="Dead letters", title_align="left"), ratio=2),
    )
    return row


def _flow(figures: DemoFigures, scene: Scene) -> Table:
    delays = figures.delays_ms()
    middle, slow = quantile(delays, 0.5), quantile(delays, 0.99)
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    published = sum(figures.published.values())
    table.add_row("rate", f"{figures.rate(scene.now_ms):.1f}", "posts/s")
    table.add_row("in", f"{published}", f"{figures.published['news']} news, {figures.published['chat']} chat")
    table.add_row("scored", f"{figures.scored}", f"{figures.duplicate_texts} repeat a text")
    table.add_row("dead", f"{len(figures.dead)}", "letters")
    table.add_row("lag", f"{scene.lag}", "records")
    table.add_row("p50", "-" if middle is None else f"{middle}", "ms to verdict")
    table.add_row("p99", "-" if slow is None else f"{slow}", "ms to verdict")
    return table


def verdicts(figures: DemoFigures, width: int = 30) -> Table:
    """Posts by channel and sentiment, as bars."""
    table = Table.grid(padding=(0, 1))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    top = max((max(counts.values(), default=0) for counts in figures.sentiments.values()), default=0)
    for channel, counts in figures.sentiments.items():
        for at, sentiment in enumerate(SENTIMENTS):
            count = counts[sentiment]
            cells = round(count / top * width) if top else 0
            style = SENTIMENT_STYLES[sentiment]
            table.add_row(
                Text(channel if at == 0 else "", style="bold"),
                Text(sentiment, style=style),
                str(count),
                Text("█" * cells, style=style),
            )
    return table


def dead_letters(figures: DemoFigures) -> Table:
    """Inputs that could not be used, by reason."""
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="bold")
    table.add_column(no_wrap=True, style="dim")
    for reason, count in figures.reasons.most_common(FLOW_ROWS):
        table.add_row(str(count), reason)
    if not figures.reasons:
        table.add_row("", "none so far")
    return table


def _alerts(figures: DemoFigures, scene: Scene, card: int, width: int) -> Panel:
    lines = alert_block(figures, scene, width - 4, card - 3)
    quiet = Text("none: no subject has more negative stories than its own past explains", style="dim")
    style = "red" if figures.open_subjects() else "green" if lines else "dim"
    return Panel(Group(*lines) if lines else quiet, title="Alerts", title_align="left", border_style=style)


def alert_block(figures: DemoFigures, scene: Scene, width: int, headlines: int = 3) -> list[Text]:
    """Every alert as it is now."""
    style = CardStyle(
        name_of=scene.name_of, width=width, time_text=scene.day_time, headlines=max(0, headlines)
    )
    seen = sorted(figures.alerts.values(), key=lambda each: each.newest.opened_at_ms)
    return [line for each in seen for line in alert_lines(each.newest, style, each.height)]


def _latest(figures: DemoFigures, scene: Scene, rows: int) -> Panel:
    # The closing posts are dated after the day; they carry nothing that a reader would want.
    end_ms = DAY_START_MS + scene.shift_ms + DAY_MS
    of_the_day = [scored for scored in figures.latest if scored.post.event_time_ms < end_ms]
    lines = [post_line(scored, scene) for scored in of_the_day[-rows:]]
    return Panel(Group(*lines), title="Newest posts", title_align="left")


def post_line(scored: ScoredPost, scene: Scene) -> Text:
    """One scored post."""
    verdict, post = scored.verdict, scored.post
    label = verdict.sentiment.label if verdict.sentiment else "none"
    line = Text(
        f"{scene.day_time(post.event_time_ms)} {post.channel} ",
        style="dim",
        no_wrap=True,
        overflow="ellipsis",
    )
    line.append(f"{label:<9}", style=SENTIMENT_STYLES.get(label, ""))
    line.append(f"{verdict.topic.label if verdict.topic else '':<17} ", style="dim")
    return line.append_text(foreign(post.text, "default"))
