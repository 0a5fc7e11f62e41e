"""`streamapp alerts`: surges as people see them, the newest revision of each, or every revision as it comes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, TextIO

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from streamapp.cli.options import (
    EXIT_USAGE,
    BrokerOption,
    ConfigFile,
    JsonFile,
    broker_errors,
    parse_moment,
    settings_from,
    speaker,
    stop,
    write_json,
)
from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.messages import Alert
from streamapp.contracts.raw_record import RawRecord
from streamapp.contracts.topics import ALERTS
from streamapp.local.alert_card import CardStyle, NameOf, alert_lines
from streamapp.local.signals import StoppedBySignalError, stopped_by_signal
from streamapp.local.stream_reader import StreamReader, TopicMissingError
from streamapp.settings import Settings
from streamapp.symbols import SymbolTableError, load_symbol_table

POLL_SECONDS: Final = 0.5
HEADLINES: Final = 5
MIN_WIDTH: Final = 100


def alerts(
    config: ConfigFile = None,
    broker: BrokerOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with every revision as it comes.")
    ] = False,
    subject: Annotated[
        str | None, typer.Option(help="Only this one: company:AAPL, topic:central_banks.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Published at or after: a time, or a duration back from now (2h).")
    ] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not resolved.")] = False,
    json_file: JsonFile = None,
) -> None:
    """List alerts, oldest first, each with what was expected, what was seen, and the headlines behind it."""
    settings = settings_from(config, broker)
    since_ms = None if since is None else parse_moment(since, int(time.time() * 1000))
    words = speaker(json_file)
    name_of = company_names(settings)
    try:
        with broker_errors(settings), stopped_by_signal(), ExitStack() as stack:
            topic = settings.topics.prefix + ALERTS.name
            reader = stack.enter_context(StreamReader(settings.broker, [topic], since_ms))
            seen: dict[str, Alert] = {}
            while not reader.at_end():
                fold(seen, reader.poll(POLL_SECONDS), subject)
            listed = sorted(seen.values(), key=lambda alert: (alert.opened_at_ms, alert.alert_id))
            listed = [alert for alert in listed if not (open_only and alert.state == "resolved")]
            print_alerts(words, listed, name_of)
            if not listed:
                words.print("No open alert." if open_only else "No alert.")
            if not follow:
                write_json(listed, json_file)
                return
            sink = open_lines(stack, json_file)
            for alert in listed:
                sink(alert)
            while True:
                for alert in fold(seen, reader.poll(POLL_SECONDS), subject):
                    print_alerts(words, [alert], name_of)
                    sink(alert)
    except TopicMissingError as error:
        raise stop(str(error), EXIT_USAGE) from error
    except StoppedBySignalError as signal:
        raise typer.Exit(signal.exit_code) from signal


def fold(seen: dict[str, Alert], records: Iterable[RawRecord], subject: str | None) -> list[Alert]:
    """Takes records into `seen` (alert id to newest revision); returns the revisions that were news.

    What is not an alert of a contract we know is left out: the topic's readers must outlive newer writers.
    """
    news = []
    for record in records:
        try:
            alert: Alert = decode(record.value, Alert)
        except DecodeError:
            continue
        known = seen.get(alert.alert_id)
        if (subject is None or alert.subject == subject) and (
            known is None or alert.revision > known.revision
        ):
            seen[alert.alert_id] = alert
            news.append(alert)
    return news


def print_alerts(words: Console, listed: Iterable[Alert], name_of: NameOf) -> None:
    """A card for each."""
    width = max(MIN_WIDTH, words.width if words.is_terminal else 160)
    style = CardStyle(name_of=name_of, headlines=HEADLINES, width=width)
    for alert in listed:
        for line in alert_lines(alert, style):
            words.print(line)
        words.print(Text(""))


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


class LineSink:
    """JSON lines for --follow, flushed one by one; nothing where --json was not given."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def __call__(self, message: msgspec.Struct) -> None:
        if self._file is not None:
            self._file.write(msgspec.json.encode(message).decode() + "\n")
            self._file.flush()


def open_lines(stack: ExitStack, json_file: str | None) -> LineSink:
    """Where --json and --follow together write: one JSON object a line."""
    if json_file is None:
        return LineSink()
    if json_file == "-":
        return LineSink(sys.stdout)
    return LineSink(stack.enter_context(Path(json_file).open("w", encoding="utf-8")))
