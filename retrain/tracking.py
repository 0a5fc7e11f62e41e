"""MLflow: runs, their figures and files, and the registry whose alias `champion` names the bundle that serves.

Whatever MLflow raises becomes TrackingError, without user and password. Everything may be repeated: what is there is
found by its key. Must not know when it is asked or what a run is.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from retrain.core.tracked import TrackedRun
from retrain.settings import LOCAL_TRACKING, TRACKING_SERVERS, TrackingSettings, without_userinfo
from streamapp.contracts.champion import Champion
from streamapp.core.foreign_text import printable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION_ALIAS: Final = "champion"
KEY_TAG: Final = "streamapp.key"
DIGEST_TAG: Final = "bundle_digest"
# A model of ours in a registry that others may use too.
OURS: Final = ("streamapp", "bundle")
MOST_FIGURES: Final = 1_000
MOST_VALUES: Final = 100
MOST_WORDS: Final = 300
# Read by MLflow at its import or at a request: no word to its makers, no log of its own, no minutes of asking again.
ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
# The error codes of a server that understood and says no; anything else may be different in a minute.
_REFUSALS: Final = frozenset(
    {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "PERMISSION_DENIED", "RESOURCE_CONFLICT", "INVALID_STATE"}
)


class TrackingError(RuntimeError):
    """MLflow did not do what it was asked; `refused`: it answered, and would answer the same again."""

    def __init__(self, words: str, *, refused: bool = False) -> None:
        super().__init__(words)
        self.refused = refused


def is_installed() -> bool:
    """Whether the extra `retrain` brought MLflow's client."""
    return find_spec("mlflow") is not None


class Tracking:
    """The experiment and the registry that the settings name; `folder` holds what the local database keeps beside it.

    Nothing is asked before the first call. Every method raises TrackingError and nothing else of MLflow's.
    """

    def __init__(self, settings: TrackingSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder.absolute()
        self._parts = urlsplit(settings.uri)
        self._client: MlflowClient | None = None
        self._experiment = ""

    @property
    def place(self) -> str:
        """Where it is, for people: without user and password."""
        return (
            f"{self._folder}/mlflow.sqlite"
            if self._settings.uri == LOCAL_TRACKING
            else without_userinfo(self._settings.uri)
        )

    def record(self, run: TrackedRun, files: Path) -> str:
        """MLflow's id of the run, with its figures and the files of the folder `files`; sent again it is completed."""
        with self._named() as client:
            found = client.search_runs([self._experiment], f"tags.`{KEY_TAG}` = '{run.key}'", max_results=1)
            tags = {**run.tags, KEY_TAG: run.key}
            made = found[0] if found else client.create_run(
                self._experiment, start_time=run.began_at_ms, tags=tags, run_name=run.name
            )  # fmt: skip
            run_id: str = made.info.run_id
            _log_values(client, run_id, run)
            if files.is_dir() and any(files.iterdir()):
                client.log_artifacts(run_id, str(files), "bundle")
            client.set_terminated(run_id, "FINISHED" if run.worked else "FAILED", run.ended_at_ms)
            return run_id

    def register(self, model: str, run_id: str, tags: Mapping[str, str]) -> str:
        """The version of `model` whose bundle has `tags`' digest; made from the run where there is none yet."""
        with self._named() as client:
            version = self._version(client, model, tags[DIGEST_TAG])
            if version is None:
                self._ensure_model(client, model)
                source = f"{client.get_run(run_id).info.artifact_uri}/bundle"
                version = client.create_model_version(
                    model, source, run_id, tags=dict(tags), await_creation_for=0
                )
            return str(version.version)

    def version_of(self, champion: Champion) -> str | None:
        """The registered version of the champion's bundle; None where there is none."""
        with self._named() as client:
            version = self._version(client, champion.model_name, champion.bundle_digest)
            return None if version is None else str(version.version)

    def point(self, champion: Champion, version: str, tags: Mapping[str, str]) -> bool:
        """The alias on this version, and on no other model of ours; whether anything had to be changed."""
        with self._named() as client:
            name, changed = champion.model_name, False
            for model in client.search_registered_models(filter_string=f"tags.{OURS[0]} = '{OURS[1]}'"):
                if model.name != name and CHAMPION_ALIAS in model.aliases:
                    client.delete_registered_model_alias(model.name, CHAMPION_ALIAS)
                    changed = True
            # Tags first: whoever finds the version by its alias reads what is true of it now.
            known = client.get_model_version(name, version).tags
            for key, value in tags.items():
                if known.get(key) != value:
                    client.set_model_version_tag(name, version, key, value)
            aliases = client.get_registered_model(name).aliases
            if str(aliases.get(CHAMPION_ALIAS, "")) != version:
                client.set_registered_model_alias(name, CHAMPION_ALIAS, version)
                changed = True
            return changed

    def _version(self, client: "MlflowClient", model: str, digest: str) -> "ModelVersion | None":
        found = client.search_model_versions(f"name = '{model}' and tags.{DIGEST_TAG} = '{digest}'")
        return min(found, key=lambda version: int(version.version), default=None)

    def _ensure_model(self, client: "MlflowClient", model: str) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            client.create_registered_model(model, tags=dict([OURS]))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @contextlib.contextmanager
    def _named(self) -> Iterator["MlflowClient"]:
        """The client; what goes wrong with it inside, with its words and without secrets."""
        _prepare(self._parts)
        try:
            yield self._client or self._connect()
        except Exception as error:  # noqa: BLE001  # what a server provokes in its client must not end who keeps labels
            # Not chained: a traceback of the cause may show the address with its password.
            refused = getattr(error, "error_code", "") in _REFUSALS
            raise TrackingError(self._words(error), refused=refused) from None

    def _connect(self) -> "MlflowClient":
        from mlflow import MlflowClient  # noqa: PLC0415

        uri = self._settings.uri
        if uri == LOCAL_TRACKING:
            self._folder.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{self._folder}/mlflow.sqlite"
        elif self._is_server:
            uri = self._parts._replace(netloc=self._parts.netloc.rpartition("@")[2]).geturl()
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._experiment = self._experiment_of(client)
        self._client = client
        return client

    def _experiment_of(self, client: "MlflowClient") -> str:
        name = self._settings.experiment
        known = client.get_experiment_by_name(name)
        if known is None:
            # A server knows where its files go; a bare database would put them into the working folder.
            beside = None if self._is_server else f"{self._folder.as_uri()}/mlflow-files"
            return str(client.create_experiment(name, artifact_location=self._settings.files_url or beside))
        return str(known.experiment_id)

    @property
    def _is_server(self) -> bool:
        return self._parts.scheme in TRACKING_SERVERS

    def _words(self, error: Exception) -> str:
        return safe_words(f"{type(error).__name__}: {error}", self._parts)


def safe_words(words: str, parts: SplitResult) -> str:
    """`words` for people, short, and without the user and password of the address."""
    for secret in (parts.netloc.rpartition("@")[0], parts.password, unquote(parts.password or "")):
        if secret:
            words = words.replace(secret, "***")
    return printable(words[:MOST_WORDS])


def _prepare(parts: SplitResult) -> None:
    """What MLflow takes from the environment alone; user and password too, so that no text of it has them."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if parts.scheme in TRACKING_SERVERS and parts.username is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")


def _log_values(client: "MlflowClient", run_id: str, run: TrackedRun) -> None:
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415

    params = [Param(name, value) for name, value in run.params.items()]
    figures = [Metric(name, value, run.ended_at_ms, 0) for name, value in run.figures.items()]
    tags = [RunTag(name, value) for name, value in run.tags.items()]
    for values, most, kind in (
        (params, MOST_VALUES, "params"), (tags, MOST_VALUES, "tags"), (figures, MOST_FIGURES, "metrics")
    ):  # fmt: skip
        for first in range(0, len(values), most):
            batch: dict[str, Any] = {kind: values[first : first + most]}
            client.log_batch(run_id, **batch)
