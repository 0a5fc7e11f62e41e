"""An alert in words: what was seen, what was expected, and the headlines behind it. Texts of posts are hostile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from streamapp.contracts.messages import Alert
from streamapp.local.terminal_text import foreign, printable

STATE_STYLES: Final = {"opened": "bold white on red", "updated": "bold white on red", "resolved": "black on green"}
SEVERITY_STYLES: Final = {"critical": "bold red", "warning": "bold yellow"}

TimeText = Callable[[int], str]


def utc_time(time_ms: int) -> str:
    """Date and minute in UTC."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def subject_text(subject: str, companies: Mapping[str, str]) -> str:
    """The subject as commands take it, and its company's name where one is known."""
    kind, _, name = subject.partition(":")
    known = companies.get(name) if kind == "company" else None
    return printable(f"{subject} ({known})" if known else subject)


def alert_lines(
    alert: Alert, companies: Mapping[str, str], headlines: int = 3, width: int = 120, time_text: TimeText = utc_time
) -> list[Text]:
    """Title, figures and up to so many headlines, each line cut to `width`."""
    lines = [_title(alert, companies, time_text), _figures(alert, time_text), _reason(alert)]
    for story in alert.top_stories[:headlines]:
        line = Text(f"   {copies_text(story.copies):>9} ", style="dim", no_wrap=True, overflow="ellipsis")
        line.append(f"{time_text(story.first_seen_ms)[-5:]} {story.channel} ")
        line.append_text(foreign(story.headline, "default"))
        lines.append(line)
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def copies_text(copies: int) -> str:
    """How often a story was told."""
    return "1 post" if copies == 1 else f"{copies} posts"


def _title(alert: Alert, companies: Mapping[str, str], time_text: TimeText) -> Text:
    title = Text(no_wrap=True)
    title.append(f" {alert.state.upper()} ", style=STATE_STYLES[alert.state])
    title.append(f" {alert.severity} ", style=SEVERITY_STYLES[alert.severity])
    title.append(subject_text(alert.subject, companies), style="bold")
    title.append(f"  since {time_text(alert.opened_at_ms)}, revision {alert.revision}", style="dim")
    return title


def _figures(alert: Alert, time_text: TimeText) -> Text:
    line = Text("   observed ", no_wrap=True)
    line.append(f"{alert.observed_negative_stories}", style=SEVERITY_STYLES[alert.severity])
    line.append(" negative stories, expected ")
    line.append(f"{alert.expected_negative_stories:.1f}", style="bold")
    line.append(f" ({time_text(alert.window_start_ms)[-5:]} to {time_text(alert.window_end_ms)[-5:]})", style="dim")
    line.append(f"; negative share {alert.observed_share:.0%}, expected {alert.expected_share:.0%}")
    line.append(f"; p = {alert.p_value:.1g}", style="dim")
    return line


def _reason(alert: Alert) -> Text:
    return Text("   ", no_wrap=True).append_text(foreign(alert.reason, "italic"))
