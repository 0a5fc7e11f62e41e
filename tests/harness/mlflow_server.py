"""A real MLflow server of its own, as docker-compose.yml starts it, and an empty database made once."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from retrain.tracking import ENVIRONMENT
from tests.harness.cluster import wait_until


def mlflow() -> Any:
    """MLflow's client, quiet; skips where it is not installed (extras `dev` and `retrain`)."""
    os.environ.update(ENVIRONMENT)
    return pytest.importorskip("mlflow", reason="MLflow is in the extras retrain and dev")


def client_of(uri: str) -> Any:
    """What asks MLflow behind our back."""
    return mlflow().MlflowClient(tracking_uri=uri, registry_uri=uri)


def new_database(template_folder: Path, path: Path) -> Path:
    """An empty database at `path`; its tables take seconds to make, so they are made once in `template_folder`."""
    template = template_folder / "mlflow.sqlite"
    if not template.exists():
        client_of(f"sqlite:///{template}").search_experiments()
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, path)
    return path


class MlflowServer:
    """`mlflow server` with the given arguments."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], port: int, environment: Mapping[str, str]
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "mlflow-server.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *arguments, "--port", str(port)],
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **ENVIRONMENT, **environment},
                start_new_session=True,
            )

    def wait_ready(self) -> "MlflowServer":
        wait_until(self.answers, 120, f"MLflow's server, see {self.log}")
        return self

    def close(self) -> None:
        """With the workers that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.wait(10)

    def answers(self) -> bool:
        """Whether its page of health is there."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
