"""`streamapp broker start|stop|status`: a local Apache Kafka that stays up until it is stopped."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import platformdirs
import typer
from rich.console import Console

from streamapp.local.broker import BrokerError, BrokerSettings, LocalBroker, attach

EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3

app = typer.Typer(
    help="A real Apache Kafka on this machine, without Docker or a system Java.", no_args_is_help=True
)
console = Console(soft_wrap=True, highlight=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False)

DataDir = Annotated[
    Path | None, typer.Option(help="Where it keeps its data and logs.", show_default="the user's data folder")
]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON to FILE, or - for stdout."),
]


def default_data_dir() -> Path:
    """The data folder that the commands use when none is given."""
    return Path(platformdirs.user_data_dir("streamapp", appauthor=False)) / "broker"


@app.command()
def start(
    data_dir: DataDir = None,
    port: Annotated[
        int | None, typer.Option(help="Loopback port.", show_default="a free one", min=1, max=65535)
    ] = None,
    heap_mb: Annotated[int, typer.Option(help="Java heap in MB.", min=128)] = 512,
    json_file: JsonFile = None,
) -> None:
    """Start it and return once it answers. One that runs already in the folder is left as it is."""
    folder = data_dir or default_data_dir()
    try:
        broker = attach(folder)
        if broker is None:
            settings = BrokerSettings(data_dir=folder, heap_mb=heap_mb, port=port)
            broker = LocalBroker.start(settings, progress=_say_on(json_file))
        else:
            _say_on(json_file)("It runs already")
    except BrokerError as error:
        raise _failed(error) from error
    _report(broker, folder, json_file)


@app.command()
def stop(data_dir: DataDir = None) -> None:
    """Stop it cleanly; its data and logs stay."""
    folder = data_dir or default_data_dir()
    try:
        broker = attach(folder)
        if broker is not None:
            broker.stop()
    except BrokerError as error:
        raise _failed(error) from error
    console.print(
        f"No broker runs in {folder}" if broker is None else f"Stopped the broker at {broker.bootstrap}"
    )


@app.command()
def status(data_dir: DataDir = None, json_file: JsonFile = None) -> None:
    """Say where it is. Exit code 0 when it runs, 3 when it does not."""
    folder = data_dir or default_data_dir()
    try:
        broker = attach(folder)
    except BrokerError as error:
        raise _failed(error) from error
    _report(broker, folder, json_file)
    if broker is None:
        raise typer.Exit(EXIT_NOT_RUNNING)


def _report(broker: LocalBroker | None, folder: Path, json_file: str | None) -> None:
    facts = _facts(broker, folder)
    if json_file != "-":
        _print_facts(facts)
    if json_file is not None:
        _write_json(facts, json_file)


def _facts(broker: LocalBroker | None, folder: Path) -> dict[str, Any]:
    if broker is None:
        return {"running": False, "data_dir": str(folder)}
    return {
        "running": True,
        "answering": broker.is_answering(),
        "bootstrap": broker.bootstrap,
        "pid": broker.pid,
        "started_at": datetime.datetime.fromtimestamp(broker.started_at, datetime.UTC).isoformat(
            timespec="seconds"
        ),
        "resident_bytes": broker.resident_bytes,
        "data_dir": str(broker.data_dir),
        "log_file": str(broker.log_file),
    }


def _print_facts(facts: dict[str, Any]) -> None:
    if not facts["running"]:
        console.print(f"No broker runs in {facts['data_dir']}", markup=False)
        return
    answer = "answers" if facts["answering"] else "does not answer"
    rows = {
        "address": f"{facts['bootstrap']} ({answer})",
        "process": f"{facts['pid']}, {facts['resident_bytes'] / 1e6:.0f} MB, since {facts['started_at']}",
        "data": facts["data_dir"],
        "log": facts["log_file"],
    }
    for name, value in rows.items():
        console.print(f"{name:8} {value}", markup=False)


def _write_json(facts: dict[str, Any], json_file: str) -> None:
    content = msgspec.json.format(msgspec.json.encode(facts)) + b"\n"
    if json_file == "-":
        sys.stdout.write(content.decode())
    else:
        Path(json_file).write_bytes(content)


def _say_on(json_file: str | None) -> Any:
    """Progress lines go to stderr when stdout carries JSON."""
    target = errors if json_file == "-" else console
    return lambda line: target.print(line, markup=False)


def _failed(error: BrokerError) -> typer.Exit:
    errors.print(str(error), markup=False, style="red")
    return typer.Exit(EXIT_FAILED)
