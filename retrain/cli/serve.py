"""`retrain serve`: labels in, runs by schedule and need, better models announced, until SIGTERM."""

import logging

from retrain import metrics
from retrain.cli.options import ConfigFile, settings_from
from retrain.cli.serving import STALL_TIMEOUT_SECONDS, log_to_stderr, one_line_errors, parts_of, stop_event
from retrain.patience import StoppedError
from retrain.service import RetrainService
from streamapp.health import HealthServer, Vitals

log = logging.getLogger(__name__)


def serve(config: ConfigFile = None) -> None:
    """Keep labels and retrain when it is due, until SIGTERM (exit code 0); a run that is cut short goes on at the next
    start. Any other exit code means: start me again. Nothing was lost.
    """
    settings = settings_from(config)
    log_to_stderr()
    stopping, _ = stop_event(settings)
    vitals = Vitals(STALL_TIMEOUT_SECONDS)
    with one_line_errors(settings):
        health = HealthServer((settings.http.host, settings.http.port), vitals, metrics.REGISTRY)
        health.start()
        log.info("pages at http://%s:%d/metrics, /livez and /readyz", settings.http.host, health.port)
        try:
            RetrainService(parts_of(settings, vitals)).run(stopping.is_set)
        except StoppedError:
            log.info("stopped")
        finally:
            health.close()
