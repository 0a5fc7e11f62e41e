"""A frame fits its terminal, shows what is known, and obeys no control character of a post."""

import pytest
from rich.console import Console

from streamapp.local.alert_card import CardStyle, alert_lines
from streamapp.local.demo_figures import DemoFigures
from streamapp.local.demo_scene import DAY_START_MS, Scene
from streamapp.local.demo_show import PlainShow, status_line
from streamapp.local.demo_view import MIN_HEIGHT, MIN_WIDTH, frame, share_out
from tests.unit.local.demo_records import INPUTS, PREFIX, alert, alert_message, dead, published, scored, trend

HOSTILE = "\x1b[2J[red]gone[/red]\x07\u202eevil\r\nAcme"


def nobody(symbol: str) -> None:
    """No company has a name."""


def scene(clock_ms: int = 3_600_000) -> Scene:
    return Scene(
        title="Kafka", speed=312.0, shift_ms=0, clock_ms=clock_ms, now_ms=2_000, lag=3, phase="the day goes on",
        name_of={"CLDB": "Calderon Bank"}.get,
    )  # fmt: skip


def figures(alerts: int = 1, subjects: int = 30) -> DemoFigures:
    made = DemoFigures(PREFIX, INPUTS)
    records = [published(0), scored(0, text=HOSTILE, event_time_ms=DAY_START_MS), dead(1)]
    records += [trend(f"topic:t{number}", DAY_START_MS) for number in range(subjects)]
    records += [trend(f"company:C{number}", DAY_START_MS) for number in range(alerts)]
    records += [alert(f"company:C{number}") for number in range(alerts)]
    for each in records:
        made.apply(each, now_ms=2_000)
    return made


def drawn(made: DemoFigures, width: int, height: int) -> str:
    console = Console(width=width, height=height, record=True, force_terminal=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(frame(made, scene(), height, width))
    return capture.get()


@pytest.mark.parametrize("alerts", [0, 1, 2, 3])
@pytest.mark.parametrize(("width", "height"), [(MIN_WIDTH, MIN_HEIGHT), (130, 44), (200, 46)])
def test_a_frame_never_exceeds_its_terminal(alerts: int, width: int, height: int) -> None:
    console = Console(width=width, height=height, color_system=None)
    lines = console.render_lines(frame(figures(alerts), scene(), height, width))
    assert len(lines) <= height
    assert all(sum(segment.cell_length for segment in line) <= width for line in lines)
    heights = share_out(height, alerts)
    assert heights.chart >= 4
    assert heights.card >= 2


def test_a_frame_shows_clock_counts_reasons_and_the_alert_with_its_evidence() -> None:
    text = drawn(figures(), 130, 44)
    shown = (
        "14:30",
        "not_json",
        "OPENED",
        "critical",
        "company:C0",
        "12",
        "0.6",
        "3 posts",
        "Calderon Bank halts",
    )
    for expected in shown:
        assert expected in text


def test_a_posts_control_characters_and_markup_reach_no_terminal() -> None:
    text = drawn(figures(), 130, 44)
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert "[red]gone[/red]" in text


def test_an_alerts_texts_are_hostile_too() -> None:
    message = alert_message(subject="company:\x1b[31mX", reason=f"because {HOSTILE}")
    text = "\n".join(line.plain for line in alert_lines(message, CardStyle(name_of=nobody, width=100)))
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_resolved_alert_keeps_the_figures_of_its_height() -> None:
    newest = alert_message(
        revision=2, state="resolved", observed_negative_stories=1, reason="Back to what is usual"
    )
    text = "\n".join(
        line.plain for line in alert_lines(newest, CardStyle(name_of=nobody), height=alert_message())
    )
    assert "observed 12 negative stories, expected 0.6" in text
    assert "Back to what is usual" in text


def test_plain_lines_tell_the_same_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show = PlainShow(Console(markup=False, highlight=False))
    show.alert(alert_message(), scene())
    show.update(figures(), scene())
    show.update(figures(), scene(), final=True)
    out = capsys.readouterr().out
    assert "14:30" in out
    assert "Calderon Bank halts" in out
    assert "topic:t0" in out
    assert "\x1b" not in out


def test_the_status_line_tells_the_simulated_time_and_the_open_alerts() -> None:
    line = status_line(figures(), scene(clock_ms=10_800_000))
    assert line.startswith("16:30")
    assert "in 1  scored 1  dead 1  lag 3" in line
    assert line.endswith("open alerts: company:C0")
