"""`streamapp redrive list|show|send`: dead letters seen, chosen and sent again to our own topic `redriven`.

Never into the user's topics, which others read. The ledger is `redriven` itself, read to its end first. A `send` takes
the place of one that is still running (Kafka fences its producer off) before it reads, so that neither can send what
the other has sent.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, cast, get_args

import typer
from kafka import KafkaProducer
from kafka.errors import InvalidProducerEpochError, ProducerFencedError
from rich.table import Table

from streamapp.cli.options import BrokerOption, ConfigFile, broker_errors, parse_moment, settings_from
from streamapp.cluster.kafka_clients import open_producer, read_topic_to_end
from streamapp.console import EXIT_USAGE, JsonFile, speaker, stop, write_json
from streamapp.contracts.dead_letter import redriven_headers
from streamapp.contracts.messages import DeadLetterReason
from streamapp.contracts.topics import DEAD_LETTERS, REDRIVEN
from streamapp.core.foreign_text import printable
from streamapp.core.redrive import (
    DeadLetter,
    DeadLetterFilter,
    Redrive,
    matches,
    plan_redrive,
    read_dead_letter,
    read_ledger,
)
from streamapp.settings import Settings

EXIT_REFUSED: Final = 1
EXIT_NOTHING: Final = 4
EXIT_FENCED: Final = 5
# What a producer is told when a newer one has taken its place.
FENCED: Final = (ProducerFencedError, InvalidProducerEpochError)
ACK_TIMEOUT_SECONDS: Final = 120
SENDS_IN_FLIGHT: Final = 500

app = typer.Typer(help="Dead letters: list them, look at one, send them again.", no_args_is_help=True)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...", help="As `list` names them.")
]
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only this reason; may be repeated.")]
Topics = Annotated[
    list[str] | None, typer.Option("--topic", help="Only from this input topic; may be repeated.")
]
Keys = Annotated[list[str] | None, typer.Option("--key", help="Only with this key (UTF-8); may be repeated.")]
Since = Annotated[
    str | None, typer.Option(help="Failed at or after: a time, or a duration back from now (2h).")
]
Until = Annotated[str | None, typer.Option(help="Failed before: a time, or a duration back from now.")]


@app.command("list")
def list_letters(
    names: Names = None,
    reason: Reasons = None,
    topic: Topics = None,
    key: Keys = None,
    since: Since = None,
    until: Until = None,
    config: ConfigFile = None,
    broker: BrokerOption = None,
    json_file: JsonFile = None,
) -> None:
    """Dead letters, oldest first, and whether each could be sent again."""
    wanted = _filter(names, reason, topic, key, since, until)
    settings = settings_from(config, broker)
    with broker_errors(settings):
        plan = _plan(settings, wanted)
    table = Table("dead letter", "failed at", "reason", "from", "detail", "send")
    for step in plan:
        about = step.letter.about
        origin = f"{about.first.topic}/{about.first.partition}:{about.first.offset}"
        failed_at = _shown_time(about.failed_at_ms)
        table.add_row(
            step.letter.name, failed_at, about.reason, origin, printable(about.detail), step.refused or "yes"
        )
    out = speaker(json_file)
    out.print(table)
    out.print(
        f"{len(plan)} dead letters, {sum(step.refused is None for step in plan)} of them can be sent again"
    )
    write_json([_facts(step) for step in plan], json_file)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="As `list` names it.")],
    config: ConfigFile = None,
    broker: BrokerOption = None,
    json_file: JsonFile = None,
) -> None:
    """One dead letter whole: headers, key and value. Exit code 4: there is none of that name."""
    settings = settings_from(config, broker)
    with broker_errors(settings):
        plan = _plan(settings, DeadLetterFilter(names=frozenset([name])))
    if not plan:
        raise stop(f"no dead letter {name}", EXIT_NOTHING)
    out, record = speaker(json_file), plan[0].letter.record
    for header, value in record.headers:
        out.print(f"{printable(header)}: {printable(value.decode('utf-8', 'replace'))}")
    out.print(f"key: {_shown_bytes(record.key)}")
    out.print(f"value: {_shown_bytes(record.value)}")
    write_json({**_facts(plan[0]), **_content(plan[0].letter)}, json_file)


@app.command()
def send(
    names: Names = None,
    reason: Reasons = None,
    topic: Topics = None,
    key: Keys = None,
    since: Since = None,
    until: Until = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every dead letter, where nothing is chosen.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, send nothing.")] = False,
    config: ConfigFile = None,
    broker: BrokerOption = None,
    json_file: JsonFile = None,
) -> None:
    """Send the chosen dead letters again, each origin once.

    Exit code 0: all chosen were sent; 1: some were refused; 2: wrong use; 3: the broker failed, what was
    acknowledged until then is in the ledger, so the same command may be repeated; 4: nothing was chosen; 5: another
    `send` began meanwhile and took over.
    """
    wanted = _filter(names, reason, topic, key, since, until)
    if wanted.takes_everything and not everything:
        raise stop(
            "say which dead letters: names, --reason, --topic, --key, --since, --until, or --all", EXIT_USAGE
        )
    settings = settings_from(config, broker)
    with broker_errors(settings):
        plan = _plan(settings, wanted) if dry_run else _send(settings, wanted)
    _report(plan, dry_run, json_file)


def _report(plan: Sequence[Redrive], dry_run: bool, json_file: str | None) -> None:
    out = speaker(json_file)
    refused = [step for step in plan if step.refused is not None]
    for step in refused:
        out.print(f"refused {step.letter.name}: {step.refused}")
    sent = len(plan) - len(refused)
    out.print(f"{'would send' if dry_run else 'sent'} {sent}, refused {len(refused)}")
    write_json({"dry_run": dry_run, "sent": sent, "letters": [_facts(step) for step in plan]}, json_file)
    if not plan:
        raise typer.Exit(EXIT_NOTHING)
    if refused:
        raise typer.Exit(EXIT_REFUSED)


def _filter(
    names: list[str] | None,
    reasons: list[str] | None,
    topics: list[str] | None,
    keys: list[str] | None,
    since: str | None,
    until: str | None,
) -> DeadLetterFilter:
    now_ms = time.time_ns() // 1_000_000
    for reason in reasons or []:
        if reason not in get_args(DeadLetterReason):
            raise stop(
                f"unknown reason {reason}; there are: {', '.join(get_args(DeadLetterReason))}", EXIT_USAGE
            )
    return DeadLetterFilter(
        names=frozenset(names or []),
        reasons=frozenset(cast(list[DeadLetterReason], reasons or [])),
        topics=frozenset(topics or []),
        keys=frozenset(key.encode() for key in keys or []),
        since_ms=parse_moment(since, now_ms) if since else None,
        until_ms=parse_moment(until, now_ms) if until else None,
    )


def _plan(settings: Settings, wanted: DeadLetterFilter) -> list[Redrive]:
    prefix = settings.topics.prefix
    letters = []
    for record in read_topic_to_end(settings.broker, prefix + DEAD_LETTERS.name):
        letter = read_dead_letter(record)
        if isinstance(letter, str):
            speaker("-").print(f"ignored record {record.partition}:{record.offset} of dead-letters: {letter}")
        elif matches(letter, wanted):
            letters.append(letter)
    letters.sort(
        key=lambda letter: (letter.about.failed_at_ms, letter.record.partition, letter.record.offset)
    )
    return plan_redrive(letters, read_ledger(read_topic_to_end(settings.broker, prefix + REDRIVEN.name)))


def _send(settings: Settings, wanted: DeadLetterFilter) -> list[Redrive]:
    prefix = settings.topics.prefix
    producer = open_producer(settings.broker, transactional_id=f"{prefix}streamapp-redrive")
    try:
        producer.init_transactions()  # from here on nothing of another `send` comes into the ledger
        plan = _plan(settings, wanted)
        letters = [step.letter for step in plan if step.refused is None]
        for start in range(0, len(letters), SENDS_IN_FLIGHT):
            _send_some(producer, prefix + REDRIVEN.name, letters[start : start + SENDS_IN_FLIGHT])
    except FENCED as error:
        raise stop(
            "another `redrive send` began and took over; what this one sent is in the ledger", EXIT_FENCED
        ) from error
    finally:
        producer.close(timeout=ACK_TIMEOUT_SECONDS)
    return plan


def _send_some(producer: KafkaProducer, topic: str, letters: Sequence[DeadLetter]) -> None:
    now_ms = time.time_ns() // 1_000_000
    producer.begin_transaction()
    sends = []
    for letter in letters:
        record = letter.record
        headers = redriven_headers(record.headers, now_ms)
        sends.append(producer.send(topic, key=record.key, value=record.value, headers=headers))
    for acknowledged in sends:
        acknowledged.get(timeout=ACK_TIMEOUT_SECONDS)
    producer.commit_transaction()


def _facts(step: Redrive) -> dict[str, Any]:
    return {"name": step.letter.name, "refused": step.refused, "about": step.letter.about}


def _content(letter: DeadLetter) -> dict[str, Any]:
    """Key, value and headers; text where it is UTF-8, base64 (as msgspec writes bytes) beside it always."""
    record = letter.record
    text = None if record.value is None else record.value.decode("utf-8", "replace")
    return {"key": record.key, "value": record.value, "value_text": text, "headers": record.headers}


def _shown_bytes(raw: bytes | None) -> str:
    return "(null)" if raw is None else printable(raw.decode("utf-8", "replace"))


def _shown_time(moment_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(moment_ms / 1000))
