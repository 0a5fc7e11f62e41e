"""Settings of the retrain service: one TOML file, environment over it, read once into frozen values.

An environment variable is `RETRAIN_<GROUP>__<FIELD>`; `RETRAIN_CONFIG` names the file. A misspelt key or variable
stops the start with its name. The rules are those of streamapp/settings.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from retrain.core.quality import QualityRules
from retrain.core.run_settings import GateSettings, TrainingSettings
from retrain.core.trigger import ScheduleError, TriggerRules, check_rules
from streamapp.settings import BrokerAccess, SettingsError, SettingsGroup, TopicSettings, read_settings

ENVIRONMENT_PREFIX: Final = "RETRAIN_"
LOCAL_TRACKING: Final = "local"
TRACKING_SERVERS: Final = ("http", "https")
TRACKING_DATABASES: Final = ("sqlite", "postgresql", "mysql", "mssql")


class StoreSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where labels are kept: one SQLite file, its key for author ids beside it (`<path>.key`, mode 0600).

    Posts that nobody labelled are forgotten after `unlabelled_days`.
    """

    path: str = "retrain-labels.sqlite"
    unlabelled_days: float = 30.0


class LabelSettings(SettingsGroup, frozen=True, kw_only=True):
    """How `labels` is read. `bundle` is the folder of the first champion, whose topics a label may name until the
    announced one is known; empty: the starter model.

    A broker or a store that fails is tried again for `patience_seconds`, then the process ends.
    """

    group: str = "retrain"
    bundle: str = ""
    max_text_chars: int = 20_000
    patience_seconds: float = 120.0


class ModelStoreSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where bundles are published: a folder or any fsspec URL.

    `signing_key` (an unencrypted PEM file) signs them; with a `public_key` nothing is learnt from a champion that its
    other half did not sign. Both need the extra `signing`.
    """

    url: str = "models"
    signing_key: str = ""
    public_key: str = ""


class ScheduleSettings(SettingsGroup, frozen=True, kw_only=True):
    """When a run begins by itself (core/trigger.py says what each number means); zero or empty switches a rule off."""

    cron: str = "0 3 * * *"
    timezone: str = "UTC"
    new_labels: int = 200
    fewest_new_labels: int = 20
    rest_minutes: float = 30.0

    def rules(self) -> TriggerRules:
        """The rules as core knows them."""
        return TriggerRules(
            cron=self.cron,
            timezone=self.timezone,
            new_labels=self.new_labels,
            fewest_new_labels=self.fewest_new_labels,
            rest_seconds=self.rest_minutes * 60.0,
        )


class QualitySettings(SettingsGroup, frozen=True, kw_only=True):
    """What the estimate of quality looks at, and its limits (core/quality.py).

    `follow` off reads no scored posts. The estimate is over the last `window_hours`; without figures in the bundle
    the first `reference_posts` of a channel under a champion are what later ones are compared with.
    """

    follow: bool = True
    window_hours: int = 24
    reference_posts: int = 2_000
    accuracy_drop: float = 0.05
    least_accuracy: float = 0.0
    drift_limit: float = 0.25
    fewest_posts: int = 500

    def rules(self) -> QualityRules:
        """The limits as core knows them."""
        return QualityRules(
            accuracy_drop=self.accuracy_drop,
            least_accuracy=self.least_accuracy,
            drift_limit=self.drift_limit,
            fewest_posts=self.fewest_posts,
        )


class RunSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where runs are kept and what one may take; zero means no limit.

    A child that fails is started `most_starts` times in all, each time from its last checkpoint. A broker or model
    store that does not answer is asked again for `patience_seconds`, then the process ends and the run stays open.
    Of ended runs the newest `keep` keep their files. `golden` and `rehearsal` are JSONL files; empty: what ships.
    """

    folder: str = "retrain-runs"
    golden: str = ""
    rehearsal: str = ""
    max_hours: float = 12.0
    max_memory_bytes: int = 0
    grace_seconds: float = 20.0
    most_starts: int = 3
    patience_seconds: float = 900.0
    keep: int = 5


class TrackingSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where runs are told to MLflow: the address of a server or of a database. Empty: nowhere.

    `local` is a SQLite file in `run.folder`, where the extra `retrain` is installed. An address may hold a user and a
    password, which are never shown. `files_url` is where an experiment that is made here keeps its files (empty: as the
    server says; of a database: in `run.folder`). After `patience_seconds` without an answer it is left for later.
    """

    uri: str = LOCAL_TRACKING
    experiment: str = "streamapp retrain"
    files_url: str = ""
    patience_seconds: float = 60.0

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        hidden = {**msgspec.structs.asdict(self), "uri": without_userinfo(self.uri)}
        return list(hidden.items())

    def __repr__(self) -> str:
        return f"TrackingSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class HttpSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where /metrics, /livez and /readyz answer. Port 0 takes a free one, which the log names."""

    host: str = "127.0.0.1"
    port: int = 9466


class RetrainSettings(SettingsGroup, frozen=True, kw_only=True):
    """Everything the retrain service can be told."""

    broker: BrokerAccess = BrokerAccess()
    topics: TopicSettings = TopicSettings()
    store: StoreSettings = StoreSettings()
    labels: LabelSettings = LabelSettings()
    model_store: ModelStoreSettings = ModelStoreSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    quality: QualitySettings = QualitySettings()
    run: RunSettings = RunSettings()
    training: TrainingSettings = TrainingSettings()
    gate: GateSettings = GateSettings()
    tracking: TrackingSettings = TrackingSettings()
    http: HttpSettings = HttpSettings()


def load_retrain_settings(
    path: Path | None = None, environment: Mapping[str, str] | None = None
) -> RetrainSettings:
    """Settings from the TOML file at `path` (or named by RETRAIN_CONFIG), then environment, then defaults."""
    settings = read_settings(RetrainSettings, ENVIRONMENT_PREFIX, path, environment)
    try:
        check_rules(settings.schedule.rules())
    except ScheduleError as error:
        raise SettingsError(f"settings: schedule: {error}") from error
    _check_tracking(settings.tracking.uri)
    return settings


def without_userinfo(address: str) -> str:
    """An address without user, password and query: those may be secrets."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "***"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _check_tracking(uri: str) -> None:
    known = (*TRACKING_SERVERS, *TRACKING_DATABASES)
    if uri in ("", LOCAL_TRACKING):
        return
    try:
        scheme = urlsplit(uri).scheme.partition("+")[0]
    except ValueError:
        scheme = ""
    if scheme not in known:
        raise SettingsError(
            f"settings: tracking.uri begins with none of {', '.join(known)}, and is not 'local'"
        )
