"""On a terminal the figures redraw below the story; anywhere else they are a plain line every few seconds."""

import io

from rich.console import Console

from streamapp.local.demo_learning_figures import LearningFigures
from streamapp.local.demo_learning_progress import TrainingStep
from streamapp.local.demo_learning_show import LearningShow
from tests.unit.local.demo_records import INPUTS, PREFIX, dead, scored

STEP = TrainingStep(stage="train", fraction=0.5, detail="step 9")


def figures() -> LearningFigures:
    made = LearningFigures(PREFIX, INPUTS, {})
    made.apply(scored(0))
    made.apply(dead(1))
    return made


def shown(terminal: bool) -> str:
    out = io.StringIO()
    show = LearningShow(Console(file=out, width=120, force_terminal=terminal), plain=not terminal)
    show.say("the story")
    for _ in range(2):
        show.update(figures(), "training", STEP)
    show.close()
    return out.getvalue()


def test_plain_lines_hold_the_figures_once_and_no_control_characters() -> None:
    lines = shown(terminal=False).splitlines()
    assert lines == [
        "the story",
        "train step 9, 50%  |  verdicts: 1 by tiny-1  |  dead letters 1  |  labels 0",
    ]


def test_a_terminal_gets_a_bar_and_its_cursor_back() -> None:
    text = shown(terminal=True)
    assert "█" * 12 + "░" * 12 in text
    assert text.index("\x1b[?25l") < text.index("\x1b[?25h")
