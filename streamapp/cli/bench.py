"""`streamapp bench`: what the service does on this machine, measured on the real parts."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import typer
from kafka.errors import KafkaError
from rich.text import Text

from streamapp.console import EXIT_USAGE, JsonFile, errors, speaker, stop, write_json
from streamapp.starter import STARTER_MODEL

EXIT_FAILED: Final = 1

app = typer.Typer(help="Measure this machine: posts a second, latency, CPU, memory.", no_args_is_help=True)

Broker = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST:PORT", help="Kafka to use instead of a local one that we start."),
]
Bundle = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Your own model instead of the starter model.")
]


class _Report(Protocol):
    def lines(self) -> list[str]: ...


@app.command()
def pipeline(
    bundle: Bundle = None,
    broker: Broker = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every side.")] = 5,
    posts: Annotated[int, typer.Option(min=40, help="Posts a round and side.")] = 2_000,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long latency is taken at half load.")] = 20.0,
    transformers_python: Annotated[
        str, typer.Option(metavar="PROGRAM", help="A Python that has torch and transformers.")
    ] = sys.executable,
    json_file: JsonFile = None,
) -> None:
    """Broker to broker with a real model, beside the bare model and transformers.pipeline in the same run."""
    from streamapp.bench.pipeline import Pipeline, PipelineSizes  # noqa: PLC0415  # other commands start quickly
    from streamapp.bench.transformers_side import TransformersSide  # noqa: PLC0415

    folder = (bundle or STARTER_MODEL).absolute()
    if not folder.is_dir():
        raise stop(f"no model in {folder}: name one with --bundle", EXIT_USAGE)
    sizes = PipelineSizes(rounds=rounds, posts=posts, latency_seconds=seconds)
    beside = TransformersSide(transformers_python, folder, sizes.transformers_posts)
    _run(
        broker,
        json_file,
        lambda house, say: Pipeline(house, folder, sizes, beside, say).run(_command()),
    )


@app.command()
def transport(
    broker: Broker = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every side.")] = 3,
    posts: Annotated[int, typer.Option(min=1_000, help="Posts a round and side.")] = 60_000,
    memory_posts: Annotated[
        int, typer.Option(min=0, help="Posts over which memory is watched; 0: not at all.")
    ] = 1_000_000,
    json_file: JsonFile = None,
) -> None:
    """The worker with a model that costs nothing, beside plain aiokafka in the same run."""
    from streamapp.bench.transport import Transport, TransportSizes  # noqa: PLC0415

    sizes = TransportSizes(rounds=rounds, posts=posts, memory_posts=memory_posts)
    _run(broker, json_file, lambda house, say: Transport(house, sizes, say).run(_command()))


@app.command()
def watch(
    broker: Broker = None,
    subjects: Annotated[int, typer.Option(min=1, help="Subjects of the wide case.")] = 100_000,
    activities: Annotated[int, typer.Option(min=100, help="Activities of each case.")] = 400_000,
    json_file: JsonFile = None,
) -> None:
    """Trends of many subjects, and of one that takes every post: activities a second, state, recovery."""
    from streamapp.bench.watch import WatchBench, WatchSizes  # noqa: PLC0415

    sizes = WatchSizes(subjects=subjects, activities=activities)
    _run(broker, json_file, lambda house, say: WatchBench(house, sizes, say).run(_command()))


@app.command()
def swap(
    bundle: Bundle = None,
    broker: Broker = None,
    swaps: Annotated[int, typer.Option(min=1, help="How often models are exchanged.")] = 100,
    rate: Annotated[
        float, typer.Option(min=0.0, help="Posts a second; 0: three tenths of what the worker can do.")
    ] = 0.0,
    recent: Annotated[int, typer.Option(min=0, help="Posts kept in memory that a shadow run reads.")] = 100,
    live: Annotated[int, typer.Option(min=0, help="Live posts that it reads.")] = 200,
    pause: Annotated[
        float, typer.Option(min=0.0, help="Seconds between swaps: long ones tell what memory does without.")
    ] = 3.0,
    json_file: JsonFile = None,
) -> None:
    """Exchange models under steady load: lost and unversioned posts, p99 around the swaps, memory."""
    from streamapp.bench.swap import SwapBench, SwapSizes  # noqa: PLC0415

    folder = (bundle or STARTER_MODEL).absolute()
    if not folder.is_dir():
        raise stop(f"no model in {folder}: name one with --bundle", EXIT_USAGE)
    sizes = SwapSizes(swaps=swaps, rate=rate, pause_seconds=pause, recent_posts=recent, live_posts=live)
    _run(broker, json_file, lambda house, say: SwapBench(house, folder, sizes, say).run(_command()))


def _run(broker: str | None, json_file: str | None, measure: Callable[[Any, Any], _Report]) -> None:
    from streamapp.bench.house import BenchError, BenchHouse  # noqa: PLC0415
    from streamapp.local.broker import BrokerError  # noqa: PLC0415
    from streamapp.local.signals import StoppedBySignalError, stopped_by_signal  # noqa: PLC0415

    out = speaker(json_file)

    def say(line: str) -> None:
        out.print(Text(line, style="dim"))

    try:
        with stopped_by_signal(), BenchHouse(broker, say) as house:
            report = measure(house, say)
    except StoppedBySignalError as signal:
        raise typer.Exit(signal.exit_code) from signal
    except (BenchError, BrokerError, KafkaError, OSError, ValueError, RuntimeError) as error:
        errors.print(Text(f"The benchmark failed: {type(error).__name__}: {error}", style="red"))
        raise typer.Exit(EXIT_FAILED) from error
    for line in report.lines():
        out.print(Text(line))
    write_json(report, json_file)


def _command() -> str:
    """The command line that gives these figures again."""
    return shlex.join(["streamapp", *sys.argv[1:]])
