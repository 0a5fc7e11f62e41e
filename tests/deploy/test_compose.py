"""docker-compose.yml without an engine: valid, hardened, and every path, port, command and variable in it exists."""

import re
import subprocess
from typing import Any
from urllib.parse import urlsplit

import pytest
from compose_spec import PyCompose
from kafka.admin import ConfigResource, ConfigResourceType
from msgspec import json
from typer.testing import CliRunner

from retrain.cli.main import app as retrain_app
from streamapp.cli.main import app
from streamapp.cluster.kafka_clients import open_admin
from streamapp.cluster.topic_admin import plan_topics
from streamapp.local.kafka_lock import KAFKA_VERSION
from streamapp.settings import BrokerAccess, SettingsError, load_settings
from tests.deploy.compose import (
    Container,
    containers,
    document,
    image_environment,
    kafka_properties,
    listening,
    mlflow_flags,
    own_containers,
    retrain_container,
    stages,
)
from tests.deploy.files import DEPLOY, GRAFANA, PROMETHEUS, REPOSITORY, load_yaml, tool

ALL, OWN = containers(), own_containers()
every_container = pytest.mark.parametrize("container", ALL.values(), ids=list(ALL))
own_container = pytest.mark.parametrize("container", OWN.values(), ids=list(OWN))

# Grafana's configuration keys, as its documentation has them: nothing here can ask Grafana itself.
GRAFANA_VARIABLES = {
    "GF_AUTH_ANONYMOUS_ENABLED", "GF_AUTH_ANONYMOUS_ORG_ROLE", "GF_AUTH_BASIC_ENABLED",
    "GF_AUTH_DISABLE_LOGIN_FORM", "GF_ANALYTICS_REPORTING_ENABLED", "GF_ANALYTICS_CHECK_FOR_UPDATES",
}  # fmt: skip
# Read by the start script of the Kafka image; everything else is in server.properties.
KAFKA_VARIABLES = {"KAFKA_HEAP_OPTS"}
MLFLOW_VARIABLES = {"HOME", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"}


def test_the_file_is_valid_by_the_compose_specification() -> None:
    spec = PyCompose.from_json(json.encode(document()).decode()).to_spec()
    assert set(spec.services or {}) == set(ALL)


def test_the_parts_of_the_whole_are_there() -> None:
    assert set(ALL) == {
        "kafka", "topics", "worker-1", "worker-2", "bridge", "retrain", "mlflow", "prometheus", "alertmanager",
        "grafana",
    }  # fmt: skip


@every_container
def test_a_container_has_no_more_rights_than_it_needs(container: Container) -> None:
    body = container.body
    assert body["cap_drop"] == ["ALL"]
    assert body["security_opt"] == ["no-new-privileges:true"]
    assert {"privileged", "cap_add", "network_mode", "pid", "user", "devices"}.isdisjoint(body)
    assert body["mem_limit"]
    assert body["pids_limit"]
    assert body["logging"]["options"].keys() == {"max-size", "max-file"}
    # Kafka's image writes its configuration beside its program at the start.
    assert body.get("read_only", False) is (container.name != "kafka")
    assert all(each.startswith("/tmp:size=") for each in body.get("tmpfs", []))


@every_container
def test_a_container_is_started_again_but_what_runs_once(container: Container) -> None:
    assert container.body["restart"] == ("no" if container.name == "topics" else "unless-stopped")


@every_container
def test_an_image_is_named_by_an_exact_version(container: Container) -> None:
    image = container.body["image"]
    if "build" in container.body:
        build = container.body["build"]
        assert (REPOSITORY / build["context"] / build["dockerfile"]).is_file()
        assert build["target"] in stages()
    else:
        assert re.fullmatch(r"(ghcr\.io/)?[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", image)


def test_kafka_is_of_the_version_that_the_tests_run_on() -> None:
    assert ALL["kafka"].body["image"] == f"apache/kafka:{KAFKA_VERSION}"


@every_container
def test_what_is_mounted_exists_and_our_files_are_mounted_read_only(container: Container) -> None:
    for mount in container.mounts:
        if mount.is_volume:
            assert mount.source in document()["volumes"]
            assert not mount.read_only or mount.source == "models"
        else:
            assert (REPOSITORY / mount.source).exists(), mount.source
            assert mount.read_only, mount.source


def test_every_volume_has_one_writer() -> None:
    writers = [
        mount.source
        for each in ALL.values()
        for mount in each.mounts
        if mount.is_volume and not mount.read_only
    ]
    assert sorted(writers) == sorted(document()["volumes"])


def test_bundles_are_announced_at_the_place_where_workers_see_them() -> None:
    places = {
        name: [mount for mount in each.mounts if mount.source == "models"] for name, each in ALL.items()
    }
    seen = {name: mounts[0] for name, mounts in places.items() if mounts}
    assert seen.keys() == {"retrain", "worker-1", "worker-2"}
    assert {mount.target for mount in seen.values()} == {
        retrain_container().retrain_settings().model_store.url
    }
    assert {name for name, mount in seen.items() if not mount.read_only} == {"retrain"}


@every_container
def test_ports_are_published_on_loopback_alone_and_something_listens_behind_them(
    container: Container,
) -> None:
    for published in container.body.get("ports", []):
        host, _, inside = published.split(":")
        assert host == "127.0.0.1"
        assert int(inside) in listening()[container.name], published


def test_programs_on_this_machine_reach_kafka_as_it_calls_itself() -> None:
    published = {int(inside): f"{host}:{port}" for host, port, inside in
                 (each.split(":") for each in ALL["kafka"].body["ports"])}  # fmt: skip
    properties = kafka_properties()
    inside = dict(each.split("://:") for each in properties["listeners"].split(","))
    advertised = dict(each.split("://") for each in properties["advertised.listeners"].split(","))
    assert advertised["HOST"] == published[int(inside["HOST"])] == BrokerAccess().bootstrap
    assert advertised["INSIDE"] == f"kafka:{inside['INSIDE']}"
    assert properties["controller.quorum.voters"] == f"{properties['node.id']}@kafka:{inside['CONTROLLER']}"
    assert set(properties["listener.security.protocol.map"].split(",")) == {
        f"{name}:PLAINTEXT" for name in inside
    }
    assert all(each.settings().broker.bootstrap == advertised["INSIDE"] for each in OWN.values())


def test_kafka_keeps_its_data_on_the_volume() -> None:
    volumes = {mount.target for mount in ALL["kafka"].mounts if mount.is_volume}
    assert kafka_properties()["log.dirs"] in volumes


@pytest.mark.broker
def test_every_property_of_kafka_exists(broker: str) -> None:
    with open_admin(BrokerAccess(bootstrap=broker)) as admin:
        described = admin.describe_configs(
            [ConfigResource(ConfigResourceType.BROKER, "1")], config_filter="all"
        )
    names = set(described["broker"]["1"])
    assert "offsets.topic.replication.factor" in names
    assert set(kafka_properties()) - names == set()


@own_container
def test_every_variable_of_ours_is_a_setting(container: Container) -> None:
    read_by_the_image = {"HEALTH_URL"} & image_environment().keys()
    others = {name for name in container.environment if not name.startswith("STREAMAPP_")}
    assert others <= read_by_the_image
    container.settings()


@own_container
def test_a_misspelt_variable_is_refused(container: Container) -> None:
    with pytest.raises(SettingsError, match="STREAMAPP_WORKER__INSTANCE_DI"):
        load_settings(environment={**container.settings_environment(), "STREAMAPP_WORKER__INSTANCE_DI": "x"})


def test_variables_of_others_are_those_that_they_read() -> None:
    assert set(ALL["grafana"].environment) == GRAFANA_VARIABLES
    assert set(ALL["kafka"].environment) == KAFKA_VARIABLES
    assert set(ALL["mlflow"].environment) == MLFLOW_VARIABLES
    assert not ALL["prometheus"].environment
    assert not ALL["alertmanager"].environment


@every_container
def test_no_secret_is_written_down(container: Container) -> None:
    hidden = [name for name in container.environment if re.search("PASSWORD|SECRET|TOKEN|KEY", name)]
    assert hidden == []


@own_container
def test_a_command_of_ours_exists_with_its_options(container: Container) -> None:
    answer = CliRunner().invoke(app, [*container.command, "--help"])
    assert answer.exit_code == 0, answer.output
    assert not [each for each in container.command if each.startswith("-") and each not in answer.output]


@pytest.mark.parametrize(
    ("name", "program"), [("prometheus",) * 2, ("alertmanager", "prometheus-alertmanager")]
)
def test_a_flag_of_prometheus_and_alertmanager_exists(name: str, program: str) -> None:
    asked = subprocess.run([tool(program), "--help"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"--[a-z][\w.-]+", asked.stdout + asked.stderr))
    flags = dict(each.split("=", 1) for each in ALL[name].command)
    assert set(flags) <= known
    assert ALL[name].on_host(flags["--config.file"]).is_file()
    (storage,) = (value for flag, value in flags.items() if flag in ("--storage.path", "--storage.tsdb.path"))
    assert storage in {mount.target for mount in ALL[name].mounts if mount.is_volume}


def test_an_instance_is_known_by_one_name_everywhere() -> None:
    workers = {name: each for name, each in OWN.items() if each.command == ["worker"]}
    assert len(workers) == 2
    assert {name: each.settings().worker.instance_id for name, each in workers.items()} == {
        name: name for name in workers
    }
    (groups,) = (load_yaml(PROMETHEUS / "targets" / "worker.yml"),)
    assert {urlsplit(f"//{each}").hostname for group in groups for each in group["targets"]} == set(workers)


def test_the_retrain_container_has_what_its_settings_say() -> None:
    retrain = retrain_container()
    settings, body = retrain.retrain_settings(), retrain.body
    assert body["profiles"] == ["learning"]
    assert {name for name in retrain.environment if not name.startswith("RETRAIN_")} == {"HEALTH_URL"}
    assert settings.broker.bootstrap == "kafka:9092"
    assert settings.http.host == "0.0.0.0"
    assert urlsplit(retrain.environment["HEALTH_URL"]).port == settings.http.port
    volumes = {mount.target for mount in retrain.mounts if mount.is_volume and not mount.read_only}
    for place in (settings.store.path, settings.run.folder, settings.model_store.url):
        assert any(place == target or place.startswith(f"{target}/") for target in volumes), place
    assert int(body["stop_grace_period"].removesuffix("s")) > settings.run.grace_seconds
    assert 0 < settings.run.max_memory_bytes < int(body["mem_limit"].removesuffix("g")) * 1024**3
    answer = CliRunner().invoke(retrain_app, [*retrain.command, "--help"])
    assert answer.exit_code == 0


def test_mlflow_is_of_the_release_that_its_clients_are_and_lets_retrain_in() -> None:
    image, flags = ALL["mlflow"].body["image"], mlflow_flags()
    pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"mlflow-skinny=={image.rpartition(':v')[2]}" in pins
    assert ALL["mlflow"].body["profiles"] == ["learning"]
    address = urlsplit(retrain_container().retrain_settings().tracking.uri)
    assert (address.scheme, address.hostname) == ("http", "mlflow")
    published = {each.rpartition(":")[0] for each in ALL["mlflow"].body["ports"]}
    assert {address.netloc, *published} <= set(flags["--allowed-hosts"].split(","))
    (volume,) = (mount.target for mount in ALL["mlflow"].mounts)
    for flag in ("--backend-store-uri", "--artifacts-destination"):
        assert flags[flag].removeprefix("sqlite:///").startswith(f"{volume}/")


def addresses() -> dict[str, list[str]]:
    """host:port of every address that a container is told to call, by the file that says it."""
    found = {
        f"targets/{path.name}": [each for group in load_yaml(path) or [] for each in group["targets"]]
        for path in (PROMETHEUS / "targets").glob("*.yml")
    }
    sources = load_yaml(next((GRAFANA / "provisioning" / "datasources").glob("*.y*ml")))["datasources"]
    found["grafana"] = [urlsplit(each["url"]).netloc for each in sources]
    found["retrain"] = [urlsplit(retrain_container().retrain_settings().tracking.uri).netloc]
    for name, container in OWN.items():
        settings = container.settings()
        found[name] = [settings.broker.bootstrap, urlsplit(settings.bridge.alertmanager_url).netloc]
    return found


@pytest.mark.parametrize("said_by", addresses())
def test_an_address_is_that_of_a_container_which_listens_there(said_by: str) -> None:
    for address in addresses()[said_by]:
        host, _, port = address.partition(":")
        assert host in ALL, address
        assert int(port) in listening()[host], address


@own_container
def test_a_page_of_ours_is_seen_from_other_containers_and_checked_where_it_is(container: Container) -> None:
    if container.command[0] not in ("worker", "bridge"):
        assert container.body["healthcheck"] == {"disable": True}
        return
    settings = container.settings()
    assert (settings.http.host, settings.bridge.http_host) == ("0.0.0.0", "0.0.0.0")
    url = urlsplit({**image_environment(), **container.environment}["HEALTH_URL"])
    assert (url.hostname, url.path) == ("127.0.0.1", "/readyz")
    assert url.port in listening()[container.name]


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "grafana", "mlflow"])
def test_a_check_of_a_page_asks_the_port_that_is_listened_on(name: str) -> None:
    url = urlsplit(ALL[name].body["healthcheck"]["test"][-1])
    assert url.port in listening()[name]
    assert url.path == {"grafana": "/api/health", "mlflow": "/health"}.get(name, "/-/ready")


def test_the_check_of_kafka_runs_a_tool_against_a_listener() -> None:
    check = ALL["kafka"].body["healthcheck"]["test"]
    assert check[:3] == ["CMD", "/opt/kafka/bin/kafka-broker-api-versions.sh", "--bootstrap-server"]
    assert int(check[3].rpartition(":")[2]) in listening()["kafka"]


@every_container
def test_what_a_container_waits_for_can_come(container: Container) -> None:
    for name, wanted in container.body.get("depends_on", {}).items():
        condition = wanted["condition"]
        if condition == "service_healthy":
            checked = ALL[name].body.get("healthcheck", {"test": "the image's own"})
            assert "disable" not in checked
        else:
            assert (condition, ALL[name].body["restart"]) == ("service_completed_successfully", "no")


def test_a_worker_is_given_longer_to_stop_than_it_takes() -> None:
    for container in OWN.values():
        if container.command == ["worker"]:
            grace_seconds = int(container.body["stop_grace_period"].removesuffix("s"))
            assert grace_seconds > container.settings().worker.shutdown_timeout_seconds
            assert container.settings().model.sessions <= container.body["cpus"]


def test_topics_are_planned_for_the_one_broker_there_is() -> None:
    (topics,) = (each for each in OWN.values() if each.command[0] == "topics")
    assert {plan.replication for plan in plan_topics(topics.settings(), "--dev" in topics.command)} == {1}


def test_grafana_finds_its_boards_where_its_provisioning_looks() -> None:
    provider: dict[str, Any] = load_yaml(next((GRAFANA / "provisioning" / "dashboards").glob("*.y*ml")))
    (folder,) = (each["options"]["path"] for each in provider["providers"])
    assert ALL["grafana"].on_host(folder) == GRAFANA / "dashboards"


def test_settings_files_for_containers_are_used() -> None:
    used = {each.on_host(each.environment["STREAMAPP_CONFIG"]) for each in OWN.values()}
    retrain = retrain_container()
    used.add(retrain.on_host(retrain.environment["RETRAIN_CONFIG"]))
    assert used == set((DEPLOY / "config").iterdir())
