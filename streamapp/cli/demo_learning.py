"""`streamapp demo-learning`: labels, a retrain, its gate, and the swap in a worker that serves, watched live."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from kafka.errors import KafkaError
from rich.console import Console
from rich.text import Text

from streamapp.cli.models import RETRAIN_PACKAGES
from streamapp.console import EXIT_USAGE, JsonFile, errors, speaker, stop, write_json

if TYPE_CHECKING:
    from streamapp.local.demo_house import DemoHouse
    from streamapp.local.demo_learning import LearningRun
    from streamapp.local.demo_learning_report import LearningReport
    from streamapp.local.demo_learning_show import LearningShow

EXIT_FAILED: Final = 1
REPORT_FOLDER: Final = Path("out/demo-learning")
PLAIN_WIDTH: Final = 130


def demo_learning(
    json_file: JsonFile = None,
    broker: Annotated[
        str | None,
        typer.Option(
            "--broker", metavar="HOST:PORT", help="Kafka to use instead of a local one that we start."
        ),
    ] = None,
    report: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where report, model card and pictures are kept.")
    ] = REPORT_FOLDER,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines, also on a terminal.")] = False,
) -> None:
    """Watch a model learn: labels arrive, a retrain is judged by the gate, the worker exchanges models while it serves.

    Needs the extra [retrain] (torch). Exit code 0 when the new model serves and every post is accounted for; 1
    otherwise, also where the gate refuses; 2: torch is not installed.
    """
    if find_spec("torch") is None or find_spec("peft") is None:
        raise stop(
            f"`demo-learning` trains with torch, which is not installed here. {RETRAIN_PACKAGES}", EXIT_USAGE
        )
    from streamapp.local.demo_learning_show import LearningShow  # noqa: PLC0415

    console = speaker(json_file)
    as_lines = plain or not console.is_terminal or console.is_dumb_terminal
    if as_lines:
        console = Console(file=console.file, width=PLAIN_WIDTH, highlight=False, markup=False)
    show = LearningShow(console, plain=as_lines)
    raise typer.Exit(_run(broker, report.absolute(), show, console, json_file))


def _run(broker: str | None, kept: Path, show: LearningShow, console: Console, json_file: str | None) -> int:
    from streamapp.local.demo_house import DemoHouse, new_prefix  # noqa: PLC0415
    from streamapp.local.demo_learning import LearningRun  # noqa: PLC0415
    from streamapp.local.demo_learning_plan import plan_learning, worker_settings  # noqa: PLC0415
    from streamapp.local.sample import load_sample  # noqa: PLC0415
    from streamapp.local.signals import StoppedBySignalError, stopped_by_signal  # noqa: PLC0415

    with stopped_by_signal():
        house, run = None, None
        in_haste = True
        try:
            plan = plan_learning(len(load_sample()), new_prefix())
            house = DemoHouse(
                plan.prefix,
                broker,
                lambda files, bootstrap: worker_settings(plan, files, bootstrap),
                show.say,
            )
            run = LearningRun(plan, house, show, kept)
            code = _watch(run, house, show, console, json_file)
            in_haste = False
        except StoppedBySignalError as signal:
            code = signal.exit_code
        finally:
            _clean_up(house, run, show, in_haste)
    return code


def _watch(
    run: LearningRun, house: DemoHouse, show: LearningShow, console: Console, json_file: str | None
) -> int:
    from streamapp.local.broker import BrokerError  # noqa: PLC0415
    from streamapp.local.demo_house import DemoError  # noqa: PLC0415

    try:
        report = run.run()
        code = house.stop_worker()
        if code != 0:
            raise DemoError(f"the worker did not end cleanly: exit code {code}")  # noqa: TRY301
        _print_report(report, run, console)
        write_json(report, json_file)
        house.keep_folder = not report.succeeded
        _print_next(console)
    except (DemoError, BrokerError, KafkaError, OSError, ValueError) as error:
        show.close()
        errors.print(Text(f"The demo failed: {error}", style="red"))
        house.keep_folder = True
        return EXIT_FAILED
    return 0 if report.succeeded else EXIT_FAILED


def _clean_up(house: DemoHouse | None, run: LearningRun | None, show: LearningShow, in_haste: bool) -> None:
    from streamapp.local.signals import ignore_signals  # noqa: PLC0415

    ignore_signals()
    try:
        show.close()
    except OSError:  # the terminal is gone; what runs must still end
        in_haste = True
    if run is not None:
        run.close()
    if house is None:
        return
    house.close(in_haste)
    if house.keep_folder:
        errors.print(Text(f"Logs and settings of this run are kept in {house.files.folder}"))


def _print_report(report: LearningReport, run: LearningRun, console: Console) -> None:
    from streamapp.local.demo_learning_report import class_table, gate_lines, report_lines  # noqa: PLC0415

    if report.gate is not None:
        console.print(Text("\nThe gate's report", style="bold"))
        for line in gate_lines(report.gate):
            console.print(line, soft_wrap=True)
        for judged in report.gate.measured.sets[-1:] if report.gate.measured else ():
            for head in judged.heads:
                console.print(class_table(judged, head))
    if run.kept_files:
        console.print(
            Text("\nIts files: report, model card, confusion matrices before and after", style="bold")
        )
    for path in run.kept_files:
        console.print(Text(f"  {path}"), soft_wrap=True)
    console.print(Text("\nSummary", style="bold"))
    for line in report_lines(report):
        console.print(line, soft_wrap=True)


def _print_next(console: Console) -> None:
    console.print(Text("\nWhat to try next", style="bold"))
    for command, why in (
        ("streamapp broker start", "a Kafka of your own; then topics create --dev, and worker"),
        ("streamapp labels review", "label the posts that your workers ask for, one key each"),
        ("streamapp labels import FILE", "bring labels in from a file, Label Studio or Argilla"),
        ("retrain serve", "retrain by schedule, by new labels or by falling quality"),
        ("streamapp models list", "which models served, and what each worker did with them"),
        ("streamapp models rollback", "the model before, in every worker within seconds"),
    ):
        console.print(Text(f"  {command}").append(f"   {why}", style="dim"))
