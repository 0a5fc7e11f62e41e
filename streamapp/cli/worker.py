"""`streamapp worker`: one process that scores posts and watches subjects."""

import logging
import os
import sys

from kafka.errors import KafkaError

from streamapp.cli.options import BrokerOption, ConfigFile, settings_from
from streamapp.console import EXIT_BROKER, EXIT_USAGE, stop
from streamapp.settings import SettingsError

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def worker(config: ConfigFile = None, broker: BrokerOption = None) -> None:
    """Score posts and watch subjects until SIGTERM. Start as many as there are partitions, at most.

    Exit code 0 after SIGTERM; anything else means: start me again (a supervisor's work).
    """
    settings = settings_from(config, broker)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    for chatty in ("aiokafka", "kafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Faust reads this one on import of its settings; a Kubernetes service named `web` would stop the import.
    os.environ.pop("WEB_PORT", None)
    from streamapp.app import run_worker  # noqa: PLC0415  # keeps the other commands quick to start
    from streamapp.cluster.identity import TopicIdentityError  # noqa: PLC0415
    from streamapp.contracts.bundle import BundleError  # noqa: PLC0415

    try:
        run_worker(settings)
    except (SettingsError, TopicIdentityError, BundleError) as error:
        raise stop(str(error), EXIT_USAGE) from error
    except KafkaError as error:
        raise stop(
            f"Kafka at {settings.broker.bootstrap}: {type(error).__name__}: {error}", EXIT_BROKER
        ) from error
