"""What a worker says of itself over HTTP: /readyz and /metrics, read as anyone would."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_SECONDS: Final = 2.0

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class WorkerPages:
    """The health pages of one worker."""

    def __init__(self, address: str) -> None:
        self.address = address

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether /readyz says yes, and all that it says; (False, {}) where nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=TIMEOUT_SECONDS) as answer:
                return True, json.load(answer)
        except urllib.error.HTTPError as error:
            return False, json.loads(error.read() or b"{}")
        except OSError:
            return False, {}

    def metrics(self) -> Samples:
        """Every sample of /metrics by name and labels; empty where nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.address}/metrics", timeout=TIMEOUT_SECONDS) as answer:
                return parse_metrics(answer.read().decode())
        except OSError:
            return {}


def parse_metrics(page: str) -> Samples:
    """The samples of a page in Prometheus' text format."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def values(samples: Samples, name: str, **labels: str) -> list[float]:
    """The values of the samples of that name whose labels include these."""
    wanted = set(labels.items())
    return [value for (found, own), value in samples.items() if found == name and wanted <= set(own)]
