"""`streamapp bridge`: surge alerts to Alertmanager."""

import logging
import signal
import sys
import threading

from kafka.errors import KafkaError

from streamapp import metrics
from streamapp.bridge.service import Bridge, TopicMissingError
from streamapp.cli.options import BrokerOption, ConfigFile, settings_from
from streamapp.cli.worker import LOG_FORMAT
from streamapp.cluster.kafka_clients import StalledReadError
from streamapp.console import EXIT_BROKER, EXIT_USAGE, stop
from streamapp.health import HealthServer, Vitals


def bridge(config: ConfigFile = None, broker: BrokerOption = None) -> None:
    """Tell Alertmanager which surges are open, every minute, until SIGTERM (exit 0)."""
    settings = settings_from(config, broker)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    vitals = Vitals(settings.worker.stall_timeout_seconds)
    health = HealthServer((settings.bridge.http_host, settings.bridge.http_port), vitals, metrics.REGISTRY)
    health.start()
    try:
        Bridge(settings, vitals).run(stopping.is_set)
    except TopicMissingError as error:
        raise stop(str(error), EXIT_USAGE) from error
    except (KafkaError, StalledReadError) as error:
        raise stop(
            f"Kafka at {settings.broker.bootstrap}: {type(error).__name__}: {error}", EXIT_BROKER
        ) from error
    finally:
        health.close()
