"""The demo shows the newest step that training told, whatever else its libraries print."""

from pathlib import Path

from streamapp.local.demo_learning_progress import TrainingProgress


def test_the_newest_step_is_shown_and_what_libraries_print_is_not(tmp_path: Path) -> None:
    progress = TrainingProgress(tmp_path)
    assert progress.newest() is None
    (tmp_path / "run-1").mkdir()
    log = tmp_path / "run-1" / "child.log"
    log.write_text('{"stage":"train","fraction":0.25,"detail":"step 1"}\nWARNING: slow\n{"stage":"tr')
    step = progress.newest()
    assert step is not None
    assert (step.words, step.fraction) == ("train step 1", 0.25)
    with log.open("a") as file:
        file.write('ain","fraction":0.5,"detail":"step 2"}\n')
    step = progress.newest()
    assert step is not None
    assert step.fraction == 0.5
