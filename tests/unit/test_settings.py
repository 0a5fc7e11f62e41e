"""One TOML file, environment over it; a misspelt name stops the start and is named."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.pretty import pretty_repr

from streamapp.settings import (
    BrokerAccess,
    FieldMapping,
    InputSettings,
    Settings,
    SettingsError,
    dump_settings,
    load_settings,
)

SECRET = "hunter2"


def from_toml(folder: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    path = folder / "streamapp.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environment or {})


def test_without_file_and_environment_the_defaults_hold() -> None:
    assert load_settings(None, {}) == Settings()


def test_the_defaults_read_news_and_chat_from_a_local_broker_with_the_starter_model() -> None:
    settings = Settings()
    assert settings.broker.bootstrap == "127.0.0.1:9092"
    assert [(source.topic, source.channel) for source in settings.inputs] == [
        ("news", "news"),
        ("chat", "chat"),
    ]
    assert settings.model.bundle == ""
    assert settings.model.provider == "cpu"
    assert (settings.topics.replication, settings.topics.min_insync_replicas) == (3, 2)
    assert settings.http.host == "127.0.0.1"


def test_the_defaults_fit_each_other() -> None:
    settings = Settings()
    assert settings.worker.heartbeat_seconds * 3 <= settings.worker.session_timeout_seconds
    assert settings.event_time.lateness_seconds > settings.worker.session_timeout_seconds
    assert settings.event_time.watermark_allowance_seconds > settings.event_time.lateness_seconds
    assert settings.topics.min_insync_replicas <= settings.topics.replication
    assert settings.worker.buffer_messages >= 2 * settings.batching.max_posts


def test_own_topics_take_a_few_lines(tmp_path: Path) -> None:
    settings = from_toml(
        tmp_path,
        """
        [broker]
        bootstrap = "kafka:9092"
        [[inputs]]
        topic = "wires"
        channel = "news"
        start_at = "latest"
        fields = { text = ["article.title", "article.lead"], time = "ts", time_format = "epoch_s" }
        """,
    )
    assert settings.broker.bootstrap == "kafka:9092"
    assert settings.inputs == (
        InputSettings(
            topic="wires",
            channel="news",
            start_at="latest",
            fields=FieldMapping(text=("article.title", "article.lead"), time="ts", time_format="epoch_s"),
        ),
    )


def test_environment_stands_over_the_file(tmp_path: Path) -> None:
    text = "[http]\nport = 1\nhost = '0.0.0.0'\n"
    settings = from_toml(tmp_path, text, {"STREAMAPP_HTTP__PORT": "2"})
    assert (settings.http.port, settings.http.host) == (2, "0.0.0.0")


def test_environment_gives_numbers_and_truth_values_as_words() -> None:
    environment = {"STREAMAPP_WORKER__FAST_CONSUMER": "false", "STREAMAPP_EVENT_TIME__LATENESS_SECONDS": "30"}
    settings = load_settings(None, environment)
    assert settings.worker.fast_consumer is False
    assert settings.event_time.lateness_seconds == 30.0


def test_environment_gives_lists_and_tables_as_json() -> None:
    environment = {
        "STREAMAPP_INPUTS": '[{"topic": "a", "channel": "chat"}, {"topic": "b", "channel": "news"}]',
        "STREAMAPP_HTTP": '{"port": 7}',
    }
    settings = load_settings(None, environment)
    assert [source.topic for source in settings.inputs] == ["a", "b"]
    assert settings.http.port == 7


def test_environment_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "named.toml"
    path.write_text("[http]\nport = 5\n")
    assert load_settings(None, {"STREAMAPP_CONFIG": str(path)}).http.port == 5


def test_foreign_variables_and_the_cache_folder_are_no_settings() -> None:
    assert load_settings(None, {"STREAMAPP_CACHE_DIR": "/x", "HOME": "/y", "STREAM": "z"}) == Settings()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[batchin]\nmax_posts = 1\n", "batchin"),
        ("[batching]\nmax_itms = 1\n", "max_itms"),
        ("[[inputs]]\ntopic = 'a'\nchannel = 'news'\nfeilds = {}\n", "feilds"),
        ("[[inputs]]\ntopic = 'a'\nchannel = 'news'\nfields = { txt = ['b'] }\n", "txt"),
        ("[[inputs]]\ntopic = 'a'\n", "channel"),
        ("[[inputs]]\ntopic = 'a'\nchannel = 'radio'\n", "radio"),
        ("[batching]\nmax_posts = 'many'\n", "max_posts"),
        ("[batching\n", "streamapp.toml"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_the_file(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError, match="settings file") as refused:
        from_toml(tmp_path, text)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("STREAMAPP_BATCHING__MAX_ITMS", "1", "max_itms"),
        ("STREAMAPP_BATCHIN__MAX_POSTS", "1", "batchin"),
        ("STREAMAPP_BATCHING__MAX_POSTS", "many", "max_posts"),
        ("STREAMAPP_INPUTS", "[{", "not JSON"),
        ("STREAMAPP_INPUTS__TOPIC", "a", "inputs"),
        ("STREAMAPP_MODEL__PROVIDER", "tpu", "tpu"),
    ],
)
def test_a_mistake_in_the_environment_is_named_with_the_variable(name: str, value: str, named: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        load_settings(None, {name: value})
    assert named in str(refused.value)


def test_a_field_of_a_list_in_the_environment_is_refused_where_the_file_has_the_list(tmp_path: Path) -> None:
    text = "[[inputs]]\ntopic = 'a'\nchannel = 'news'\n"
    with pytest.raises(SettingsError, match="inputs is not a table"):
        from_toml(tmp_path, text, {"STREAMAPP_INPUTS__TOPIC": "b"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: No such file"):
        load_settings(tmp_path / "absent.toml", {})


def test_dumped_settings_are_read_again(tmp_path: Path) -> None:
    settings = Settings(
        broker=BrokerAccess(sasl_password=SECRET),  # kept for a protocol that asks for it
        inputs=(InputSettings(topic="a", channel="chat", fields=FieldMapping(id=None)),),
    )
    path = tmp_path / "settings.json"
    path.write_text(dump_settings(settings))
    assert load_settings(path, {}) == settings


def test_settings_cannot_be_changed() -> None:
    settings: Any = Settings()
    with pytest.raises(AttributeError):
        settings.http.port = 1


def test_a_password_is_shown_nowhere() -> None:
    settings = Settings(broker=BrokerAccess(sasl_username="ann", sasl_password=SECRET))
    for shown in (repr(settings), str(settings.broker), f"{settings.broker}", pretty_repr(settings)):
        assert SECRET not in shown
        assert "ann" in shown
    assert msgspec.structs.replace(settings.broker, bootstrap="x").sasl_password == SECRET


def test_a_missing_password_is_shown_as_missing() -> None:
    assert "sasl_password=None" in repr(Settings())


def test_a_password_in_the_address_of_alertmanager_is_shown_nowhere() -> None:
    url = "https://desk:hunter2@alerts.example:9093/prefix"
    settings = load_settings(environment={"STREAMAPP_BRIDGE__ALERTMANAGER_URL": url})
    assert settings.bridge.alertmanager_url == url
    assert "hunter2" not in repr(settings)
    assert "https://***@alerts.example:9093/prefix" in repr(settings)


@pytest.mark.parametrize("password", ["[hunter2", "{hunter2}", "[1]"])
def test_a_password_from_the_environment_may_begin_with_a_bracket(password: str) -> None:
    settings = load_settings(environment={"STREAMAPP_BROKER__SASL_PASSWORD": password})
    assert settings.broker.sasl_password == password


@pytest.mark.parametrize(
    "line",
    ["audit_share = 1.5", "requests_per_hour = -1", "expected_posts_per_hour = 0", "novel_share = -0.1"],
)
def test_a_share_or_number_of_labels_out_of_range_is_refused_by_name(line: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"labels\." + line.split(" ", maxsplit=1)[0]):
        from_toml(tmp_path, f"[labels]\n{line}")


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        ({"security_protocol": "SASL_SSL"}, "set broker.sasl_mechanism, broker.sasl_username and broker.sasl_password"),
        ({"security_protocol": "SSL", "sasl_mechanism": "PLAIN"}, "security_protocol is SSL, which asks for no user"),
        ({"ssl_ca_file": __file__}, "security_protocol is PLAINTEXT, which is not encrypted"),
        ({"security_protocol": "SSL", "ssl_ca_file": "absent.pem"}, "broker.ssl_ca_file: absent.pem cannot be read"),
        ({"security_protocol": "SSL", "ssl_key_file": __file__}, "ssl_key_file is set without broker.ssl_cert_file"),
    ],
)  # fmt: skip
def test_an_access_that_would_be_less_safe_than_it_looks_stops_the_start(
    broker: dict[str, str], said: str
) -> None:
    environment = {f"STREAMAPP_BROKER__{name.upper()}": value for name, value in broker.items()}
    with pytest.raises(SettingsError) as stopped:
        load_settings(environment=environment)
    assert said in str(stopped.value)


def test_the_password_of_a_protocol_that_asks_for_it_may_come_from_the_environment(tmp_path: Path) -> None:
    text = '[broker]\nsecurity_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nsasl_username = "ann"\n'
    assert from_toml(tmp_path, text, {"STREAMAPP_BROKER__SASL_PASSWORD": SECRET}).broker.asks_for_user
