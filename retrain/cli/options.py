"""What commands of `retrain` have in common: --config, --json, exit codes, errors as one line."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from kafka.errors import KafkaError
from rich.console import Console

from retrain.author_key import KeyFileError
from retrain.label_store import LabelStore, LabelStoreError
from retrain.settings import RetrainSettings, load_retrain_settings
from streamapp.settings import SettingsError

EXIT_USAGE: Final = 2
EXIT_BROKER: Final = 3
EXIT_NOTHING: Final = 4
EXIT_STORE: Final = 5

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML); else RETRAIN_CONFIG names it."),
]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON to FILE, or - for stdout."),
]

console = Console(soft_wrap=True, highlight=False, markup=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def settings_from(config: Path | None) -> RetrainSettings:
    """The settings of this call; a bad one ends the command with its name and exit code 2."""
    try:
        return load_retrain_settings(config)
    except SettingsError as error:
        raise stop(str(error), EXIT_USAGE) from error


@contextlib.contextmanager
def open_store(settings: RetrainSettings) -> Iterator[LabelStore]:
    """The label store of the settings, which must exist; what it raises becomes one line and exit code 5."""
    path = Path(settings.store.path)
    if not path.is_file():
        raise stop(f"no label store {path}: `retrain serve` makes it (setting store.path)", EXIT_STORE)
    try:
        with LabelStore(path, settings.store.unlabelled_days) as store:
            yield store
    except (LabelStoreError, KeyFileError) as error:
        raise stop(str(error), EXIT_STORE) from error


@contextlib.contextmanager
def broker_errors(settings: RetrainSettings) -> Iterator[None]:
    """Turns what Kafka clients raise inside into one line and exit code 3."""
    try:
        yield
    except KafkaError as error:
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
