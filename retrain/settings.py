"""Settings of the retrain service: one TOML file, environment over it, read once into frozen values.

An environment variable is `RETRAIN_<GROUP>__<FIELD>`; `RETRAIN_CONFIG` names the file. A misspelt key or variable
stops the start with its name. The rules are those of streamapp/settings.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from streamapp.settings import BrokerAccess, SettingsGroup, TopicSettings, read_settings

ENVIRONMENT_PREFIX: Final = "RETRAIN_"


class StoreSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where labels are kept: one SQLite file, its key for author ids beside it (`<path>.key`, mode 0600).

    Posts that nobody labelled are forgotten after `unlabelled_days`.
    """

    path: str = "retrain-labels.sqlite"
    unlabelled_days: float = 30.0


class LabelSettings(SettingsGroup, frozen=True, kw_only=True):
    """How `labels` is read. `bundle` is the folder whose topics a label may name; empty: the starter model.

    A broker or a store that fails is tried again for `patience_seconds`, then the process ends.
    """

    group: str = "retrain"
    bundle: str = ""
    max_text_chars: int = 20_000
    patience_seconds: float = 120.0


class ModelStoreSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where bundles are published: a folder or any fsspec URL."""

    url: str = "models"


class HttpSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where /metrics and /livez answer. Port 0 takes a free one, which the log names."""

    host: str = "127.0.0.1"
    port: int = 9466


class RetrainSettings(SettingsGroup, frozen=True, kw_only=True):
    """Everything the retrain service can be told."""

    broker: BrokerAccess = BrokerAccess()
    topics: TopicSettings = TopicSettings()
    store: StoreSettings = StoreSettings()
    labels: LabelSettings = LabelSettings()
    model_store: ModelStoreSettings = ModelStoreSettings()
    http: HttpSettings = HttpSettings()


def load_retrain_settings(
    path: Path | None = None, environment: Mapping[str, str] | None = None
) -> RetrainSettings:
    """Settings from the TOML file at `path` (or named by RETRAIN_CONFIG), then environment, then defaults."""
    return read_settings(RetrainSettings, ENVIRONMENT_PREFIX, path, environment)
