"""A real Alertmanager (Debian package) that tells a webhook at once, and may be stopped and started again.

The one on the shipped routes, which lives as long as a test, is in tests/harness/prometheus.py.
"""

import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from tests.deploy.files import tool
from tests.harness.prometheus import Webhook

START_SECONDS = 20.0

_CONFIG = """\
route:
  receiver: webhook
  group_by: [alertname, subject]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 24h
receivers:
  - name: webhook
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


def notifications(webhook: Webhook) -> list[dict[str, Any]]:
    """What was sent, in order of arrival."""
    return [payload for _, payload in list(webhook.received)]


class AlertmanagerProcess:
    """What it remembers is in its folder, as under a supervisor."""

    def __init__(self, folder: Path, port: int, webhook_url: str) -> None:
        self._program = tool("prometheus-alertmanager")
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "alertmanager.yml").write_text(_CONFIG.format(url=webhook_url), encoding="utf-8")

    def start(self) -> "AlertmanagerProcess":
        """Returns when it takes alerts."""
        with (self._folder / "alertmanager.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--config.file={self._folder / 'alertmanager.yml'}",
                    f"--storage.path={self._folder / 'alertmanager'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert time.monotonic() < deadline, (self._folder / "alertmanager.log").read_text()[-2000:]
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def alerts(self) -> list[dict[str, Any]]:
        """What it holds as active now."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            found: list[dict[str, Any]] = msgspec.json.decode(answer.read())
        return found

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1):
                return True
        except OSError:
            return False
