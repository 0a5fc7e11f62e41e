"""`retrain labels export|erase|audit`: what the store holds, taken out, taken away, and who did what.

`streamapp labels` is the other side: it sends labels to Kafka and knows no store.
"""

import getpass
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from retrain.cli.options import EXIT_NOTHING, EXIT_STORE, ConfigFile, open_store, settings_from
from retrain.label_store import ERASER, Erased
from retrain.run_book import RunBookError
from retrain.snapshots import SnapshotsErased, erase_from_snapshots
from streamapp.console import EXIT_USAGE, JsonFile, speaker, stop, write_json
from streamapp.contracts.messages import LabelOrigin
from streamapp.core.foreign_text import printable
from streamapp.core.payload_time import parse_time

app = typer.Typer(help="The stored labels: export them, erase some, see who did what.", no_args_is_help=True)


@app.command()
def export(
    target: Annotated[
        str, typer.Argument(metavar="FILE", help="Where to, as JSON lines; - for stdout.")
    ] = "-",
    history: Annotated[bool, typer.Option("--history", help="Every label ever, not what holds now.")] = False,
    origin: Annotated[
        LabelOrigin | None, typer.Option(help="Only what a person, an import or a rule said last.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Write what holds for every labelled post, one JSON object a line, by post id.

    Exit code 0, also where there is no label; 2: wrong use; 5: the store cannot be read.
    """
    with open_store(settings_from(config)) as store:
        lines = store.history() if history else store.current()
    chosen = [msgspec.json.encode(line).decode() for line in lines if origin is None or line.origin == origin]
    content = "".join(line + "\n" for line in chosen)
    if target == "-":
        sys.stdout.write(content)
        return
    try:
        Path(target).write_text(content, encoding="utf-8")
    except OSError as error:
        raise stop(f"{target}: {error.strerror}", EXIT_USAGE) from error
    speaker(None).print(f"{len(chosen)} labels to {target}")


@app.command()
def erase(
    post: Annotated[
        str | None, typer.Option(help="The id of a post: its text and every label of it.")
    ] = None,
    author: Annotated[str | None, typer.Option(help="The name of an author: every label by them.")] = None,
    actor: Annotated[str | None, typer.Option("--as", help="Who asks for it; else your login name.")] = None,
    config: ConfigFile = None,
    json_file: JsonFile = None,
) -> None:
    """Take a post or an author out of the store for good; what Kafka still holds of it is refused on re-reading.

    Exit code 0: erased; 2: wrong use; 4: there was nothing (it is refused from now on all the same); 5: the store
    or the disk failed, and the same command goes on. Snapshots of past runs lose their lines too, a run under way when
    it ends. Exports, published bundles and Kafka's own records (`labels` 7 days, `dead-letters` 30) are not touched.
    """
    if (post is None) == (author is None):
        raise stop("say what: --post ID or --author NAME", EXIT_USAGE)
    by = actor or _login()
    settings = settings_from(config)
    runs = Path(settings.run.folder)
    with open_store(settings) as store:
        # Snapshots first, since of an author nobody could tell afterwards which lines they were; and once more, since a
        # run may have begun meanwhile.
        gone = store.posts_of(author) if author is not None else frozenset({post or ""})
        snapshots = _erase_from(runs, gone)
        erased: Erased = (
            store.erase_author(author, by) if author is not None else store.erase_post(post or "", by)
        )
        snapshots = snapshots.and_then(_erase_from(runs, gone))
    out = speaker(json_file)
    out.print(f"erased {erased.labels} labels and {erased.posts} posts")
    out.print(f"and {snapshots.snapshot_lines} lines of the snapshots of {snapshots.runs} runs in {runs}")
    for run_id in snapshots.waiting:
        out.print(f"run {run_id} is under way and does so when it ends")
    if not erased.wiped:
        out.print("a reader still holds old pages of the file: run this again when it has ended")
    write_json({**msgspec.structs.asdict(erased), **msgspec.structs.asdict(snapshots)}, json_file)
    if not erased.labels and not erased.posts and not snapshots.snapshot_lines:
        raise typer.Exit(EXIT_NOTHING)


@app.command()
def audit(
    author: Annotated[str | None, typer.Option(help="Only what this person did, by their name.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on (2026-09-21T12:00:00Z).")] = None,
    config: ConfigFile = None,
    json_file: JsonFile = None,
) -> None:
    """Who labelled, announced, rolled back, pinned or erased, oldest first; people as hashes of their names."""
    since_ms = 0 if since is None else parse_time(since, "auto")
    if since_ms is None:
        raise stop(f"--since {since!r} is no time (2026-09-21T12:00:00Z)", EXIT_USAGE)
    with open_store(settings_from(config)) as store:
        found = store.audit(author, since_ms)
    table = Table("time", "who", "did", "what")
    for each in found:
        at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(each.at_ms / 1000))
        table.add_row(at, printable(each.actor), printable(each.action), printable(each.detail))
    speaker(json_file).print(table)
    write_json(found, json_file)


def _erase_from(runs: Path, post_ids: frozenset[str]) -> SnapshotsErased:
    try:
        return erase_from_snapshots(runs, post_ids)
    except RunBookError as error:
        raise stop(f"snapshots of runs, run this again: {error}", EXIT_STORE) from error


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ERASER
