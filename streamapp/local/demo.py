"""`streamapp demo`: a broker, a worker and a trading day, watched until both surges have had their alerts.

Tells the run from begin to end; what is owned, drawn and judged lives in the files beside it. It sees only what
any user sees: the topics, and the worker's health pages.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from streamapp.cluster.kafka_clients import open_producer
from streamapp.contracts.messages import Channel
from streamapp.local.alert_card import NameOf
from streamapp.local.demo_figures import FOLLOWED, DemoFigures
from streamapp.local.demo_house import DemoError, DemoHouse, DemoOptions
from streamapp.local.demo_plan import (
    PARTITIONS,
    DemoPlan,
    demo_records,
    shift_ms,
)
from streamapp.local.demo_report import AlertReport, DemoReport, alert_report, make_report
from streamapp.local.demo_scene import DAY_START_MS, Scene
from streamapp.local.demo_show import Show
from streamapp.local.publisher import Pace, Progress, ReplayThread, publish
from streamapp.local.replay import ReplayRecord
from streamapp.local.sample import CHANNELS, DAY_SECONDS, load_companies, load_sample
from streamapp.local.stream_reader import StreamReader
from streamapp.local.worker_pages import Samples, values

POLL_SECONDS: Final = 0.2
METRICS_EVERY_SECONDS: Final = 1.0
# After the last record: every verdict, then the minutes that the closing posts close, then the alerts about them.
FINISH_SECONDS: Final = 60.0
QUIET_MS: Final = 2_500


class DemoRun:
    """One run. `house` is opened here and closed by the caller, whatever happens."""

    def __init__(self, plan: DemoPlan, options: DemoOptions, house: DemoHouse, show: Show) -> None:
        self._plan, self._options, self._house, self.show = plan, options, house, show
        self._seconds: dict[str, float] = {}
        self.name_of: NameOf = load_companies().get
        inputs: dict[str, Channel] = {plan.input_topic(channel): channel for channel in CHANNELS}
        self._inputs = inputs
        self.figures = DemoFigures(plan.prefix, inputs)
        self._shift = 0
        self._began_ms = 0
        self._clock_ms = 0
        self._metrics: Samples = {}
        self._measured_at = 0.0
        self._published: dict[str, int] = {}

    def run(self) -> DemoReport:
        """Everything but the clean-up. Raises DemoError, BrokerError and Kafka's errors."""
        self._set_up()
        topics = [*self._inputs, *(self._plan.prefix + topic.name for topic in FOLLOWED)]
        with StreamReader(self._house.settings.broker, topics) as reader:
            with self._phase("stream"):
                replayed = self._replay(reader)
            with self._phase("closing"):
                self._finish(reader, replayed)
        self.show.update(self.figures, self._scene("the day is over"), final=True)
        self.show.close()
        return self._report()

    def _set_up(self) -> None:
        say, plan = self.show.say, self._plan
        say(
            f"A trading day in {plan.stream_seconds:g} s: some 700 posts about {len(load_companies())} invented"
            " companies. From 16:15 oil turns bad, from 17:00 Calderon Bank; each should alert, and nothing else."
        )
        with self._phase("broker"):
            bootstrap = self._house.open_broker()
        with self._phase("topics"):
            number = self._house.create_topics()
        say(f"Created {number} topics {plan.prefix}* on {bootstrap}")
        say(f"Starting the worker: {' '.join(self._house.worker_command())}")
        with self._phase("worker"):
            self._house.start_worker()
        model = self._house.model
        say(
            f"The worker is ready after {self._seconds['worker']:.1f} s: model {model.get('version')}"
            f" on {model.get('provider')}, health at {self._house.pages.address}"
        )
        for line in settings_lines(plan):
            say(line)

    def _replay(self, reader: StreamReader) -> int:
        self._began_ms = _now_ms()
        self._shift = shift_ms(self._plan, self._began_ms)
        records = demo_records(self._plan, load_sample(), self._shift)
        thread = self._start_replay(records)
        try:
            while thread.running():
                due = thread.progress.due_ms
                self._clock_ms = (
                    int((_now_ms() - self._began_ms) * self._plan.speed) if due is not None else 0
                )
                self._step(reader, "the day goes on")
        finally:
            thread.stop()
        thread.check()
        return len(records)

    def _start_replay(self, records: list[ReplayRecord]) -> ReplayThread:
        access = self._house.settings.broker
        topics: dict[Channel, str] = {channel: topic for topic, channel in self._inputs.items()}
        producer = open_producer(access)

        def work(progress: Progress, stop: threading.Event) -> None:
            try:
                publish(records, producer, topics, Pace(0, self._plan.speed), progress, stop)
            finally:
                producer.close(timeout=5)

        return ReplayThread(work).start()

    def _finish(self, reader: StreamReader, replayed: int) -> None:
        """Until every post has its verdict, the day's minutes are closed and nothing more comes."""
        self._clock_ms = DAY_SECONDS * 1000
        deadline = time.monotonic() + FINISH_SECONDS
        while not self._is_over(replayed):
            if time.monotonic() > deadline:
                self.show.say(
                    f"After {FINISH_SECONDS:.0f} s something is still missing; judging what is there."
                )
                break
            self._step(reader, "the last minutes close")
        ends = [sum(reader.end_offsets(topic).values()) for topic in self._inputs]
        self._published = {"replayed": replayed, "broker": sum(ends)}

    def _is_over(self, replayed: int) -> bool:
        figures = self.figures
        if figures.scored + len(figures.dead) < replayed:
            return False
        closing_ms = DAY_START_MS + self._shift + int(self._plan.closing_seconds * 1000)
        watermarks = values(self._metrics, "streamapp_watermark_seconds")
        closed = len(watermarks) == PARTITIONS and min(watermarks) * 1000 >= closing_ms - 1000
        return closed and _now_ms() - figures.last_record_ms > QUIET_MS

    def _step(self, reader: StreamReader, phase: str) -> None:
        self._house.check()
        news = []
        for record in reader.poll(POLL_SECONDS):
            alert = self.figures.apply(record, _now_ms())
            if alert is not None:
                news.append(alert)
        if time.monotonic() - self._measured_at >= METRICS_EVERY_SECONDS:
            self._measured_at = time.monotonic()
            self._metrics = self._house.pages.metrics()
        scene = self._scene(phase)
        for alert in news:
            self.show.alert(alert, scene)
        self.show.update(self.figures, scene)

    def _scene(self, phase: str) -> Scene:
        lags = [
            value
            for topic in self._inputs
            for value in values(self._metrics, "streamapp_consumer_lag_records", topic=topic)
        ]
        settings, model = self._house.settings, self._house.model
        return Scene(
            title=f"Apache Kafka at {settings.broker.bootstrap}  |  worker {self._house.worker_pid}"
            f"  |  model {model.get('version')}",
            speed=self._plan.speed,
            shift_ms=self._shift,
            clock_ms=min(self._clock_ms, DAY_SECONDS * 1000),
            now_ms=_now_ms(),
            lag=int(sum(lags)),
            phase=phase,
            name_of=self.name_of,
        )

    def _report(self) -> DemoReport:
        scene = self._scene("")
        alerts: list[AlertReport] = [
            alert_report(seen, self._began_ms, scene.day_time(seen.newest.opened_at_ms))
            for seen in sorted(self.figures.alerts.values(), key=lambda each: each.newest.opened_at_ms)
        ]
        return make_report(
            self.figures, self._plan, self._published, alerts, self._seconds, self._house.model
        )

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - began


def settings_lines(plan: DemoPlan) -> list[str]:
    """What differs from a user's settings, and why."""
    return [
        f"Speed {plan.speed:.0f}: 6.5 hours in {plan.stream_seconds:g} s, dated so that the day ends now.",
        f"event_time.lateness_seconds = {plan.lateness_seconds:.0f} (default 120; at this speed ten real seconds):"
        " a minute is judged that much later.",
        f"event_time.backfill_after_seconds = {plan.backfill_after_seconds:.0f} (default 1800): above the stream's"
        " length, so that its alerts count as news.",
    ]


def stay(house: DemoHouse, wait: Callable[[float], None] = time.sleep) -> None:
    """Keeps everything up until a signal comes; raises DemoError when worker or broker end."""
    while True:
        house.check()
        wait(1.0)


def _now_ms() -> int:
    return int(time.time() * 1000)


__all__ = ["DemoError", "DemoRun", "settings_lines", "stay"]
