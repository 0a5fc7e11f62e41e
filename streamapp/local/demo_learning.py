"""`streamapp demo-learning`: labels arrive, a model is trained and judged, and a worker that serves exchanges it.

Tells the run from begin to end with the commands that a user runs; what is planned, counted and shown lives in the
files beside it. It sees only what any user sees: topics, output of commands, files in the model store.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from streamapp.cluster.kafka_clients import open_producer
from streamapp.contracts.messages import Channel
from streamapp.local.demo_house import DemoError, DemoHouse
from streamapp.local.demo_learning_figures import FOLLOWED, LearningFigures, meanings
from streamapp.local.demo_learning_plan import (
    LearningFiles,
    LearningPlan,
    json_lines,
    label_lines,
    old_posts,
    retrain_settings,
    settings_lines,
)
from streamapp.local.demo_learning_progress import TrainingProgress
from streamapp.local.demo_learning_report import (
    LearningReport,
    RetrainResult,
    differences,
    keep_report,
    read_gate_report,
)
from streamapp.local.demo_learning_show import LearningShow
from streamapp.local.demo_learning_stream import Tempo, paced
from streamapp.local.publisher import Pace, Progress, ReplayThread, publish
from streamapp.local.sample import CHANNELS, load_sample
from streamapp.local.shown_command import CommandTooLongError, ShownCommand
from streamapp.local.stream_reader import StreamReader

POLL_SECONDS: Final = 0.2
# Training ends by its own limit (run.max_hours), which is longer than anything else here.
IMPORT_SECONDS: Final = 120.0
VERDICT_SECONDS: Final = 120.0
SWAP_SECONDS: Final = 180.0
TRAINING: Final = "training"


class LearningRun:
    """One run. `house` is opened here and closed by the caller, whatever happens; `close` ends what runs besides."""

    def __init__(self, plan: LearningPlan, house: DemoHouse, show: LearningShow, kept: Path) -> None:
        self._plan, self._house, self._show, self._kept = plan, house, show, kept
        self._files = LearningFiles(house.files.folder)
        self._day = load_sample()
        self._inputs: dict[Channel, str] = {channel: plan.input_topic(channel) for channel in CHANNELS}
        self._tempo = Tempo()
        self._progress = TrainingProgress(self._files.runs)
        self._command: ShownCommand | None = None
        self._replay: ReplayThread | None = None
        self._seconds: dict[str, float] = {}
        self.figures = LearningFigures(plan.prefix, self._inputs.values(), meanings(self._day))
        self.kept_files: list[Path] = []

    def run(self) -> LearningReport:
        """Everything but the clean-up. Raises DemoError, BrokerError and Kafka's errors."""
        self._set_up()
        topics = [*self._inputs.values(), *(self._plan.prefix + topic.name for topic in FOLLOWED)]
        with StreamReader(self._house.settings.broker, topics) as reader:
            self._replay = self._start_replay()
            with self._phase("first posts"):
                self._read_first_posts(reader)
            with self._phase("labels"):
                self._bring_labels(reader)
            with self._phase("retrain"):
                result, cpu_seconds = self._retrain(reader)
            if result.result == "promoted":
                with self._phase("swap"):
                    self._watch_swap(reader)
            with self._phase("last posts"):
                self._finish(reader)
            published = sum(sum(reader.end_offsets(topic).values()) for topic in self._inputs.values())
        self._show.close()
        return self._report(result, cpu_seconds, published)

    def close(self) -> None:
        """Ends the replay and the command that runs, whatever state they are in."""
        if self._command is not None:
            self._command.kill()
            self._command = None
        if self._replay is not None:
            self._replay.stop()
            self._replay = None

    def _set_up(self) -> None:
        say, plan = self._show.say, self._plan
        with self._phase("broker"):
            bootstrap = self._house.open_broker()
        with self._phase("topics"):
            number = self._house.create_topics()
        say(f"Created {number} topics {plan.prefix}* on {bootstrap}")
        say(f"Starting the worker: {' '.join(self._house.worker_command())}")
        with self._phase("worker"):
            self._house.start_worker()
        model = self._house.model
        say(f"The worker is ready after {self._seconds['worker']:.1f} s: model {model.get('version')}")
        for line in settings_lines(plan):
            say(line)

    def _start_replay(self) -> ReplayThread:
        producer = open_producer(self._house.settings.broker)

        def work(progress: Progress, stop: threading.Event) -> None:
            try:
                publish(
                    paced(self._day, self._tempo, stop), producer, self._inputs, Pace(0, 0.0), progress, stop
                )
            finally:
                producer.close(timeout=5)

        return ReplayThread(work).start()

    def _read_first_posts(self, reader: StreamReader) -> None:
        plan = self._plan
        self._heading(f"1. The day begins: {plan.read_records} records, read by the model that ships")
        self._tempo.go(plan.read_records, plan.morning_rate)
        self._until(
            reader,
            "the day begins",
            VERDICT_SECONDS,
            lambda: self._accounted() >= plan.read_records,
            "every record has its verdict",
        )

    def _bring_labels(self, reader: StreamReader) -> None:
        labels = label_lines(self._day, self._plan)
        audits = sum(label.drawn == "audit" for label in labels)
        self._heading(
            f"2. Labels arrive: people have read {len(labels)} chat posts, {audits} of them drawn to judge"
        )
        self._files.labels.write_bytes(json_lines(labels))
        self._tempo.go(self._plan.trickle_until, self._plan.trickle_rate)
        import_command = ["streamapp", "labels", "import", str(self._files.labels)]
        code = self._run_command(
            reader,
            [*import_command, "--config", str(self._house.files.config)],
            self._files.import_log,
            "labels arrive",
            IMPORT_SECONDS,
        )
        if code != 0:
            raise DemoError(f"`streamapp labels import` ended with exit code {code}")
        self._until(
            reader,
            "labels arrive",
            IMPORT_SECONDS,
            lambda: self.figures.labels >= len(labels),
            "every label is in the topic",
        )

    def _retrain(self, reader: StreamReader) -> tuple[RetrainResult, float]:
        files = self._files
        self._heading(
            "3. A retrain: train on from the model that serves, then judge both; the stream goes on"
        )
        files.old_posts.write_bytes(json_lines(old_posts(self._day, self._plan)))
        settings = retrain_settings(self._plan, files, self._house.settings)
        files.retrain_config.write_bytes(msgspec.json.encode(settings))
        before = _children_cpu_seconds()
        code = self._run_command(
            reader,
            ["retrain", "once", "--config", str(files.retrain_config), "--json", str(files.result)],
            files.retrain_log,
            TRAINING,
        )
        cpu_seconds = _children_cpu_seconds() - before
        if not files.result.is_file():
            raise DemoError(f"`retrain once` ended with exit code {code}. Its log: {files.retrain_log}")
        result = msgspec.json.decode(files.result.read_bytes(), type=RetrainResult)
        self._show.say(f"The retrain took {cpu_seconds:.0f} CPU seconds: {result.result}")
        return result, cpu_seconds

    def _watch_swap(self, reader: StreamReader) -> None:
        self._heading(
            "4. The swap: fetched, verified, tried beside the serving model, exchanged between batches"
        )
        self._tempo.go(self._plan.keep_from, self._plan.swap_rate)
        self._until(
            reader,
            "the swap",
            SWAP_SECONDS,
            lambda: any(self.figures.has(event) for event in ("serving", "refused", "rolled_back")),
            "the worker serves the new model or says why not",
        )

    def _finish(self, reader: StreamReader) -> None:
        self._heading("5. The rest of the day: posts that nobody has labelled")
        self._tempo.go(len(self._day), self._plan.evening_rate)
        self._until(
            reader,
            "the rest of the day",
            VERDICT_SECONDS,
            lambda: self._accounted() >= len(self._day),
            "every record has its verdict",
        )

    def _accounted(self) -> int:
        return self.figures.scored + len(self.figures.dead)

    def _run_command(
        self, reader: StreamReader, words: list[str], log: Path, phase: str, seconds: float | None = None
    ) -> int:
        folder, environment = self._files.folder, self._house.environment
        self._command = ShownCommand(words, log, folder, environment, self._show.say)
        try:
            code = self._command.wait(lambda: self._step(reader, phase), seconds)
        except CommandTooLongError as error:
            raise DemoError(str(error)) from error
        self._command = None
        return code

    def _until(
        self, reader: StreamReader, phase: str, seconds: float, done: Callable[[], bool], what: str
    ) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                self._show.say(f"After {seconds:.0f} s still not: {what}. Judging what is there.", "red")
                return
            self._step(reader, phase)

    def _step(self, reader: StreamReader, phase: str) -> None:
        self._house.check()
        if self._replay is not None:
            self._replay.check()
        for record in reader.poll(POLL_SECONDS):
            news = self.figures.apply(record)
            if news is not None:
                self._show.say(f"  {news}", "cyan")
        if self.figures.announced is not None and self._tempo.until < self._plan.keep_from:
            self._tempo.go(self._plan.keep_from, self._plan.swap_rate)  # live traffic for the shadow run
        step = self._progress.newest() if phase == TRAINING else None
        self._show.update(self.figures, phase, step)

    def _heading(self, words: str) -> None:
        self._show.say(f"\n{words}", "bold")

    def _report(self, result: RetrainResult, cpu_seconds: float, published: int) -> LearningReport:
        candidate = self._files.runs / result.run_id / "work" / "candidate"
        if result.bundle_url is not None:
            candidate = Path(result.bundle_url.removeprefix("file://"))
        self.kept_files = keep_report(candidate, self._kept / (result.model_version or "refused"))
        posts, versions = self.figures.books(published), tuple(self.figures.versions())
        found = differences(result, posts, versions, cpu_seconds)
        return LearningReport(
            succeeded=not found,
            differences=tuple(found),
            retrain=result,
            gate=read_gate_report(candidate),
            posts=posts,
            versions=versions,
            labels=self.figures.labels,
            seconds={phase: round(spent, 1) for phase, spent in self._seconds.items()},
            retrain_cpu_seconds=round(cpu_seconds, 1),
            report_folder=str(self._kept),
        )

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - began


def _children_cpu_seconds() -> float:
    """Of every child that has ended, its own children included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
