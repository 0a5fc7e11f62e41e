"""What `alerts` and `trends` share: read a topic to its end, list what it holds, and go on if asked to."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, Generic, TextIO

import msgspec
import typer
from rich.console import Console

from streamapp.cli.options import broker_errors, parse_moment
from streamapp.console import EXIT_USAGE, errors, stop, write_json
from streamapp.local.alert_card import NameOf
from streamapp.local.newest_revisions import M, NewestRevisions
from streamapp.local.signals import StoppedBySignalError, stopped_by_signal
from streamapp.local.stream_reader import StreamReader, TopicMissingError
from streamapp.settings import Settings
from streamapp.symbols import SymbolTableError, load_symbol_table

POLL_SECONDS: Final = 0.5
# A pipe has no width, and rich would take it for 80 columns.
PIPE_WIDTH: Final = 150

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with every revision as it comes.")]
Since = Annotated[
    str | None, typer.Option(help="Published at or after: a time, or a duration back from now (2h).")
]


class Listing(Generic[M]):
    """One kind of list: which topic, which messages, how all and one of them are shown."""

    def __init__(
        self,
        topic: str,
        newest: NewestRevisions[M],
        show_all: Callable[[list[M]], list[M]],
        show_one: Callable[[M], None],
    ) -> None:
        """`show_all` sorts, shows and returns what it showed."""
        self.topic = topic
        self.newest: NewestRevisions[M] = newest
        self.show_all: Callable[[list[M]], list[M]] = show_all
        self.show_one: Callable[[M], None] = show_one


def list_or_follow(
    settings: Settings, listing: Listing[M], since: str | None, follow: bool, json_file: str | None
) -> None:
    """The whole command. With --follow it ends by a signal, and --json writes one object a line."""
    logging.getLogger("kafka").setLevel(logging.ERROR)  # its retries are no news to a reader of alerts
    since_ms = None if since is None else parse_moment(since, int(time.time() * 1000))
    try:
        with broker_errors(settings), stopped_by_signal(), ExitStack() as stack:
            topic = settings.topics.prefix + listing.topic
            reader = stack.enter_context(StreamReader(settings.broker, [topic], since_ms))
            while not reader.at_end():
                listing.newest.take(reader.poll(POLL_SECONDS))
            shown = listing.show_all(listing.newest.all())
            if listing.newest.unreadable:
                errors.print(
                    f"{listing.newest.unreadable} records of {topic} could not be read.", style="yellow"
                )
            if follow:
                _go_on(reader, listing, shown, _open_lines(stack, json_file))
            write_json(shown, json_file)
    except TopicMissingError as error:
        raise stop(str(error), EXIT_USAGE) from error
    except StoppedBySignalError as signal:
        raise typer.Exit(signal.exit_code) from signal


def company_names(settings: Settings) -> NameOf:
    """Names by symbol, from the table that the workers use."""
    path = settings.intake.symbols_file
    try:
        table = load_symbol_table(Path(path) if path else None)
    except SymbolTableError as error:
        raise stop(str(error), EXIT_USAGE) from error

    def name_of(symbol: str) -> str | None:
        company = table.find(symbol)
        return None if company is None else company.name

    return name_of


def wide(words: Console) -> Console:
    """`words` with a width of its own where it has none."""
    return words if words.is_terminal else Console(file=words.file, width=PIPE_WIDTH, highlight=False)


def _go_on(reader: StreamReader, listing: Listing[M], shown: list[M], lines: TextIO | None) -> None:
    for message in shown:
        _write_line(lines, message)
    while True:
        for message in listing.newest.take(reader.poll(POLL_SECONDS)):
            listing.show_one(message)
            _write_line(lines, message)


def _write_line(lines: TextIO | None, message: msgspec.Struct) -> None:
    if lines is not None:
        lines.write(msgspec.json.encode(message).decode() + "\n")
        lines.flush()


def _open_lines(stack: ExitStack, json_file: str | None) -> TextIO | None:
    if json_file is None or json_file == "-":
        return sys.stdout if json_file else None
    return stack.enter_context(Path(json_file).open("w", encoding="utf-8"))
