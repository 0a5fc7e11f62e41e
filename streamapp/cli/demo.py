"""`streamapp demo`: a simulated trading day on a real Kafka, watched live, judged at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from kafka.errors import KafkaError
from rich.console import Console
from rich.text import Text

from streamapp.console import JsonFile, errors, speaker, write_json

if TYPE_CHECKING:
    from streamapp.local.alert_card import NameOf
    from streamapp.local.demo import DemoRun
    from streamapp.local.demo_house import DemoHouse, DemoOptions
    from streamapp.local.demo_report import DemoReport
    from streamapp.local.demo_show import Show

EXIT_FAILED = 1


def demo(
    stay: Annotated[bool, typer.Option("--stay", help="Keep broker and worker up until Ctrl-C.")] = False,
    json_file: JsonFile = None,
    broker: Annotated[
        str | None,
        typer.Option(
            "--broker", metavar="HOST:PORT", help="Kafka to use instead of a local one that we start."
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="How long the simulated day lasts.", min=20.0, max=23_400.0)
    ] = 75.0,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Your own model instead of the starter model.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines, also on a terminal.")] = False,
) -> None:
    """Watch a simulated trading day: posts scored on a real Kafka, two subjects turning bad, two alerts.

    Exit code 0 when exactly the two subjects of the story alerted and every post is accounted for, else 1.
    """
    from streamapp.local.demo_house import DemoOptions  # noqa: PLC0415  # keeps the other commands quick to start

    options = DemoOptions(
        stream_seconds=seconds,
        bootstrap=broker,
        bundle=bundle.absolute() if bundle else None,
        stay=stay,
    )
    console = speaker(json_file)
    raise typer.Exit(_run(options, _show(console, plain), console, json_file))


def _show(console: Console, plain: bool) -> Show:
    from streamapp.local.demo_show import LiveShow, PlainShow  # noqa: PLC0415
    from streamapp.local.demo_view import MIN_HEIGHT, MIN_WIDTH  # noqa: PLC0415

    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainShow(console)
    size = console.size
    if size.width < MIN_WIDTH or size.height <= MIN_HEIGHT:
        console.print(
            f"Plain lines: the live view needs a terminal of {MIN_WIDTH} x {MIN_HEIGHT + 1}, this has"
            f" {size.width} x {size.height}."
        )
        return PlainShow(console)
    return LiveShow(console)


def _run(options: DemoOptions, show: Show, console: Console, json_file: str | None) -> int:
    from streamapp.local.demo import DemoRun  # noqa: PLC0415
    from streamapp.local.demo_house import DemoHouse, new_prefix  # noqa: PLC0415
    from streamapp.local.demo_plan import demo_settings, plan_demo  # noqa: PLC0415
    from streamapp.local.signals import StoppedBySignalError, stopped_by_signal  # noqa: PLC0415

    with stopped_by_signal():
        house = None
        in_haste = True
        try:
            plan = plan_demo(options.stream_seconds, new_prefix())
            house = DemoHouse(
                plan.prefix,
                options.bootstrap,
                lambda files, bootstrap: demo_settings(plan, files, bootstrap, 0, options.bundle),
                show.say,
            )
            code = _watch(DemoRun(plan, options, house, show), house, options, console, json_file)
            in_haste = False
        except StoppedBySignalError as signal:
            code = signal.exit_code
        finally:
            _clean_up(house, show, in_haste)
    return code


def _watch(
    run: DemoRun, house: DemoHouse, options: DemoOptions, console: Console, json_file: str | None
) -> int:
    from streamapp.contracts.dead_letter import DeadLetterError  # noqa: PLC0415
    from streamapp.local.broker import BrokerError  # noqa: PLC0415
    from streamapp.local.demo import DemoError  # noqa: PLC0415
    from streamapp.local.demo import stay as stay_up  # noqa: PLC0415
    from streamapp.local.signals import StoppedBySignalError  # noqa: PLC0415

    try:
        report = run.run()
        if not options.stay:
            code = house.stop_worker()
            if code != 0:
                raise DemoError(f"the worker did not end cleanly: exit code {code}")  # noqa: TRY301
        _print_report(report, run.name_of, console)
        write_json(report, json_file)
        house.keep_folder = not report.succeeded
        _print_next(house, options, console)
        if options.stay:
            with contextlib.suppress(StoppedBySignalError):  # that is how it is meant to end
                stay_up(house)
    except (DemoError, BrokerError, KafkaError, DeadLetterError, OSError, ValueError) as error:
        run.show.close()
        errors.print(Text(f"The demo failed: {error}", style="red"))
        house.keep_folder = True
        return EXIT_FAILED
    return 0 if report.succeeded else EXIT_FAILED


def _clean_up(house: DemoHouse | None, show: Show, in_haste: bool) -> None:
    from streamapp.local.signals import ignore_signals  # noqa: PLC0415

    ignore_signals()
    try:
        show.close()
    except OSError:  # the terminal is gone; what runs must still end
        in_haste = True
    if house is None:
        return
    house.close(in_haste)
    if house.keep_folder:
        errors.print(Text(f"Logs and settings of this run are kept in {house.files.folder}"))


def _print_report(report: DemoReport, name_of: NameOf, console: Console) -> None:
    from streamapp.local.demo_report import report_lines  # noqa: PLC0415

    console.print(Text("\nSummary", style="bold"))
    for line in report_lines(report, name_of):
        console.print(line)


def _print_next(house: DemoHouse, options: DemoOptions, console: Console) -> None:
    from streamapp.local.demo_report import next_steps  # noqa: PLC0415

    config = house.files.config if options.stay else None
    address = house.pages.address if options.stay else ""
    console.print(Text("\nWhat to try next", style="bold"))
    for command, why in next_steps(_own_name(), config, address):
        console.print(Text(f"  {command}").append(f"   {why}", style="dim"))
    if options.stay:
        console.print(
            Text("\nBroker and worker stay up. Ctrl-C ends them and removes their data.", style="bold")
        )


def _own_name() -> str:
    """How this program was called, so that the commands we print work when copied."""
    called = Path(sys.argv[0])
    if called.name != "streamapp":
        return f"{sys.executable} -m streamapp"
    if shutil.which("streamapp") is not None:
        return "streamapp"
    return os.path.relpath(called)
