"""A process that must not go on ends, with a code that says why. Each runs in a process of its own."""

import subprocess
import sys

from streamapp.agents.guard import EXIT_CLOCK_JUMPED, EXIT_SHUTDOWN_TOO_LONG

SURVIVED = 3


def exit_code(*lines: str) -> int:
    script = "\n".join(
        (
            "import sys, threading",
            "from streamapp.agents.guard import Guard",
            *lines,
            f"sys.exit({SURVIVED})",
        )
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    return ended.returncode


def test_a_gap_over_the_limit_ends_the_process() -> None:
    assert exit_code("guard = Guard(-1.0, 60.0)", "guard.start()", "guard.check()") == EXIT_CLOCK_JUMPED


def test_waking_up_does_not_hide_the_gap() -> None:
    assert exit_code("guard = Guard(-1.0, 60.0)", "guard.start()", "guard.tick()") == EXIT_CLOCK_JUMPED


def test_a_gap_within_the_limit_does_not() -> None:
    assert (
        exit_code("guard = Guard(3600.0, 60.0)", "guard.start()", "guard.tick()", "guard.check()") == SURVIVED
    )


def test_start_up_may_take_as_long_as_it_takes() -> None:
    assert exit_code("guard = Guard(-1.0, 60.0)", "guard.check()") == SURVIVED


def test_a_shutdown_over_its_budget_is_ended() -> None:
    lines = ("guard = Guard(60.0, 0.01)", "guard.shutdown_began()", "threading.Event().wait(30)")
    assert exit_code(*lines) == EXIT_SHUTDOWN_TOO_LONG


def test_a_shutdown_within_its_budget_ends_by_itself() -> None:
    assert exit_code("guard = Guard(60.0, 60.0)", "guard.shutdown_began()") == SURVIVED


def test_a_second_signal_does_not_begin_the_budget_anew() -> None:
    lines = (
        "guard = Guard(60.0, 60.0)",
        "guard.shutdown_began()",
        "guard.shutdown_began()",
        "assert threading.active_count() == 2",
    )
    assert exit_code(*lines) == SURVIVED
