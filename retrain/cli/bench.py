"""`retrain bench`: what labels are worth, measured on labelled sets that you bring."""

import importlib.util
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from retrain.cli.options import ConfigFile, settings_from
from retrain.whole_file import write_whole
from streamapp.console import EXIT_USAGE, JsonFile, speaker, stop, write_json

app = typer.Typer(help="Measure how training fares on labelled sets.", no_args_is_help=True)

PLOT_FILE: Final = "adaptation.png"


@app.callback()
def bench() -> None:
    """Measure how training fares on labelled sets."""


@app.command()
def adaptation(
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the labelled sets are, NAME.jsonl.")],
    work: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Finished cells are kept here; the same again goes on.")
    ],
    channels: Annotated[
        str, typer.Option(metavar="SETS", help="Sets of a channel that the model has not seen.")
    ] = "fintweets_2021,stocktwits_2020",
    old: Annotated[
        str,
        typer.Option(metavar="SETS", help="Sets that it knows: `test` judges, `train` is rehearsed."),
    ] = "twitter_financial_sentiment,sentfin,twitter_financial_topic",
    labels: Annotated[str, typer.Option(metavar="NUMBERS", help="How many labels.")] = "100,300,1000",
    seeds: Annotated[str, typer.Option(metavar="NUMBERS", help="A model each.")] = "1,2,3",
    choices: Annotated[
        str, typer.Option(metavar="WAYS", help="How labelled posts are found: chance, queue.")
    ] = "chance,queue",
    processes: Annotated[int, typer.Option(min=1, help="Cells at a time, one thread each.")] = 2,
    starter: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Begin with this bundle instead of the starter model."),
    ] = None,
    config: ConfigFile = None,
    json_file: JsonFile = None,
) -> None:
    """How much 0, 100, 300 and 1,000 labels of a new channel bring there and cost elsewhere, and what the queue saves.

    Trains as every run does, by the settings' `training`; a set that the starter model was trained on gets a
    starter made without it. Exit codes: 0 measured, whatever came of it; 2 options or sets.
    """
    _needs_training()
    from retrain.bench.adaptation import ExperimentError, run_experiment  # noqa: PLC0415  # slow to load
    from retrain.bench.labelled_sets import LabelledSetError  # noqa: PLC0415
    from retrain.bench.plans import ChannelError, Experiment  # noqa: PLC0415
    from streamapp.contracts.bundle import BundleError  # noqa: PLC0415

    experiment = Experiment(
        data=data,
        work=work,
        channels=_names(channels),
        old=_names(old),
        labels=_numbers("--labels", labels),
        seeds=_numbers("--seeds", seeds),
        choices=_choices(choices),
        training=settings_from(config).training,
        starter=starter,
        processes=processes,
    )
    screen = speaker(json_file)
    try:
        results = run_experiment(experiment, screen.print)
    except (ExperimentError, LabelledSetError, ChannelError, BundleError) as error:
        raise stop(str(error), EXIT_USAGE) from error
    _show(results, experiment.channels, work, json_file)


def _show(results: list[Any], channels: tuple[str, ...], work: Path, json_file: str | None) -> None:
    from retrain.bench.adaptation_report import (  # noqa: PLC0415  # matplotlib is of the extra [retrain]
        channel_report,
        curves_png,
        sentences,
        tables,
    )

    reports = [channel_report(results, channel) for channel in channels]
    screen = speaker(json_file)
    for report in reports:
        for table in tables(report):
            screen.print(table)
        for sentence in sentences(report):
            screen.print(sentence)
    write_whole(work / PLOT_FILE, curves_png(reports))
    screen.print(f"curves: {work / PLOT_FILE}")
    summary = [
        {"channel": report.channel, "gain": report.gain, "losses": report.losses, "curves": report.curves}
        | {"savings": report.savings}
        for report in reports
    ]
    write_json({"channels": summary, "cells": results}, json_file)


def _needs_training() -> None:
    absent = [name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None]
    if absent:
        raise stop(f"{', '.join(absent)} absent: install the extra [retrain]", EXIT_USAGE)


def _names(listed: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


def _numbers(option: str, listed: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(number) for number in _names(listed)}))
    except ValueError as error:
        raise stop(f"{option}: {listed!r} is no list of whole numbers", EXIT_USAGE) from error


def _choices(listed: str) -> tuple[Any, ...]:
    found = _names(listed)
    if not found or not set(found) <= {"chance", "queue"}:
        raise stop(f"--choices: {listed!r}, expected chance, queue or both", EXIT_USAGE)
    return found
