"""`retrain runs`: what became of every run, the newest last."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from retrain.cli.options import EXIT_STORE, ConfigFile, settings_from
from retrain.run_book import RunBook, RunBookError, RunRecord
from streamapp.console import JsonFile, speaker, stop, write_json
from streamapp.core.foreign_text import printable

Newest = Annotated[int, typer.Option("--newest", min=1, help="How many runs, counted from the newest.")]


def runs(config: ConfigFile = None, newest: Newest = 20, json_file: JsonFile = None) -> None:
    """Runs, why they began, how they ended and why. Files of a run are in a folder of its name in run.folder."""
    settings = settings_from(config)
    folder = Path(settings.run.folder)
    try:
        found = RunBook(folder).runs()[-newest:] if folder.is_dir() else []
    except RunBookError as error:
        raise stop(str(error), EXIT_STORE) from error
    write_json(found, json_file)
    if json_file is None:
        speaker(json_file).print(_table(found) if found else f"no run yet in {folder}")


def _table(found: list[RunRecord]) -> Table:
    table = Table("run", "began (UTC)", "by", "labels", "stage", "result", "why")
    for run in found:
        began = datetime.fromtimestamp(run.began_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        stage = "" if run.stage == "ended" else run.stage
        cells = (run.run_id, began, run.trigger.kind, str(run.labels), stage, run.result or "", run.detail)
        table.add_row(*(Text(printable(cell, keep="\n")) for cell in cells))
    return table
