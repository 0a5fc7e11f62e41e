"""docker-compose.yml and the Dockerfile as values: what each container runs, sees, listens on and writes to."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from retrain.settings import RetrainSettings, load_retrain_settings
from streamapp.settings import Settings, load_settings
from tests.deploy.files import DEPLOY, REPOSITORY, load_yaml

COMPOSE = REPOSITORY / "docker-compose.yml"
DOCKERFILE = DEPLOY / "Dockerfile"
KAFKA_PROPERTIES = DEPLOY / "kafka" / "server.properties"
OURS = "streamapp:local"
RETRAIN = "streamapp-retrain:local"


class Mount(Struct, frozen=True):
    """A folder or file of the repository, or a named volume, as a container sees it."""

    source: str
    target: str
    read_only: bool

    @property
    def is_volume(self) -> bool:
        return "/" not in self.source


class Container(Struct, frozen=True):
    name: str
    body: dict[str, Any]

    @property
    def command(self) -> list[str]:
        return list(self.body.get("command", []))

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.body.get("environment", {}))

    @property
    def mounts(self) -> list[Mount]:
        parts = [each.split(":") for each in self.body.get("volumes", [])]
        return [Mount(source, target, rest == ["ro"]) for source, target, *rest in parts]

    def on_host(self, path: str) -> Path:
        """Where a file that the container sees lies in the repository; the path itself where nothing is mounted."""
        for mount in self.mounts:
            if not mount.is_volume and (path == mount.target or path.startswith(mount.target + "/")):
                return (REPOSITORY / mount.source / path.removeprefix(mount.target).lstrip("/")).resolve()
        return Path(path)

    def settings_environment(self, prefix: str = "STREAMAPP_") -> dict[str, str]:
        """The variables that the service reads, with paths as they are in the repository."""
        found = {name: value for name, value in self.environment.items() if name.startswith(prefix)}
        if f"{prefix}CONFIG" in found:
            found[f"{prefix}CONFIG"] = str(self.on_host(found[f"{prefix}CONFIG"]))
        return found

    def settings(self) -> Settings:
        return load_settings(environment=self.settings_environment())

    def retrain_settings(self) -> RetrainSettings:
        return load_retrain_settings(environment=self.settings_environment("RETRAIN_"))


def document() -> dict[str, Any]:
    """The file with its anchors and merges resolved, as Compose reads it."""
    loaded: dict[str, Any] = load_yaml(COMPOSE)
    return loaded


def containers() -> dict[str, Container]:
    return {name: Container(name, body) for name, body in document()["services"].items()}


def own_containers() -> dict[str, Container]:
    return {name: each for name, each in containers().items() if each.body["image"] == OURS}


def retrain_container() -> Container:
    (found,) = (each for each in containers().values() if each.body["image"] == RETRAIN)
    return found


def mlflow_flags() -> dict[str, str]:
    return dict(each.split("=", 1) for each in containers()["mlflow"].command[2:])


def kafka_properties() -> dict[str, str]:
    lines = KAFKA_PROPERTIES.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def listening() -> dict[str, set[int]]:
    """The ports that each container listens on: by the settings, Kafka's properties, others' defaults."""
    found: dict[str, set[int]] = {"prometheus": {9090}, "alertmanager": {9093}, "grafana": {3000}}
    found["mlflow"] = {int(mlflow_flags()["--port"])}
    found["kafka"] = {int(each.rpartition(":")[2]) for each in kafka_properties()["listeners"].split(",")}
    for name, container in own_containers().items():
        settings = container.settings()
        ports = {"worker": {settings.http.port}, "bridge": {settings.bridge.http_port}}
        found[name] = ports.get(container.command[0], set())
    retrain = retrain_container()
    found[retrain.name] = {retrain.retrain_settings().http.port}
    return found


class Instruction(Struct, frozen=True):
    """One instruction of a Dockerfile, its continued lines joined."""

    word: str
    rest: str

    @property
    def arguments(self) -> list[str]:
        return (
            [str(each) for each in json.loads(self.rest)]
            if self.rest.startswith("[")
            else shlex.split(self.rest)
        )


def stages() -> dict[str, list[Instruction]]:
    """The instructions of each stage by its name."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, list[Instruction]] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        instruction = Instruction(word.upper(), rest.strip())
        if instruction.word == "FROM":
            found[instruction.arguments[-1]] = []
        found[list(found)[-1]].append(instruction)
    return found


def lines(stage: str, word: str) -> list[list[str]]:
    """The arguments of every such instruction of a stage."""
    return [each.arguments for each in stages()[stage] if each.word == word]


def image_environment(stage: str = "streamapp") -> dict[str, str]:
    """What ENV sets in a stage."""
    pairs = [each.partition("=") for line in stages()[stage] if line.word == "ENV" for each in line.arguments]
    return {name: value for name, _, value in pairs}


def health_command() -> list[str]:
    """The image's own check, as the engine runs it: the list after HEALTHCHECK's CMD."""
    (check,) = (line.rest for line in stages()["streamapp"] if line.word == "HEALTHCHECK")
    command: list[str] = json.loads(check[check.index("CMD ") + 4 :])
    return command


def entry_point() -> list[str]:
    (line,) = (each for each in stages()["streamapp"] if each.word == "ENTRYPOINT")
    return line.arguments


def process_environment(container: Container) -> Mapping[str, str]:
    """What one of our containers' processes finds in its environment, but PATH and the paths of mounts."""
    image = {name: value for name, value in image_environment().items() if name != "PATH"}
    return {**image, **container.environment, **container.settings_environment()}
