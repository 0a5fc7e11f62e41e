"""What `serve` and `once` share: the parts of the service from the settings, stopping by signal, errors as one line."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Timer
from typing import Final

from kafka.errors import KafkaError

from retrain.author_key import KeyFileError
from retrain.cli.options import EXIT_STORE
from retrain.label_classes import LabelClasses
from retrain.label_following import follow_labels
from retrain.label_store import LabelStoreError
from retrain.label_topics import LabelTopicsError
from retrain.patience import BrokenPartError
from retrain.publish import PublishedModels
from retrain.run_book import BusyError, RunBook, RunBookError
from retrain.run_show import RunShow
from retrain.runs import ChildRunner, RunLimits
from retrain.service import ServiceParts
from retrain.settings import RetrainSettings
from retrain.track_keeping import keeper_of
from streamapp.cluster.kafka_clients import StalledReadError
from streamapp.console import EXIT_BROKER, EXIT_USAGE, console, stop
from streamapp.contracts.bundle import BundleError
from streamapp.health import Vitals
from streamapp.inference.label_classes import label_limits
from streamapp.settings import SettingsError

EXIT_BUSY: Final = 8
EXIT_STOP_TOO_LONG: Final = 72
STOP_MARGIN_SECONDS: Final = 15.0
LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
HOUR_SECONDS: Final = 3600.0
# The loop ticks four times a second; only what the health page itself judges by agents needs this.
STALL_TIMEOUT_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


def log_to_stderr() -> None:
    """Lines for people and collectors; Kafka's own chatter only where it warns."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    for chatty in ("kafka", "apscheduler", "stamina", "mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def stop_event(settings: RetrainSettings) -> tuple[Event, list[int]]:
    """An event that SIGTERM and SIGINT set, and the signals that came. The process outlives the first one by no more
    than `run.grace_seconds` and a margin: what it waits for then is a broker or a store, and all is kept already.
    """
    stopping, numbers = Event(), list[int]()
    budget_seconds = settings.run.grace_seconds + STOP_MARGIN_SECONDS

    def give_up() -> None:
        log.critical("stopping took more than %.0f s: ending as it is, nothing is lost", budget_seconds)
        logging.shutdown()
        os._exit(EXIT_STOP_TOO_LONG)

    def note(number: int, _frame: object) -> None:
        if not numbers:
            watchdog = Timer(budget_seconds, give_up)
            watchdog.daemon = True
            watchdog.start()
        numbers.append(number)
        stopping.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, note)
    return stopping, numbers


def parts_of(settings: RetrainSettings, vitals: Vitals) -> ServiceParts:
    """The service's parts as the settings say. Raises BundleError, RunBookError, SettingsError."""
    run = settings.run
    limits = RunLimits(
        max_seconds=run.max_hours * HOUR_SECONDS,
        max_memory_bytes=run.max_memory_bytes,
        grace_seconds=run.grace_seconds,
    )
    show, book = RunShow(vitals, console), RunBook(Path(run.folder))
    labels = settings.labels
    classes = LabelClasses(label_limits(labels.bundle, labels.max_text_chars))
    return ServiceParts(
        settings=settings,
        book=book,
        models=PublishedModels(settings),
        child=ChildRunner(limits),
        show=show,
        vitals=vitals,
        follow_labels=lambda should_stop: follow_labels(settings, classes, show, should_stop),
        classes=classes,
        tracks=keeper_of(settings, book),
    )


@contextlib.contextmanager
def one_line_errors(settings: RetrainSettings) -> Iterator[None]:
    """What the service raises as one line and an exit code; nothing of it is lost, a start takes it up again."""
    try:
        yield
    except BusyError as error:
        raise stop(str(error), EXIT_BUSY) from error
    except (SettingsError, BundleError, LabelTopicsError) as error:
        raise stop(str(error), EXIT_USAGE) from error
    except BrokenPartError as error:
        where = f" (Kafka at {settings.broker.bootstrap})" if error.part == "broker" else ""
        raise stop(f"{error}{where}", EXIT_BROKER if error.part == "broker" else EXIT_STORE) from error
    except (KafkaError, StalledReadError) as error:
        name = type(error).__name__
        raise stop(f"Kafka at {settings.broker.bootstrap}: {name}: {error}", EXIT_BROKER) from error
    except (LabelStoreError, KeyFileError, RunBookError) as error:
        raise stop(str(error), EXIT_STORE) from error
