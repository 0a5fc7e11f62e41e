"""`streamapp replay`: a recorded stream told again into the input topics, at its own pace or faster."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from kafka.errors import KafkaError
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from streamapp.cli.options import BrokerOption, ConfigFile, settings_from
from streamapp.cluster.kafka_clients import open_producer
from streamapp.console import EXIT_BROKER, EXIT_USAGE, JsonFile, errors, speaker, stop, write_json
from streamapp.contracts.messages import Channel
from streamapp.local.publisher import Pace, ReplayThread, publish
from streamapp.local.publisher import Progress as ReplayProgress
from streamapp.local.replay import (
    LATENESS_REAL_SECONDS,
    ReplayRecord,
    closing_offset_seconds,
    rfc3339,
    shift_to_end_at,
)
from streamapp.local.sample import closing_posts, value_of
from streamapp.local.signals import StoppedBySignalError, stopped_by_signal
from streamapp.local.stream_file import (
    StreamFileError,
    StreamPost,
    StreamScan,
    read_stream,
    replay_record,
    scan_stream,
)
from streamapp.settings import FieldMapping, Settings

PLAIN_EVERY_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.25


def replay(
    file: Annotated[Path, typer.Argument(help="JSON lines in our own format, plain or .gz, oldest first.")],
    config: ConfigFile = None,
    broker: BrokerOption = None,
    topic: Annotated[
        str | None, typer.Option(help="Everything into this topic.", show_default="the channel's input")
    ] = None,
    channel: Annotated[str, typer.Option(help="Channel of posts that name none: news or chat.")] = "news",
    speed: Annotated[
        float, typer.Option(help="Times real time; 0: as fast as Kafka takes it.", min=0.0)
    ] = 60.0,
    realtime: Annotated[bool, typer.Option("--realtime", help="The same as --speed 1.")] = False,
    keep_dates: Annotated[
        bool, typer.Option("--keep-dates", help="Keep the times; else the last post falls on now.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="Only that many lines.", min=1)] = None,
    close: Annotated[
        bool,
        typer.Option(
            "--close", help="End with a neutral post on every partition, so that the last minutes close."
        ),
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Tell a recorded stream again, open loop: a slow worker never slows it down.

    The whole file is checked first; a line that cannot be replayed is named and nothing is sent.
    """
    logging.getLogger("kafka").setLevel(logging.ERROR)  # it retries by itself; what fails for good is raised
    settings = settings_from(config, broker)
    if channel not in ("news", "chat"):
        raise stop("--channel: news or chat", EXIT_USAGE)
    own_channel: Channel = "news" if channel == "news" else "chat"
    try:
        scan = _checked(scan_stream(read_stream(file, own_channel, limit)), file)
        topics = _topics(settings, topic, scan)
    except StreamFileError as error:
        raise stop(str(error), EXIT_USAGE) from error
    dates = date_stream(scan, settings, int(time.time() * 1000), keep_dates, close)
    plan = _Plan(
        settings=settings,
        topics=topics,
        pace=Pace(scan.first_ms, 1.0 if realtime else speed),
        total=scan.posts.total(),
        words=speaker(json_file),
    )
    _announce(plan, file, scan, dates)
    posts = (line for line in read_stream(file, own_channel, limit) if isinstance(line, StreamPost))
    records = (replay_record(post, None if keep_dates else dates.shift_ms) for post in posts)
    began = time.monotonic()
    progress = _send(plan, records, dates if close else None)
    spent = time.monotonic() - began
    plan.words.print(f"Published {progress.published} records in {spent:.1f} s, all acknowledged.")
    result = {"published": progress.published, "seconds": round(spent, 2), "speed": plan.pace.speed}
    write_json(result | {"shift_ms": dates.shift_ms, "posts": scan.posts, "topics": topics}, json_file)


class StreamDates(Struct, frozen=True, kw_only=True):
    """How a stream is dated. `close_at_seconds`: where closing posts belong, from the first post on."""

    first_ms: int
    last_ms: int
    shift_ms: int
    close_at_seconds: float
    oldest_age_ms: int

    def closing(self, channel: Channel, partitions: int) -> Iterator[ReplayRecord]:
        """A neutral post for each partition of one input, a minute beyond the lateness."""
        start = datetime.fromtimestamp((self.first_ms + self.shift_ms) / 1000, UTC)
        posts = [post for post in closing_posts(partitions, self.close_at_seconds) if post.channel == channel]
        for partition, post in enumerate(posts):
            yield ReplayRecord(
                due_ms=self.last_ms,
                channel=channel,
                key=f"{channel}-closing-{partition}".encode(),
                value=value_of(post, start),
                partition=partition,
            )


def date_stream(
    scan: StreamScan, settings: Settings, now_ms: int, keep_dates: bool, close: bool
) -> StreamDates:
    """Dates of a stream whose last post, closing ones included, falls on `now_ms`; unless dates are kept."""
    length_seconds = (scan.last_ms - scan.first_ms) / 1000
    close_at = closing_offset_seconds(length_seconds, settings.event_time.lateness_seconds)
    end_ms = scan.first_ms + int(close_at * 1000) if close else scan.last_ms
    shift_ms = 0 if keep_dates else shift_to_end_at(end_ms, now_ms)
    return StreamDates(
        first_ms=scan.first_ms,
        last_ms=scan.last_ms,
        shift_ms=shift_ms,
        close_at_seconds=close_at,
        oldest_age_ms=now_ms - scan.first_ms - shift_ms,
    )


def warnings(settings: Settings, scan: StreamScan, speed: float, age_ms: int) -> list[str]:
    """What of the workers' settings does not fit a stream at this speed (design section 3)."""
    event_time = settings.event_time
    found = []
    needed = speed * LATENESS_REAL_SECONDS
    if speed == 0 and scan.last_ms > scan.first_ms:
        found.append(
            "at full speed posts of one partition overtake those of another; late ones decide nothing."
        )
    elif needed > event_time.lateness_seconds:
        found.append(
            f"event_time.lateness_seconds is {event_time.lateness_seconds:.0f}; at {speed:g} times real time the"
            f" workers should have at least {needed:.0f}, or posts that Kafka delays count as late."
        )
    if age_ms / 1000 > event_time.backfill_after_seconds:
        found.append(
            f"posts are up to {age_ms / 3_600_000:.1f} h old; alerts older than event_time.backfill_after_seconds"
            f" ({event_time.backfill_after_seconds / 3600:g} h) count as backfill and page nobody."
        )
    return found


class _Plan(Struct, frozen=True, kw_only=True):
    """What stays the same during one replay."""

    settings: Settings
    topics: dict[Channel, str]
    pace: Pace
    total: int
    words: Console


def _send(plan: _Plan, records: Iterable[ReplayRecord], dates: StreamDates | None) -> ReplayProgress:
    try:
        with stopped_by_signal():
            producer = open_producer(plan.settings.broker)
            try:
                return _show(plan, _with_closing(records, dates, plan.topics, producer), producer)
            finally:
                producer.close(timeout=10)
    except StoppedBySignalError as signal:
        raise stop(f"Stopped by {signal}.", signal.exit_code) from signal
    except (KafkaError, AssertionError, OSError, StreamFileError) as error:
        message = f"Kafka at {plan.settings.broker.bootstrap}: {type(error).__name__}: {error}"
        raise stop(message, EXIT_BROKER) from error


def _with_closing(
    records: Iterable[ReplayRecord], dates: StreamDates | None, topics: dict[Channel, str], producer: Any
) -> Iterator[ReplayRecord]:
    yield from records
    if dates is not None:
        time.sleep(2.0)  # what is on its way must not find its minute closed
        for channel, topic in topics.items():
            yield from dates.closing(channel, len(producer.partitions_for(topic)))


def _show(plan: _Plan, records: Iterable[ReplayRecord], producer: Any) -> ReplayProgress:
    thread = ReplayThread(
        lambda progress, stop: publish(records, producer, plan.topics, plan.pace, progress, stop)
    ).start()
    try:
        if plan.words.is_terminal:
            _show_bar(plan, thread)
        else:
            _show_lines(plan, thread)
    finally:
        thread.stop() if thread.running() else None
    thread.check()
    return thread.progress


def _show_bar(plan: _Plan, thread: ReplayThread) -> None:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with ProgressBar(*columns, console=plan.words) as bar:
        task = bar.add_task("", total=plan.total)
        while thread.running():
            time.sleep(POLL_SECONDS)
            bar.update(task, completed=thread.progress.published, description=_where(thread.progress))


def _show_lines(plan: _Plan, thread: ReplayThread) -> None:
    said = time.monotonic()
    while thread.running():
        time.sleep(POLL_SECONDS)
        if time.monotonic() - said >= PLAIN_EVERY_SECONDS:
            said = time.monotonic()
            plan.words.print(f"{thread.progress.published} of {plan.total}  {_where(thread.progress)}")


def _where(progress: ReplayProgress) -> str:
    place = "" if progress.due_ms is None else rfc3339(progress.due_ms)[:16]
    late = progress.behind_seconds
    return f"{place}, {late:.0f} s behind its pace" if late > 1 else place


def _checked(scan: StreamScan, file: Path) -> StreamScan:
    if scan.error_count:
        for error in scan.errors:
            errors.print(f"{file}, line {error.line}: {error.why}", style="red")
        raise StreamFileError(f"{file}: {scan.error_count} lines cannot be replayed; nothing was sent.")
    return scan


def _topics(settings: Settings, topic: str | None, scan: StreamScan) -> dict[Channel, str]:
    if topic is not None:
        return dict.fromkeys(scan.posts, topic)
    found: dict[Channel, str] = {}
    for channel in scan.posts:
        inputs = [each for each in settings.inputs if each.channel == channel]
        if not inputs:
            raise StreamFileError(f"the settings have no input of channel {channel}: name one with --topic")
        if inputs[0].fields != FieldMapping():
            raise StreamFileError(
                f"input {inputs[0].topic} maps fields of another format; replay writes our own: see --topic"
            )
        found[channel] = inputs[0].topic
    return found


def _announce(plan: _Plan, file: Path, scan: StreamScan, dates: StreamDates) -> None:
    speed = plan.pace.speed
    hours = (scan.last_ms - scan.first_ms) / 3_600_000
    pace = (
        f"{speed:g} times real time: {hours * 3600 / speed:.0f} s" if speed else "as fast as Kafka takes it"
    )
    counts = ", ".join(f"{count} {channel} posts" for channel, count in scan.posts.items())
    span = f"{rfc3339(scan.first_ms)} to {rfc3339(scan.last_ms)} ({hours:.1f} h)"
    plan.words.print(f"{file.name}: {counts}, {span}; {pace}")
    if dates.shift_ms:
        plan.words.print(
            f"Dated to end now: the first post becomes {rfc3339(scan.first_ms + dates.shift_ms)}."
        )
    for warning in warnings(plan.settings, scan, speed, dates.oldest_age_ms):
        errors.print(f"Note: {warning}", style="yellow")
