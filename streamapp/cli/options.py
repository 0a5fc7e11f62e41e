"""What commands have in common: --config, --broker, --json, times as arguments, exit codes."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from kafka.errors import KafkaError
from rich.console import Console

from streamapp.cluster.kafka_clients import StalledReadError
from streamapp.core.payload_time import parse_time
from streamapp.settings import Settings, SettingsError, load_settings

EXIT_USAGE: Final = 2
EXIT_BROKER: Final = 3

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML); else STREAMAPP_CONFIG names it."),
]
BrokerOption = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST:PORT", help="Kafka to use instead of the settings' one."),
]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON to FILE, or - for stdout."),
]

console = Console(soft_wrap=True, highlight=False, markup=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

_DURATION = re.compile(r"(\d{1,9})([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def settings_from(config: Path | None, broker: str | None) -> Settings:
    """The settings of this call; a bad one ends the command with its name and exit code 2."""
    try:
        settings = load_settings(config)
    except SettingsError as error:
        raise stop(str(error), EXIT_USAGE) from error
    if broker is None:
        return settings
    access = msgspec.structs.replace(settings.broker, bootstrap=broker)
    return msgspec.structs.replace(settings, broker=access)


@contextlib.contextmanager
def broker_errors(settings: Settings) -> Iterator[None]:
    """Turns what Kafka clients raise inside into one line and exit code 3."""
    try:
        yield
    except (KafkaError, StalledReadError, OSError) as error:
        name = type(error).__name__
        raise stop(f"Kafka at {settings.broker.bootstrap}: {name}: {error}", EXIT_BROKER) from error


def stop(message: str, code: int) -> typer.Exit:
    """Prints `message` to stderr; raise what it returns."""
    errors.print(message, style="red")
    return typer.Exit(code)


def speaker(json_file: str | None) -> Console:
    """Where words for people go: not to stdout while that carries JSON."""
    return errors if json_file == "-" else console


def write_json(result: Any, json_file: str | None) -> None:
    """Writes `result` where --json says, if it does."""
    if json_file is None:
        return
    content = msgspec.json.format(msgspec.json.encode(result)) + b"\n"
    if json_file == "-":
        sys.stdout.write(content.decode())
    else:
        Path(json_file).write_bytes(content)


def parse_moment(text: str, now_ms: int) -> int:
    """A time from the command line in epoch ms: a duration back from now (`90s`, `15m`, `2h`, `3d`) or RFC
    3339.
    """
    duration = _DURATION.fullmatch(text.strip())
    if duration:
        return now_ms - int(duration[1]) * _UNIT_MS[duration[2]]
    moment = parse_time(text, "auto")
    if moment is None:
        raise typer.BadParameter(
            f"{text!r} is neither a time (2026-09-21T12:00:00Z) nor a duration (15m, 2h, 3d)"
        )
    return moment
