"""Composition root: settings in, a worker out. The only file that sees every part; nothing happens at import."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import faust
import mode
from aiokafka import AIOKafkaProducer
from faust.types import TP

from streamapp import metrics
from streamapp.agents.assignment import Assignment, AssignmentPlan
from streamapp.agents.event_stream import BytesSchema, EventStream
from streamapp.agents.first_model import FirstModel
from streamapp.agents.gap_reader import GapReader
from streamapp.agents.guard import Guard
from streamapp.agents.input_control import ControlPlan, InputControl
from streamapp.agents.inputs import Inputs
from streamapp.agents.kafka_transport import StreamApp
from streamapp.agents.labelling import Labelling, LabelTopics
from streamapp.agents.model_care import Beginning, Surroundings, look_after
from streamapp.agents.next_offsets import NextOffsets
from streamapp.agents.outbox import Outbox
from streamapp.agents.partition_ends import PartitionEnds
from streamapp.agents.pulse import PULSE_SECONDS, Pulse
from streamapp.agents.score import AGENT as SCORE
from streamapp.agents.score import ModelCare, OutputTopics, ScoreAgent, ScoreLimits, Scorer
from streamapp.agents.ticker import Ticker
from streamapp.agents.time_alignment import TimeAlignment
from streamapp.agents.trend_store import TrendStore
from streamapp.agents.watch import AGENT as WATCH
from streamapp.agents.watch import WatchAgent, WatchTimes, WatchTopics
from streamapp.cluster.access import aiokafka_options, faust_broker
from streamapp.cluster.coverage import unread_partitions
from streamapp.cluster.identity import (
    activity_partitions,
    adopt_or_refuse,
    input_partitions,
    refuse_recreated,
)
from streamapp.contracts import topics
from streamapp.core.frontier import FrontierTracker
from streamapp.core.label_caps import source_places
from streamapp.core.pausing import PauseRules
from streamapp.core.time_order import TimeOrder
from streamapp.health import HealthServer, LivenessWatch, Vitals
from streamapp.inference.model_loader import ModelLoader
from streamapp.inference.text_reader import TextReader
from streamapp.rules import input_rules, order_rules, watch_rules
from streamapp.settings import Settings
from streamapp.symbols import load_symbol_table

log = logging.getLogger(__name__)

# Longer than a broker takes to restart or to elect a leader, shorter than anyone's patience: after it the process
# stops without ack and its supervisor decides.
DELIVERY_TIMEOUT_SECONDS = 120.0
WRITE_STATE_SECONDS = 1.0
REBALANCE_SECONDS = 60.0
# To find Kafka, and to join a group whose workers finish what they have in hand. A worker without partitions by then,
# and by the end of `assignment_seconds`, hangs: it is ended.
START_SECONDS = 60.0 + REBALANCE_SECONDS
WATCH_MAX_EVENTS = 20_000


class Worker:
    """A built worker: its Faust app, what it serves, and its health page."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.names = {topic.name: settings.topics.prefix + topic.name for topic in topics.TOPICS}
        self.guard = Guard(
            settings.worker.session_timeout_seconds / 2, settings.worker.shutdown_timeout_seconds
        )
        self.vitals = Vitals(settings.worker.stall_timeout_seconds)
        self.app = build_faust_app(settings)
        self._unread: list[tuple[str, int]] = []
        self.beginning: Beginning
        self._score: ScoreAgent
        self.health = HealthServer((settings.http.host, settings.http.port), self.vitals, metrics.REGISTRY)
        self.liveness = LivenessWatch(self.vitals, settings.worker.stall_exit_seconds)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT (exit 0) or until something fails (exit not 0).

        The health pages answer before anything that may take long: a model that loads, or Kafka.
        """
        self.health.start()
        with closing(self.health):
            log.info("health and metrics on http://%s:%d", self.settings.http.host, self.health.port)
            self.vitals.block_ready("model", "is being loaded")
            self._load_model()
            self.vitals.ready("model")
            self._wire()
            self.vitals.loop_begins(START_SECONDS + assignment_seconds(self.settings))
            self.liveness.start()
            GuardedWorker(self.app, self.guard, self.vitals, self.liveness).execute_from_commandline()

    def _load_model(self) -> None:
        """The announced champion. A benchmark puts a model that costs nothing in its place.

        It may wait for as long as it takes: the worker is alive and not ready meanwhile, for the reason that
        `block_ready("model", ...)` was given last. What it raises ends the worker.
        """
        settings = self.settings
        loader = ModelLoader(settings.model, settings.batching)
        model, line = FirstModel(settings, loader, self.vitals, worker_name(settings)).load()
        log.info(
            "model %s serves on %s (%s)", model.version, model.model.provider, model.model.provider_reason
        )
        self.beginning = Beginning(model, line, loader)

    def _look_after_model(self, outbox: Outbox, partitions: int) -> tuple[TextReader, ModelCare | None]:
        """What reads texts with the model that serves, and who looks after that model."""
        around = Surroundings(
            worker=worker_name(self.settings),
            outbox=outbox,
            vitals=self.vitals,
            exchange=self._exchange,
            commit=self._commit,
            activity_partitions=partitions,
        )
        serving, swapper = look_after(self.settings, self.beginning, around)
        if self.settings.model.follow_announcements:
            self.app.task(swapper.run)
        return serving.reader, swapper

    def _wire(self) -> None:
        settings, names, app = self.settings, self.names, self.app
        outbox = Outbox(self._producer, DELIVERY_TIMEOUT_SECONDS, self.guard.check)
        inputs, partitions = self._inputs(), activity_partitions(settings)
        options = aiokafka_options(settings.broker)
        input_options = {**options, "isolation_level": settings.broker.isolation_level}
        gaps = GapReader(input_options)
        next_offsets = NextOffsets(gaps, app.pass_over)
        ends = PartitionEnds(app, next_offsets, gaps)
        ticker = Ticker(
            FrontierTracker(worker_name(settings), int(settings.event_time.caught_up_age_seconds * 1000)),
            inputs,
            outbox,
            (names["subject-activity"], partitions),
            lambda: ends.of(app.consumer.assignment()),
            lambda: app.time_order.next_ms(int(time.time() * 1000)),
        )
        store = TrendStore(names["subject-state"], watch_rules(settings), outbox, options)
        plan = AssignmentPlan(
            names["subject-activity"],
            {source.topic: source.start_at for source in settings.inputs},
            input_options,
            assignment_seconds(settings),
        )
        control = self._control(outbox, ticker, inputs, next_offsets)
        counts = input_partitions(settings, [name for name in inputs.topics if inputs.moves_time(name)])
        sources = {
            TP(name, p): (inputs.uuid_of(name), p) for name, count in counts.items() for p in range(count)
        }
        alignment = TimeAlignment(app, store, sources)
        assignment = Assignment(
            app, store, ticker, control, alignment, next_offsets=next_offsets, vitals=self.vitals, plan=plan
        )
        pulse = Pulse(app, ends, ticker, alignment, self.guard, self.vitals)

        async def prepare(*_: Any, **__: Any) -> None:
            # A topic recreated under a running worker shows as a rebalance: its partitions went and came.
            uuids = {topic: inputs.uuid_of(topic) for topic in inputs.topics}
            await asyncio.to_thread(refuse_recreated, settings, uuids)
            await assignment.prepare()
            await self._claim_unread([*inputs.topics, names["subject-activity"]])

        app.on_partitions_revoked.connect(assignment.revoked, weak=False)
        app.on_rebalance_complete.connect(prepare, weak=False)
        app.task(pulse.run)
        app.task(pulse.tell)
        app.task(ends.run)
        scorer = self._scorer(inputs, *self._look_after_model(outbox, partitions))
        self._score = self._score_agent(scorer, outbox, ticker, control)
        self._register(SCORE, inputs.topics, self._score.consume)
        self._register(
            WATCH,
            [names["subject-activity"]],
            self._watch_agent(store, outbox, alignment, next_offsets).consume,
        )

    async def _claim_unread(self, topic_names: list[str]) -> None:
        """Ask for another assignment, once for the same partitions, where this one leaves some to nobody."""
        unread = await asyncio.to_thread(unread_partitions, self.settings, topic_names)
        if unread and unread != self._unread:
            log.warning("nobody reads %s: asking for another assignment", unread)
            self.app.rejoin_group()
        self._unread = unread

    def _control(
        self, outbox: Outbox, ticker: Ticker, inputs: Inputs, next_offsets: NextOffsets
    ) -> InputControl:
        limits = self.settings.dead_letters
        return InputControl(
            self.app,
            outbox,
            ticker,
            self.vitals,
            next_offsets=next_offsets,
            plan=ControlPlan(
                state_topic=self.names["service-state"],
                inputs=inputs.topics,
                rules=PauseRules(
                    in_a_row=limits.pause_after_in_a_row,
                    share=limits.pause_share,
                    window_records=limits.pause_share_window_posts,
                ),
            ),
            consumer_options=aiokafka_options(self.settings.broker),
        )

    def _score_agent(
        self, scorer: Scorer, outbox: Outbox, ticker: Ticker, control: InputControl
    ) -> ScoreAgent:
        settings = self.settings
        return ScoreAgent(
            scorer,
            outbox,
            ticker,
            control,
            topics=OutputTopics(
                self.names["scored-posts"], self.names["subject-activity"], self.names["dead-letters"]
            ),
            limits=ScoreLimits(settings.batching.max_posts, settings.batching.max_batches_in_flight),
            labelling=self._labelling(scorer.inputs),
        )

    def _labelling(self, inputs: Inputs) -> Labelling:
        settings = self.settings
        # Redriven posts have no place among these: the audit draws them too, nothing else does.
        topic_names = list(dict.fromkeys(source.topic for source in settings.inputs))
        partitions = input_partitions(settings, topic_names)
        places = source_places({inputs.uuid_of(name): partitions[name] for name in topic_names})
        topics = LabelTopics(self.names["label-requests"], self.names["labels"])
        return Labelling.of(settings.labels, places, topics)

    def _scorer(self, inputs: Inputs, reader: TextReader, care: ModelCare | None) -> Scorer:
        symbols_file = self.settings.intake.symbols_file
        symbols = load_symbol_table(Path(symbols_file) if symbols_file else None)
        return Scorer(inputs, reader, symbols, care)

    def _watch_agent(
        self, store: TrendStore, outbox: Outbox, alignment: TimeAlignment, next_offsets: NextOffsets
    ) -> WatchAgent:
        names = self.names
        return WatchAgent(
            store,
            outbox,
            alignment,
            next_offsets,
            topics=WatchTopics(
                names["subject-activity"],
                names["subject-trends"],
                names["alerts"],
                names["dead-letters"],
                names["label-requests"] if self.settings.labels.enabled else None,
            ),
            times=WatchTimes(
                WRITE_STATE_SECONDS, WATCH_MAX_EVENTS, self.settings.event_time.backfill_after_seconds
            ),
        )

    def _inputs(self) -> Inputs:
        settings, redriven = self.settings, self.names["redriven"]
        sources = [source.topic for source in settings.inputs]
        uuids = adopt_or_refuse(settings, [*sources, redriven])
        return Inputs(
            {source.topic: input_rules(source, settings) for source in settings.inputs}, redriven, uuids
        )

    def _register(self, name: str, topic_names: Any, consume: Any) -> None:
        topic = self.app.topic(*topic_names, schema=BytesSchema())
        # An agent that raises must stop the process: Faust's default would acknowledge and carry on.
        self.app.agent(topic, name=name, supervisor_strategy=mode.CrashingSupervisor)(consume)

    async def _exchange(self, change: Callable[[], Awaitable[None]]) -> None:
        await self._score.exchange(change)

    async def _commit(self) -> None:
        await self.app.consumer.commit()

    def _producer(self) -> AIOKafkaProducer:
        return self.app.producer._producer


class GuardedWorker(faust.Worker):
    """Faust's process runner, with a budget for its shutdown."""

    def __init__(self, app: StreamApp, guard: Guard, vitals: Vitals, liveness: LivenessWatch) -> None:
        self._guard = guard
        self._vitals = vitals
        self._liveness = liveness
        super().__init__(app, loglevel="info", redirect_stdouts=False, override_logging=False)

    async def on_start(self) -> None:
        """Begin to tick before the app starts: its first partitions may take longer than a dead loop may."""
        await super().on_start()
        self.add_future(self._tick())

    async def _tick(self) -> None:
        while not self.should_stop:
            self._vitals.tick()
            await asyncio.sleep(PULSE_SECONDS)

    def _schedule_shutdown(self, signal: Any) -> None:
        self._liveness.close()
        self._guard.shutdown_began()
        super()._schedule_shutdown(signal)

    def on_worker_shutdown(self) -> None:
        """Also the way down after a crash."""
        self._liveness.close()
        self._guard.shutdown_began()
        super().on_worker_shutdown()


def build_faust_app(settings: Settings) -> StreamApp:
    """The Faust app with every delivery-relevant setting stated (design 6.8); nothing is connected yet."""
    worker = settings.worker
    broker, credentials = faust_broker(settings.broker)
    return StreamApp(
        settings.worker.group,
        fast_consumer=worker.fast_consumer,
        ordered_topics=[source.topic for source in settings.inputs],
        time_order=TimeOrder(order_rules(settings.event_time)),
        isolation_level=settings.broker.isolation_level,
        broker=broker,
        broker_credentials=credentials,
        broker_session_timeout=worker.session_timeout_seconds,
        broker_heartbeat_interval=worker.heartbeat_seconds,
        broker_request_timeout=max(40.0, worker.session_timeout_seconds + 10),
        broker_rebalance_timeout=REBALANCE_SECONDS,
        broker_max_poll_interval=300.0,
        broker_commit_interval=worker.commit_interval_seconds,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=worker.instance_id,
        consumer_max_fetch_size=4 * 1024 * 1024,
        # Messages of one delivery leave together anyway: nothing is sent before the event loop turns. A linger would
        # only delay every delivery by its whole length (docs/experiments.md).
        producer_linger=0.0,
        producer_max_batch_size=262_144,
        producer_request_timeout=30.0,
        producer_max_request_size=settings.intake.max_record_bytes + 65_536,
        stream_buffer_maxsize=worker.buffer_messages,
        stream_wait_empty=True,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        Stream=EventStream,
        store="memory://",
        value_serializer="raw",
        key_serializer="raw",
    )


def assignment_seconds(settings: Settings) -> float:
    """How long the preparation of an assignment, with the reading of trend state, may take."""
    return settings.worker.session_timeout_seconds * 2


def worker_name(settings: Settings) -> str:
    """The stable name of this worker in ticks and events."""
    return settings.worker.instance_id or f"{socket.gethostname()}-{os.getpid()}"


def run_worker(settings: Settings) -> None:
    """Build and serve. SIGTERM ends it with exit code 0 also before Faust listens to signals."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.set_event_loop(asyncio.new_event_loop())
    Worker(settings).run()
