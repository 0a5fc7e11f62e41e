"""A real Prometheus and a real Alertmanager on the shipped files; only addresses are the test's own."""

import json
import shutil
import signal
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.files import ALERTMANAGER, PROMETHEUS, tool
from tests.harness.cluster import free_port, wait_until


class Webhook:
    """Keeps what Alertmanager sends: (receiver, payload) in order."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, Any]]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path.strip("/"), json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
                """Not news."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def alerts(self, receiver: str, status: str, **labels: str) -> list[dict[str, Any]]:
        """Every alert of that status and with these labels, as often as it was sent."""
        return [
            alert
            for path, payload in list(self.received)
            if path == receiver
            for alert in payload["alerts"]
            if alert["status"] == status and labels.items() <= alert["labels"].items()
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server:
    """A process with an HTTP address that ends with the test."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self.address = f"127.0.0.1:{port}"
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            wait_until(self._answers, 30, f"{command[0]} answers: {log}")
        except BaseException:
            self.close()
            raise

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text(encoding="utf-8")[-3000:]
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def get(self, path: str, **query: str) -> Any:
        url = f"http://{self.address}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.loads(answer.read())

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)


class AlertmanagerServer(_Server):
    """The shipped routes; each receiver also calls `webhook_url`/NAME."""

    def __init__(self, folder: Path, webhook_url: str) -> None:
        config = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
        for receiver in config["receivers"]:
            receiver["webhook_configs"] = [
                {"url": f"{webhook_url}/{receiver['name']}", "send_resolved": True}
            ]
        file = folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        port = free_port()
        super().__init__(
            [
                tool("prometheus-alertmanager"),
                f"--config.file={file}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            port,
            folder / "alertmanager.log",
        )


class PrometheusServer(_Server):
    """The shipped configuration and rules, byte for byte; `targets` replaces files of the folder targets."""

    def __init__(self, folder: Path, targets: Mapping[str, Sequence[str]]) -> None:
        shipped = folder / "prometheus"
        shutil.copytree(PROMETHEUS, shipped)
        for name, addresses in targets.items():
            file = shipped / "targets" / f"{name}.yml"
            assert file.is_file(), f"the configuration reads no {file.name}"
            file.write_text(
                yaml.safe_dump([{"targets": list(addresses)}] if addresses else []), encoding="utf-8"
            )
        port = free_port()
        super().__init__(
            [
                tool("prometheus"),
                f"--config.file={shipped / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            port,
            folder / "prometheus.log",
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector of an expression."""
        result: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["data"]["result"]
        return result

    def firing(self, **labels: str) -> list[dict[str, Any]]:
        """Alerts that fire with these labels."""
        alerts = self.get("/api/v1/alerts")["data"]["alerts"]
        return [
            alert
            for alert in alerts
            if alert["state"] == "firing" and labels.items() <= alert["labels"].items()
        ]
