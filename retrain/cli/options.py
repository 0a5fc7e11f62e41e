"""What commands of `retrain` have in common: --config, the store, exit codes of its own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from retrain.author_key import KeyFileError
from retrain.label_store import LabelStore, LabelStoreError
from retrain.settings import RetrainSettings, load_retrain_settings
from streamapp.console import EXIT_USAGE, stop
from streamapp.settings import SettingsError

EXIT_NOTHING: Final = 4
EXIT_STORE: Final = 5

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML); else RETRAIN_CONFIG names it."),
]


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
