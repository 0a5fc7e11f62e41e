"""The Dockerfile without an engine: linted, and its commands run as written in a clean virtual environment."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamapp.settings import BridgeSettings, HttpSettings
from tests.deploy.compose import (
    DOCKERFILE,
    Container,
    entry_point,
    health_command,
    image_environment,
    own_containers,
    process_environment,
    stages,
)
from tests.deploy.files import REPOSITORY
from tests.harness.cluster import free_port, wait_until

OWN = own_containers()
FINAL = ("streamapp",)
IGNORE = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lines(stage: str, word: str) -> list[list[str]]:
    return [each.arguments for each in stages()[stage] if each.word == word]


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    checked = subprocess.run([linter, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_every_stage_stands_on_an_exact_version_of_the_python_that_the_project_is_for() -> None:
    images = {line[0] for stage in stages() for line in lines(stage, "FROM")} - set(stages())
    (image,) = images
    version = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-[a-z]+", image)
    assert version is not None
    assert PROJECT["requires-python"] == f">={version[1]}"


def test_there_is_an_image_for_retrain_once_there_is_a_retrain_to_install() -> None:
    assert ("retrain" in stages()) == ("retrain" in PROJECT["optional-dependencies"])


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    allowed = {line.removeprefix("!") for line in IGNORE if line.startswith("!")}
    assert IGNORE[1] == "*"
    for source in [source for line in lines("build", "COPY") for source in line[:-1]]:
        assert (REPOSITORY / source).exists(), source
        assert source.split("/")[0] in allowed, source
    assert all((REPOSITORY / path).exists() for path in allowed)


def test_what_is_installed_is_an_extra_of_the_project() -> None:
    (default,) = lines("build", "ARG")
    assert default == ["RUNTIME=cpu"]
    assert {"cpu", "gpu"} <= set(PROJECT["optional-dependencies"])
    commands = " ".join(each.rest for each in stages()["build"] if each.word == "RUN")
    assert "-c constraints.txt" in commands
    assert "PIP_NO_CACHE_DIR=1" in " ".join(each.rest for each in stages()["build"] if each.word == "ENV")


@pytest.mark.parametrize("stage", FINAL)
def test_a_container_does_not_run_as_root_nor_as_a_name_that_only_the_image_knows(stage: str) -> None:
    (user,) = lines(stage, "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user[0])
    assert [each.word for each in stages()[stage]].index("USER") < len(stages()[stage]) - 1


@pytest.mark.parametrize("stage", FINAL)
def test_the_folder_that_a_process_writes_to_is_a_volume_of_its_user(stage: str) -> None:
    (volume,), (folder,), (user,) = lines(stage, "VOLUME"), lines(stage, "WORKDIR"), lines(stage, "USER")
    assert volume == folder
    made = [each.rest for each in stages()[stage] if each.word == "RUN"]
    number, _, group = user[0].partition(":")
    assert f"install -d -o {number} -g {group} -m 0750 {folder[0]}" in made
    for container in OWN.values():
        assert {mount.target for mount in container.mounts if mount.is_volume} <= set(volume)


@pytest.mark.parametrize("stage", FINAL)
def test_a_command_is_started_without_a_shell_and_its_output_is_not_held_back(stage: str) -> None:
    for word in ("ENTRYPOINT", "CMD"):
        (line,) = (each for each in stages()[stage] if each.word == word)
        assert line.rest.startswith("["), word
    assert image_environment(stage)["PYTHONUNBUFFERED"] == "1"
    assert entry_point()[0] in PROJECT["scripts"]


def test_ports_are_those_of_the_settings() -> None:
    (ports,) = lines("streamapp", "EXPOSE")
    assert [int(port) for port in ports] == [HttpSettings().port, BridgeSettings().http_port]
    assert image_environment()["HEALTH_URL"] == f"http://127.0.0.1:{HttpSettings().port}/livez"


def test_what_the_image_puts_first_on_the_path_is_where_it_installs() -> None:
    (copied,) = lines("streamapp", "COPY")
    assert image_environment()["PATH"] == f"{copied[-1]}/bin:$PATH"
    assert f"python -m venv {copied[-1]}" in [each.rest for each in stages()["build"] if each.word == "RUN"]


def test_labels_say_what_the_image_is() -> None:
    (label,) = (each.rest for each in stages()["streamapp"] if each.word == "LABEL")
    assert f'org.opencontainers.image.licenses="{PROJECT["license"]}"' in label
    assert f'org.opencontainers.image.title="{PROJECT["name"]}"' in label


class CleanRoom:
    """The project installed by the Dockerfile's rules in a new virtual environment; runs commands as the image does.

    As root, processes run as the image's user, to whom nothing but the data folder and /tmp belongs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self.data = folder / "data"
        self.user = int(lines("streamapp", "USER")[0][0].partition(":")[0])

    def install(self) -> None:
        call(sys.executable, "-m", "venv", str(self.folder / "venv"))
        pip = (str(self.bin / "python"), "-m", "pip", "--disable-pip-version-check")
        constraints = str(REPOSITORY / "constraints.txt")
        # From the wheel: what the wheel leaves out is missing here as it is in the image.
        call(*pip, "wheel", "-q", "--no-deps", "-w", str(self.folder), str(self._sources()))
        (wheel,) = self.folder.glob("*.whl")
        call(*pip, "install", "-q", "-c", constraints, f"{wheel}[cpu]")
        call(*pip, "check")
        self.data.mkdir()
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(self.data, self.user, self.user)

    def _sources(self) -> Path:
        """What the Dockerfile copies, and nothing else."""
        copied = self.folder / "src"
        copied.mkdir()
        names = {source for line in lines("build", "COPY") for source in line[:-1] if "/" not in source}
        call("cp", "-r", *(str(REPOSITORY / name) for name in sorted(names)), str(copied))
        return copied

    def start(self, container: Container, log: Path, **changes: str) -> "subprocess.Popen[bytes]":
        """The container's process: entry point, command, environment and working folder are those of the image."""
        return self._popen([*entry_point(), *container.command], container, log, changes)

    def healthy(self, container: Container, log: Path, **changes: str) -> bool:
        """What the image's health check says."""
        return self._popen(health_command(), container, log, changes).wait(30) == 0

    def _popen(
        self, command: list[str], container: Container, log: Path, changes: dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        as_user: Any = (
            {"user": self.user, "group": self.user, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        environment = {**process_environment(container), "PATH": f"{self.bin}:/usr/bin:/bin", **changes}
        config = Path(environment["STREAMAPP_CONFIG"])
        readable = self.folder / config.name
        readable.write_text(config.read_text(encoding="utf-8"), encoding="utf-8")
        environment["STREAMAPP_CONFIG"] = str(readable)
        command = [str(self.bin / command[0]), *command[1:]]
        with log.open("ab") as out:
            return subprocess.Popen(
                command, cwd=self.data, env=environment, stdout=out, stderr=out, **as_user
            )


def call(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def room() -> Iterator[CleanRoom]:
    # Not pytest's own folder: no other user may enter that.
    with tempfile.TemporaryDirectory(prefix="streamapp-room-") as folder:
        room = CleanRoom(Path(folder))
        room.install()
        yield room


@contextlib.contextmanager
def ended_after(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(600)
def test_every_container_runs_as_written_in_a_clean_environment(
    room: CleanRoom, broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    port = str(free_port())
    changes = {
        "STREAMAPP_BROKER__BOOTSTRAP": broker,
        "STREAMAPP_TOPICS__PREFIX": topic_prefix,
        "STREAMAPP_WORKER__GROUP": f"{topic_prefix}group",
        "STREAMAPP_HTTP__PORT": port,
        "STREAMAPP_BRIDGE__HTTP_PORT": port,
        "STREAMAPP_BRIDGE__ALERTMANAGER_URL": "http://127.0.0.1:1",
    }
    log = tmp_path / "containers.log"
    assert room.start(OWN["topics"], log, **changes).wait(60) == 0, log.read_text()
    with ended_after(room.start(OWN["worker-1"], log, **changes)) as worker:
        ready = {**changes, "HEALTH_URL": f"http://127.0.0.1:{port}/readyz"}
        wait_until(
            lambda: room.healthy(OWN["worker-1"], tmp_path / "check.log", **ready), 60, f"ready, see {log}"
        )
        worker.terminate()
        assert worker.wait(60) == 0, log.read_text()
    with ended_after(room.start(OWN["bridge"], log, **changes)) as bridge:
        alive = {**changes, "HEALTH_URL": f"http://127.0.0.1:{port}/livez"}
        wait_until(
            lambda: room.healthy(OWN["bridge"], tmp_path / "check.log", **alive), 30, f"alive, see {log}"
        )
        assert not room.healthy(OWN["bridge"], tmp_path / "check.log", **ready), "there is no Alertmanager"
        bridge.terminate()
        assert bridge.wait(30) == 0, log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_container_ends_with_the_code_for_an_absent_broker(room: CleanRoom, tmp_path: Path) -> None:
    changes = {
        "STREAMAPP_BROKER__BOOTSTRAP": "127.0.0.1:1",
        "STREAMAPP_HTTP__PORT": str(free_port()),
        "STREAMAPP_BRIDGE__HTTP_PORT": str(free_port()),
    }
    logs = {name: tmp_path / f"{name}.log" for name in ("topics", "worker-1", "bridge")}
    with contextlib.ExitStack() as stack:
        started = {name: stack.enter_context(ended_after(room.start(OWN[name], log, **changes)))
                   for name, log in logs.items()}  # fmt: skip
        codes = {name: process.wait(90) for name, process in started.items()}
    assert codes == {"topics": 3, "worker-1": 3, "bridge": 3}, logs["worker-1"].read_text()[-2000:]
    assert all("Kafka at 127.0.0.1:1" in log.read_text() for log in logs.values())


@pytest.mark.slow
def test_no_torch_and_no_test_tool_is_installed(room: CleanRoom) -> None:
    listed = subprocess.run(
        [room.bin / "python", "-m", "pip", "list"], capture_output=True, text=True, check=True
    )
    names = {line.split()[0].lower() for line in listed.stdout.splitlines()[2:]}
    assert "streamapp" in names
    assert names.isdisjoint({"torch", "transformers", "pytest", "mypy", "ruff"})
