"""`streamapp topics create|list|adopt|resume`: the topics, their identity, and inputs that were paused."""

import time
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from streamapp.cli.options import BrokerOption, ConfigFile, broker_errors, settings_from
from streamapp.cluster.kafka_clients import open_admin, topic_uuids
from streamapp.cluster.service_state import read_service_state, write_service_state
from streamapp.cluster.topic_admin import TopicReport, compare_topics, create_topics, plan_topics
from streamapp.console import EXIT_USAGE, JsonFile, speaker, stop, write_json
from streamapp.contracts.messages import InputState, ServiceState, TopicIdentity
from streamapp.contracts.topics import REDRIVEN
from streamapp.settings import Settings

EXIT_DIFFERS: Final = 1

app = typer.Typer(
    help="Create and inspect topics; adopt a recreated one; resume a paused input.", no_args_is_help=True
)

DevOption = Annotated[
    bool, typer.Option("--dev", help="One replica: for a cluster of one broker, never for service.")
]
TopicName = Annotated[str, typer.Argument(metavar="NAME", help="The topic's full name in Kafka.")]


@app.command()
def create(
    config: ConfigFile = None, broker: BrokerOption = None, dev: DevOption = False, json_file: JsonFile = None
) -> None:
    """Create every topic that is missing; change none that exists.

    Exit code 0: all there and as planned (the user's own inputs may differ); 1: one of ours differs; 3: no
    broker.
    """
    settings = settings_from(config, broker)
    with broker_errors(settings), open_admin(settings.broker) as admin:
        reports = create_topics(admin, plan_topics(settings, dev))
    out = speaker(json_file)
    for report in reports:
        out.print(
            f"{'created' if report.created else 'exists '}  {report.name}  {report.partitions} partitions"
        )
        for difference in report.differences:
            out.print(f"         {'differs' if report.own else 'mind'}: {difference}")
    write_json(reports, json_file)
    if any(report.own and report.differences for report in reports):
        raise typer.Exit(EXIT_DIFFERS)


@app.command("list")
def list_topics(
    config: ConfigFile = None, broker: BrokerOption = None, dev: DevOption = False, json_file: JsonFile = None
) -> None:
    """Every topic of the settings: whether it exists, differs, was recreated or is paused."""
    settings = settings_from(config, broker)
    with broker_errors(settings):
        with open_admin(settings.broker) as admin:
            reports = compare_topics(admin, plan_topics(settings, dev))
        state = read_service_state(settings)
    rows = [_row(report, state) for report in reports]
    table = Table("topic", "partitions", "UUID", "notes")
    for row in rows:
        partitions, uuid = str(row["partitions"] or "-"), row["topic_uuid"] or "-"
        table.add_row(row["name"], partitions, uuid, "; ".join(row["notes"]))
    speaker(json_file).print(table)
    write_json(rows, json_file)


@app.command()
def adopt(name: TopicName, config: ConfigFile = None, broker: BrokerOption = None) -> None:
    """Accept a recreated topic, whose offsets start anew: workers stop at a UUID that they do not know."""
    settings = settings_from(config, broker)
    _known_input(settings, name)
    with broker_errors(settings):
        with open_admin(settings.broker) as admin:
            uuid = topic_uuids(admin, [name]).get(name)
        if uuid is None:
            raise stop(f"topic {name} does not exist", EXIT_USAGE)
        known = read_service_state(settings).get(f"topic/{name}")
        write_service_state(settings, f"topic/{name}", TopicIdentity(topic=name, topic_uuid=uuid))
    before = known.topic_uuid if isinstance(known, TopicIdentity) else "none"
    speaker(None).print(f"adopted {name}: UUID {uuid} (before: {before}). Start the workers again.")


@app.command()
def resume(name: TopicName, config: ConfigFile = None, broker: BrokerOption = None) -> None:
    """Let workers read an input again that too many dead letters had paused."""
    settings = settings_from(config, broker)
    _known_input(settings, name)
    now_ms = time.time_ns() // 1_000_000
    resumed = InputState(topic=name, paused=False, reason="resumed by a person", changed_at_ms=now_ms)
    with broker_errors(settings):
        known = read_service_state(settings).get(f"input/{name}")
        write_service_state(settings, f"input/{name}", resumed)
    if isinstance(known, InputState) and known.paused:
        speaker(None).print(f"resumed {name}; it had been paused: {known.reason}")
    else:
        speaker(None).print(f"{name} was not paused")


def _known_input(settings: Settings, name: str) -> None:
    names = [*dict.fromkeys(feed.topic for feed in settings.inputs), settings.topics.prefix + REDRIVEN.name]
    if name not in names:
        raise stop(f"{name} is no input topic; there are: {', '.join(names)}", EXIT_USAGE)


def _row(report: TopicReport, state: dict[str, ServiceState]) -> dict[str, Any]:
    notes = list(report.differences)
    known = state.get(f"topic/{report.name}")
    if report.exists and isinstance(known, TopicIdentity) and known.topic_uuid != report.topic_uuid:
        notes.append(f"recreated (workers know {known.topic_uuid}): streamapp topics adopt {report.name}")
    paused = state.get(f"input/{report.name}")
    if isinstance(paused, InputState) and paused.paused:
        notes.append(f"paused ({paused.reason}): streamapp topics resume {report.name}")
    return {
        "name": report.name,
        "exists": report.exists,
        "partitions": report.partitions,
        "topic_uuid": report.topic_uuid,
        "notes": notes,
    }
