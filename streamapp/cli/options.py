"""What commands have in common: --config, --broker, Kafka's errors as one line, times as arguments."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from kafka.errors import KafkaError

from streamapp.cluster.kafka_clients import StalledReadError
from streamapp.console import EXIT_BROKER, EXIT_USAGE, stop
from streamapp.core.payload_time import parse_time
from streamapp.settings import Settings, SettingsError, load_settings

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML); else STREAMAPP_CONFIG names it."),
]
BrokerOption = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST:PORT", help="Kafka to use instead of the settings' one."),
]


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
    except SettingsError as error:
        raise stop(str(error), EXIT_USAGE) from error
    except (KafkaError, StalledReadError, OSError) as error:
        name = type(error).__name__
        raise stop(f"Kafka at {settings.broker.bootstrap}: {name}: {error}", EXIT_BROKER) from error


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
