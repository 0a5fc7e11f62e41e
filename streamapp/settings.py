"""Settings: one TOML file, environment over it, read once into frozen values.

An environment variable is `STREAMAPP_<GROUP>__<FIELD>` (lists and tables as JSON). A misspelt key or variable
stops the start with its name. Nothing else in the service reads the environment.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from streamapp.contracts.messages import Channel

ENVIRONMENT_PREFIX = "STREAMAPP_"
# Read before settings exist (cache of the local broker's jars, path of the file itself), so no settings of ours.
_NOT_SETTINGS = frozenset({"CACHE_DIR", "CONFIG"})


class SettingsError(ValueError):
    """A setting that cannot be used; the text names the key and the file or variable it came from."""


class SettingsGroup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file; a key that it does not know stops the start."""


S = TypeVar("S", bound=SettingsGroup)


class BrokerAccess(SettingsGroup, frozen=True, kw_only=True):
    """How to reach Kafka. `sasl_password` is never shown, neither in a log nor in a traceback.

    TLS trusts `ssl_ca_file`, or what the system trusts. A broker that asks clients for a certificate is shown
    `ssl_cert_file`; its key is in `ssl_key_file`, or in the same file. All three are PEM.

    What writers of transactions have aborted is read like anything else, unless `isolation_level` is `read_committed`;
    then a record is read as soon as its transaction, and all that began before it, has ended.
    """

    bootstrap: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_ca_file: str | None = None
    ssl_cert_file: str | None = None
    ssl_key_file: str | None = None
    isolation_level: Literal["read_uncommitted", "read_committed"] = "read_uncommitted"

    @property
    def speaks_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def asks_for_user(self) -> bool:
        """Whether connections begin with a user and password."""
        return self.security_protocol.startswith("SASL_")

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        hidden = {**msgspec.structs.asdict(self), "sasl_password": self.sasl_password and "***"}
        return list(hidden.items())

    def __repr__(self) -> str:
        return f"BrokerAccess({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class TopicSettings(SettingsGroup, frozen=True, kw_only=True):
    """Names and sizes of our own topics. `prefix` stands before each of our names, not before input names."""

    prefix: str = ""
    partitions: int = 4
    replication: int = 3
    min_insync_replicas: int = 2


class FieldMapping(SettingsGroup, frozen=True, kw_only=True):
    """Where in the user's JSON each part of a post is. Paths are dotted (`article.title`).

    `text` may name several fields; those present are joined by a full stop and a blank.
    """

    id: str | None = "id"
    text: tuple[str, ...] = ("text",)
    time: str | None = "published_at"
    time_format: Literal["auto", "rfc3339", "epoch_s", "epoch_ms"] = "auto"
    source: str | None = "source"
    symbols: str | None = "symbols"


class InputSettings(SettingsGroup, frozen=True, kw_only=True):
    """One input topic. `start_at` counts only where the group has no committed offset: earliest, latest or a time."""

    topic: str
    channel: Channel
    fields: FieldMapping = FieldMapping()
    start_at: str = "earliest"


class WorkerSettings(SettingsGroup, frozen=True, kw_only=True):
    """One worker process. `instance_id` must be stable over restarts and unique in the group.

    An agent that acknowledges nothing for `stall_timeout_seconds` while records wait fails /livez; after
    `stall_exit_seconds` more the process ends itself.
    """

    group: str = "streamapp"
    instance_id: str | None = None
    session_timeout_seconds: float = 30.0
    heartbeat_seconds: float = 3.0
    commit_interval_seconds: float = 1.0
    shutdown_timeout_seconds: float = 45.0
    stall_timeout_seconds: float = 60.0
    stall_exit_seconds: float = 30.0
    fast_consumer: bool = True
    buffer_messages: int = 65_536


class ModelSettings(SettingsGroup, frozen=True, kw_only=True):
    """Which bundle serves and on what. `bundle` is a folder; empty means the starter model that ships.

    It serves until another is announced; workers of one group name the same one. `store` is the folder or URL where
    bundles are published, `cache` the folder of fetched ones (empty: the user's cache folder). `sessions` 0 means one
    per core that this process may use. With a `public_key` (a PEM file) only bundles that its private half signed are
    taken from a store; `signing_key` is that half, where `streamapp models` publishes.
    """

    bundle: str = ""
    follow_announcements: bool = True
    store: str = ""
    cache: str = ""
    public_key: str = ""
    signing_key: str = ""
    provider: Literal["cpu", "cuda"] = "cpu"
    sessions: int = 0
    max_tokens: int = 256
    cuda_memory_limit_bytes: int = 4 * 1024**3


class SwapSettings(SettingsGroup, frozen=True, kw_only=True):
    """How an announced model earns its place; core/admission.py and core/probation.py say what each limit means.

    It is compared on the last `shadow_recent_posts`, then on live ones until `shadow_posts` or `shadow_seconds`, in at
    most `shadow_share` of the worker's time. Then it serves, watched for `probation_seconds`.
    """

    shadow_recent_posts: int = 500
    shadow_posts: int = 500
    shadow_seconds: float = 60.0
    shadow_share: float = 0.1
    least_posts: int = 50
    most_disagreement: float = 0.5
    most_label_shift: float = 0.5
    most_slowdown: float = 5.0
    probation_seconds: float = 3600.0
    probation_least_posts: int = 200
    probation_most_error_share: float = 0.05
    probation_most_slowdown: float = 3.0
    store_retry_seconds: float = 10.0


class BatchSettings(SettingsGroup, frozen=True, kw_only=True):
    """How posts become batches. Token budgets count padding."""

    max_posts: int = 256
    token_budget: int = 256
    max_batches_in_flight: int = 3
    duplicate_cache_posts: int = 50_000


class EventTimeSettings(SettingsGroup, frozen=True, kw_only=True):
    """Event time (design section 3)."""

    lateness_seconds: float = 120.0
    watermark_allowance_seconds: float = 1800.0
    caught_up_age_seconds: float = 5.0
    future_tolerance_seconds: float = 600.0
    backfill_after_seconds: float = 1800.0


class SurgeSettings(SettingsGroup, frozen=True, kw_only=True):
    """When negative stories are a surge; core/surge.py says what each number means."""

    window_minutes: int = 60
    min_negative_stories: int = 6
    false_alarm_probability: float = 1e-5
    share_probability: float = 2e-3
    resolve_probability: float = 0.05
    baseline_half_life_hours: float = 24.0
    warm_up_minutes: int = 60


class IntakeSettings(SettingsGroup, frozen=True, kw_only=True):
    """Limits on what comes in."""

    max_record_bytes: int = 1_000_000
    max_text_chars: int = 20_000
    language_probability: float = 0.95
    language_min_letters: int = 20
    symbols_file: str = ""


class DeadLetterSettings(SettingsGroup, frozen=True, kw_only=True):
    """When dead letters pause their input topic."""

    pause_after_in_a_row: int = 1_000
    pause_share: float = 0.5
    pause_share_window_posts: int = 2_000


Share = Annotated[float, Meta(ge=0.0, le=1.0)]
PerHour = Annotated[int, Meta(ge=0)]


class LabelSettings(SettingsGroup, frozen=True, kw_only=True):
    """Which posts people are asked about, and whether the model may label some itself.

    Caps are those of the whole stream, per event hour. `audit_share` of `requests_per_hour` is drawn uniformly, at a
    rate that follows from `expected_posts_per_hour` and from nothing else: set it to what your feeds bring together.
    """

    enabled: bool = True
    requests_per_hour: PerHour = 60
    requests_per_source_and_hour: PerHour = 20
    audit_share: Share = 0.2
    expected_posts_per_hour: Annotated[int, Meta(ge=1)] = 10_000
    uncertain_margin: Share = 0.2
    novel_share: Share = 0.25
    self_labels: bool = False
    self_label_confidence: Share = 0.98
    self_labels_per_hour: PerHour = 60


class HttpSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where /metrics, /livez and /readyz answer. Port 0 takes a free one, which the log names."""

    host: str = "127.0.0.1"
    port: int = 9464


class BridgeSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where surge alerts are sent, how often open ones are renewed, and the bridge's own health page."""

    alertmanager_url: str = "http://127.0.0.1:9093"
    renew_seconds: float = 60.0
    http_host: str = "127.0.0.1"
    http_port: int = 9465

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """As it may be shown: an address can hold a name and a password."""
        parts = urlsplit(self.alertmanager_url)
        host = parts.netloc.rpartition("@")[2]
        shown = parts._replace(netloc=f"***@{host}" if "@" in parts.netloc else host).geturl()
        return list({**msgspec.structs.asdict(self), "alertmanager_url": shown}.items())

    def __repr__(self) -> str:
        return f"BridgeSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class Settings(SettingsGroup, frozen=True, kw_only=True):
    """Everything a streamapp process can be told."""

    broker: BrokerAccess = BrokerAccess()
    topics: TopicSettings = TopicSettings()
    inputs: tuple[InputSettings, ...] = (
        InputSettings(topic="news", channel="news"),
        InputSettings(topic="chat", channel="chat"),
    )
    worker: WorkerSettings = WorkerSettings()
    model: ModelSettings = ModelSettings()
    swap: SwapSettings = SwapSettings()
    batching: BatchSettings = BatchSettings()
    event_time: EventTimeSettings = EventTimeSettings()
    surge: SurgeSettings = SurgeSettings()
    intake: IntakeSettings = IntakeSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    labels: LabelSettings = LabelSettings()
    http: HttpSettings = HttpSettings()
    bridge: BridgeSettings = BridgeSettings()


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the TOML file at `path` (or named by STREAMAPP_CONFIG), then environment, then defaults."""
    return read_settings(Settings, ENVIRONMENT_PREFIX, path, environment)


def read_settings(
    kind: type[S], prefix: str, path: Path | None = None, environment: Mapping[str, str] | None = None
) -> S:
    """Settings of `kind`: the TOML file at `path` (or named by `<prefix>CONFIG`), then variables, then defaults.

    Raises SettingsError naming the key and the file or variable it came from.
    """
    environment = os.environ if environment is None else environment
    if path is None and environment.get(f"{prefix}CONFIG"):
        path = Path(environment[f"{prefix}CONFIG"])
    tree = _read_toml(path) if path is not None else {}
    _check(kind, tree, f"settings file {path}")
    for name, value in sorted(environment.items()):
        rest = name.removeprefix(prefix)
        if name.startswith(prefix) and rest not in _NOT_SETTINGS:
            _overlay(kind, tree, (prefix, rest), value)
            _check(kind, tree, f"environment variable {name}")
    settings = _check(kind, tree, "settings")
    access = getattr(settings, "broker", None)
    if isinstance(access, BrokerAccess):
        _check_access(access)
    return settings


def _check_access(access: BrokerAccess) -> None:
    """What no field says alone: a password or certificate that would not be used is a connection less safe than its
    owner believes.
    """
    protocol = f"broker.security_protocol is {access.security_protocol}"
    user = (access.sasl_mechanism, access.sasl_username, access.sasl_password)
    if access.asks_for_user and not all(user):
        raise SettingsError(
            f"settings: {protocol}: set broker.sasl_mechanism, broker.sasl_username and broker.sasl_password"
        )
    if access.sasl_mechanism and not access.asks_for_user:
        raise SettingsError(f"settings: broker.sasl_mechanism is set, but {protocol}, which asks for no user")
    for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"):
        path = getattr(access, name)
        if path is not None and not access.speaks_tls:
            raise SettingsError(f"settings: broker.{name} is set, but {protocol}, which is not encrypted")
        if path is not None and not os.access(path, os.R_OK):
            raise SettingsError(f"settings: broker.{name}: {path} cannot be read")
    if access.ssl_key_file is not None and access.ssl_cert_file is None:
        raise SettingsError("settings: broker.ssl_key_file is set without broker.ssl_cert_file")


def dump_settings(settings: SettingsGroup) -> str:
    """The settings as the JSON that the variable of the file may also name; holds secrets, so write it mode 0600."""
    return msgspec.json.format(msgspec.json.encode(settings).decode(), indent=2)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"settings file {path}: {error.strerror}") from error
    try:
        tree: dict[str, Any] = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from error
    return tree


def _overlay(kind: type[SettingsGroup], tree: dict[str, Any], variable: tuple[str, str], value: str) -> None:
    name = "".join(variable)  # prefix and rest
    group, separator, field = variable[1].lower().partition("__")
    parsed: Any = value
    # A password may begin with a bracket.
    if value[:1] in ("[", "{") and not _is_text(kind, group, field):
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError as error:
            raise SettingsError(f"environment variable {name}: not JSON ({error})") from error
    if not separator:
        tree[group] = parsed
        return
    branch = tree.setdefault(group, {})
    if not isinstance(branch, dict):
        raise SettingsError(f"environment variable {name}: {group} is not a table")
    branch[field] = parsed


def _is_text(kind: type[SettingsGroup], group: str, field: str) -> bool:
    settings_of_group = get_type_hints(kind).get(group)
    wanted = get_type_hints(settings_of_group).get(field) if isinstance(settings_of_group, type) else None
    return wanted is str or str in get_args(wanted)


def _check(kind: type[S], tree: dict[str, Any], origin: str) -> S:
    try:
        return msgspec.convert(tree, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{origin}: {error}") from error
