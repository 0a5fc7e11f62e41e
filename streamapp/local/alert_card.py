"""An alert in words: what was seen, what was expected, and the headlines behind it. Texts of posts are hostile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from rich.text import Text

from streamapp.contracts.messages import Alert
from streamapp.core.foreign_text import printable
from streamapp.local.terminal_text import foreign

STATE_STYLES: Final = {
    "opened": "bold white on red",
    "updated": "bold white on red",
    "resolved": "black on green",
}
SEVERITY_STYLES: Final = {"critical": "bold red", "warning": "bold yellow"}

TimeText = Callable[[int], str]
# A company's name by its symbol, None for one that the symbol table lacks.
NameOf = Callable[[str], str | None]


def utc_time(time_ms: int) -> str:
    """Date and minute in UTC."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def subject_text(subject: str, name_of: NameOf) -> str:
    """The subject as commands take it, and its company's name where one is known."""
    kind, _, name = subject.partition(":")
    known = name_of(name) if kind == "company" else None
    return printable(f"{subject} ({known})" if known else subject)


class CardStyle(Struct, frozen=True, kw_only=True):
    """How a card is cut and whose clock it shows."""

    name_of: NameOf
    headlines: int = 3
    width: int = 120
    time_text: TimeText = utc_time


def alert_lines(alert: Alert, style: CardStyle, height: Alert | None = None) -> list[Text]:
    """Title, figures, reason and headlines, each line cut to the width.

    `height` is the revision with the greatest count: a resolved alert shows the figures of that one, or its
    card would only tell how calm things are now.
    """
    shown = height if height is not None and alert.state == "resolved" else alert
    lines = [_title(alert, style), _figures(shown, style), _reason(alert)]
    for story in alert.top_stories[: style.headlines]:
        line = Text(f"   {copies_text(story.copies):>9}  ", style="dim", no_wrap=True)
        line.append(f"{style.time_text(story.first_seen_ms)[-5:]} {story.channel}  ")
        line.append_text(foreign(story.headline, "default"))
        lines.append(line)
    for line in lines:
        line.truncate(style.width, overflow="ellipsis")
    return lines


def copies_text(copies: int) -> str:
    """How often a story was told."""
    return "1 post" if copies == 1 else f"{copies} posts"


def _title(alert: Alert, style: CardStyle) -> Text:
    title = Text(no_wrap=True)
    title.append(f" {alert.state.upper()} ", style=STATE_STYLES[alert.state])
    title.append(f" {alert.severity} ", style=SEVERITY_STYLES[alert.severity])
    title.append(subject_text(alert.subject, style.name_of), style="bold")
    title.append(f"  since {style.time_text(alert.opened_at_ms)}, revision {alert.revision}", style="dim")
    return title


def _figures(shown: Alert, style: CardStyle) -> Text:
    begin, end = style.time_text(shown.window_start_ms)[-5:], style.time_text(shown.window_end_ms)[-5:]
    line = Text("   observed ", no_wrap=True)
    line.append(f"{shown.observed_negative_stories}", style=SEVERITY_STYLES[shown.severity])
    line.append(" negative stories, expected ")
    line.append(f"{shown.expected_negative_stories:.1f}", style="bold")
    line.append(f" ({begin} to {end})", style="dim")
    line.append(f"; negative share {shown.observed_share:.0%}, expected {shown.expected_share:.0%}")
    line.append(f"; p = {shown.p_value:.1g}", style="dim")
    return line


def _reason(alert: Alert) -> Text:
    return Text("   ", no_wrap=True).append_text(foreign(alert.reason, "italic"))
