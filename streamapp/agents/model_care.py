"""Puts together what looks after the model in one worker: serving, following announcements, going back.

Wiring only; each part says in its own file what it decides.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from streamapp.agents.announcement_log import AnnouncementLog
from streamapp.agents.model_reporter import ModelReporter
from streamapp.agents.outbox import Outbox
from streamapp.agents.serving import Serving
from streamapp.agents.swapping import Swapper, SwapWay
from streamapp.agents.turning_back import Exchange, TurningBack
from streamapp.cluster.access import aiokafka_options
from streamapp.contracts.champion import Champion
from streamapp.contracts.topics import MODEL_ANNOUNCEMENTS, MODEL_EVENTS, SUBJECT_ACTIVITY
from streamapp.health import Vitals
from streamapp.inference.language import LanguageDetector
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.model_loader import ModelLoader
from streamapp.settings import Settings


class Beginning(Struct, frozen=True):
    """The model that a worker begins with, the line of champions up to it, and what loads the next ones."""

    model: MicroBatcher
    line: tuple[Champion, ...]
    loader: ModelLoader


class Surroundings(Struct, frozen=True, kw_only=True):
    """The rest of the worker, as far as its model needs it. `commit` commits what was acknowledged."""

    worker: str
    outbox: Outbox
    vitals: Vitals
    exchange: Exchange
    commit: Callable[[], Awaitable[object]]
    activity_partitions: int


def look_after(settings: Settings, beginning: Beginning, around: Surroundings) -> tuple[Serving, Swapper]:
    """The serving model, and what follows the announcements and exchanges it."""
    prefix, intake = settings.topics.prefix, settings.intake
    reporter = ModelReporter(
        around.worker,
        prefix + MODEL_EVENTS.name,
        around.outbox,
        around.vitals,
        cuda_wanted=settings.model.provider == "cuda",
    )

    def detector(languages: tuple[str, ...]) -> LanguageDetector:
        return LanguageDetector(languages, intake.language_probability, intake.language_min_letters)

    serving = Serving(
        beginning.line[-1], beginning.model, detector, settings.batching.duplicate_cache_posts, reporter
    )
    announced = AnnouncementLog(
        prefix + MODEL_ANNOUNCEMENTS.name, beginning.line, around.outbox, aiokafka_options(settings.broker)
    )
    turning = TurningBack(
        serving,
        announced,
        beginning.loader,
        reporter,
        settings=settings,
        worker=around.worker,
        exchange=around.exchange,
    )
    way = SwapWay(
        exchange=around.exchange,
        commit=around.commit,
        outbox=around.outbox,
        activity_topic=prefix + SUBJECT_ACTIVITY.name,
        activity_partitions=around.activity_partitions,
        worker=around.worker,
    )
    swapper = Swapper(
        serving, announced, beginning.loader, reporter, turning=turning, way=way, settings=settings.swap
    )
    return serving, swapper
