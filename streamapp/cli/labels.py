"""`streamapp labels import|review`: what people say is right, to the topic `labels`.

Knows Kafka and no store: `retrain labels` is the other side.
"""

import getpass
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from streamapp.cli.options import BrokerOption, ConfigFile, broker_errors, settings_from
from streamapp.console import EXIT_USAGE, JsonFile, console, speaker, stop, write_json
from streamapp.contracts.bundle import BundleError
from streamapp.contracts.messages import Channel, DrawnBy
from streamapp.core.foreign_text import printable
from streamapp.core.label_file import LabelFileError, LabelFormat
from streamapp.core.label_rows import ImportRules
from streamapp.core.label_rules import LabelLimits
from streamapp.inference.label_classes import label_limits
from streamapp.local.label_import import Imported, PreparedLabels, prepare_labels, send_labels
from streamapp.local.label_queue import LabelQueue
from streamapp.local.label_review import ReviewOptions, review_queue
from streamapp.local.signals import StoppedBySignalError, stopped_by_signal
from streamapp.local.stream_reader import TopicMissingError
from streamapp.settings import Settings

EXIT_REFUSED: Final = 1
EXIT_NOTHING: Final = 4
SHOWN_REFUSALS: Final = 50

app = typer.Typer(help="Labels: import a file of them, or review the queue of posts.", no_args_is_help=True)


@app.command("import")
def import_labels(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, JSON, or an export of Label Studio or Argilla.")
    ],
    format_: Annotated[
        LabelFormat | None, typer.Option("--format", help="Where the content does not tell it.")
    ] = None,
    channel: Annotated[Channel | None, typer.Option(help="Of entries that do not say their own.")] = None,
    author: Annotated[
        str | None, typer.Option(help="Of entries that do not say theirs; else the file's name.")
    ] = None,
    spellings: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="OLD=NEW", help="Another name of a class (bullish=positive); may be repeated."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, send nothing.")] = False,
    config: ConfigFile = None,
    broker: BrokerOption = None,
    json_file: JsonFile = None,
) -> None:
    """Send the labels of a file. What cannot be used is refused with its line and reason, the rest goes in.

    Entries without a time are as old as the file, so the same file twice is the same labels. Exit code 0: all went
    in; 1: some were refused; 2: wrong use; 3: the broker failed, the same command may be repeated; 4: no label.
    """
    settings = settings_from(config, broker)
    try:
        content, age_ms = file.read_bytes(), file.stat().st_mtime_ns // 1_000_000
    except OSError as error:
        raise stop(f"{file}: {error.strerror}", EXIT_USAGE) from error
    rules = ImportRules(
        author=author or file.name,
        labelled_at_ms=age_ms,
        channel=channel,
        spellings=dict(map(_spelling, spellings or [])),
    )
    try:
        limits = _limits(settings)
        with broker_errors(settings):
            prepared = prepare_labels(settings, content, format_, rules, limits)
            if not dry_run:
                send_labels(settings, prepared.labels)
    except (LabelFileError, BundleError) as error:
        raise stop(f"{file}: {printable(str(error))}", EXIT_USAGE) from error
    _report(prepared, dry_run, json_file)


@app.command()
def review(
    author: Annotated[str | None, typer.Option(help="Whose labels these are; else your login name.")] = None,
    channel: Annotated[Channel | None, typer.Option(help="Only posts of this channel.")] = None,
    drawn: Annotated[DrawnBy | None, typer.Option(help="Only posts that were drawn this way.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Stop after so many posts.")] = 200,
    config: ConfigFile = None,
    broker: BrokerOption = None,
) -> None:
    """Label the queue of posts in the terminal, newest first, one key a label.

    Of posts that were drawn for auditing the model's verdict is not shown, so that it cannot lead anybody. Exit code
    0: done or left with q; 2: no terminal, or wrong use; 3: the broker failed; 4: the queue is empty.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise stop(
            "`labels review` needs a terminal; for a file there is `streamapp labels import`", EXIT_USAGE
        )
    settings = settings_from(config, broker)
    try:
        limits = _limits(settings)
        with broker_errors(settings), stopped_by_signal():
            queue = LabelQueue.read(settings, channel, drawn)
            if not queue.waiting:
                raise stop("No post waits for a label.", EXIT_NOTHING)
            done = review_queue(
                settings, console, queue, ReviewOptions(author or _login(), sorted(limits.topics), limit)
            )
    except (TopicMissingError, BundleError) as error:
        raise stop(str(error), EXIT_USAGE) from error
    except StoppedBySignalError as signal:
        raise typer.Exit(signal.exit_code) from signal
    speaker(None).print(f"{done.labels} labels of {done.posts} posts sent, {queue.left} posts wait.")


def _report(prepared: PreparedLabels, dry_run: bool, json_file: str | None) -> None:
    out = speaker(json_file)
    for refused in prepared.refused[:SHOWN_REFUSALS]:
        out.print(f"refused {printable(refused.where)}: {printable(refused.reason)}")
    if len(prepared.refused) > SHOWN_REFUSALS:
        out.print(f"... and {len(prepared.refused) - SHOWN_REFUSALS} more; --json FILE has all")
    verb = "would send" if dry_run else "sent"
    out.print(f"{prepared.format}: {verb} {len(prepared.labels)} labels, refused {len(prepared.refused)}")
    result = Imported(
        format=prepared.format, dry_run=dry_run, sent=len(prepared.labels), refused=tuple(prepared.refused)
    )
    write_json(result, json_file)
    if prepared.refused:
        raise typer.Exit(EXIT_REFUSED)
    if not prepared.labels:
        raise typer.Exit(EXIT_NOTHING)


def _limits(settings: Settings) -> LabelLimits:
    return label_limits(settings.model.bundle, settings.intake.max_text_chars)


def _spelling(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not separator or not old.strip() or not new.strip():
        raise typer.BadParameter(f"--map {text!r} is not OLD=NEW")
    return old.strip().lower(), new.strip().lower()


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        raise stop("who are you? --author NAME", EXIT_USAGE) from None
