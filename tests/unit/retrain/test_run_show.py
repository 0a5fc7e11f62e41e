"""A run on a terminal, in a log, and as metrics."""

import io
import logging

import msgspec
import pytest
from rich.console import Console

from retrain import metrics, run_show
from retrain.core.trigger import Trigger
from retrain.run_book import RunRecord
from retrain.run_files import Progress
from retrain.run_show import RunShow
from retrain.runs import ChildSample
from streamapp.health import Vitals

RUN = RunRecord(
    run_id="r1",
    stage="training",
    trigger=Trigger(kind="labels", reason="200 new labels"),
    began_at_ms=1,
    stage_at_ms=1,
)
SAMPLE = ChildSample(seconds=3.0, memory_bytes=50_000_000)
ENDED = msgspec.structs.replace(
    RUN, stage="ended", result="refused", detail="recall_fell: \x1b[31mred\x1b[0m"
)


def test_a_log_gets_one_line_a_step_and_not_one_a_look(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(run_show.log, "disabled", False)  # some libraries' set-up disables loggers that exist
    show = RunShow(Vitals(60))
    show.stage(RUN)
    for fraction in (0.1, 0.2, 0.3):
        show.look(RUN, SAMPLE, Progress(stage="train", fraction=fraction, detail="epoch 1"))
    show.look(RUN, SAMPLE, Progress(stage="judge", fraction=0.0))
    show.stage(ENDED)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert lines[0] == "run r1: training (labels: 200 new labels)"
    assert lines[1] == "run r1: train epoch 1, 10% after 3 s, 47 MiB"
    assert lines[3].startswith("run r1 ended: refused: recall_fell")
    assert "\x1b" not in lines[3]


def test_a_terminal_gets_a_bar_and_the_end_in_words() -> None:
    out = io.StringIO()
    show = RunShow(Vitals(60), Console(file=out, force_terminal=True, width=100))
    show.stage(RUN)
    show.look(RUN, SAMPLE, Progress(stage="train", fraction=0.5, detail="[bold]epoch[/bold]"))
    show.stage(ENDED)
    show.close()
    said = out.getvalue()
    assert "run r1: training" in said
    assert "[bold]epoch[/bold]" in said
    assert "ended: refused" in said
    assert "\x1b[31mred" not in said


def test_metrics_follow_the_run() -> None:
    show = RunShow(Vitals(60))
    before = metrics.RUNS.labels("refused")._value.get()
    show.stage(RUN)
    assert metrics.RUN_STAGE.labels("training")._value.get() == 1
    show.look(RUN, SAMPLE, Progress(stage="train", fraction=0.5))
    assert metrics.RUN_PROGRESS._value.get() == 0.5
    assert metrics.RUN_MEMORY_BYTES._value.get() == 50_000_000
    show.stage(ENDED)
    assert metrics.RUN_STAGE.labels("training")._value.get() == 0
    assert metrics.RUNS.labels("refused")._value.get() == before + 1


def test_a_part_that_fails_is_named_where_readiness_is_asked() -> None:
    vitals = Vitals(60)
    show = RunShow(vitals)
    show.trouble("model store", "StoreError: 503")
    assert vitals.not_ready["model store"] == "StoreError: 503"
    assert metrics.PART_FAILING.labels("model store")._value.get() == 1
    show.trouble("model store", None)
    assert "model store" not in vitals.not_ready
