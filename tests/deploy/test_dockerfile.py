"""The Dockerfile without an engine: linted, and what it names exists. test_containers_run.py runs its commands."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from retrain.cli.main import app as retrain_app
from retrain.settings import HttpSettings as RetrainHttpSettings
from streamapp.settings import BridgeSettings, HttpSettings
from tests.deploy.compose import (
    DOCKERFILE,
    entry_point,
    image_environment,
    lines,
    own_containers,
    retrain_container,
    stages,
)
from tests.deploy.files import REPOSITORY

OWN = own_containers()
IGNORE = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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


def test_the_image_for_retrain_is_the_other_one_with_what_trains() -> None:
    assert lines("retrain", "FROM") == [["streamapp", "AS", "retrain"]]
    assert {"USER", "VOLUME", "WORKDIR"}.isdisjoint(each.word for each in stages()["retrain"])
    assert "retrain" in PROJECT["optional-dependencies"]
    ((program,),) = lines("retrain", "ENTRYPOINT")
    ((command,),) = lines("retrain", "CMD")
    assert PROJECT["scripts"][program] == "retrain.cli.main:main"
    assert CliRunner().invoke(retrain_app, [command, "--help"]).exit_code == 0
    port = RetrainHttpSettings().port
    assert lines("retrain", "EXPOSE") == [[str(port)]]
    assert image_environment("retrain")["HEALTH_URL"] == f"http://127.0.0.1:{port}/livez"


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    allowed = {line.removeprefix("!") for line in IGNORE if line.startswith("!")}
    assert IGNORE[1] == "*"
    copied = [*lines("build", "COPY"), *lines("build-retrain", "COPY")]
    for source in [source for line in copied for source in line[:-1]]:
        assert (REPOSITORY / source).exists(), source
        assert source.split("/")[0] in allowed, source
    assert all((REPOSITORY / path).exists() for path in allowed)


def test_what_is_installed_is_an_extra_of_the_project() -> None:
    (default,) = lines("build", "ARG")
    assert default == ["RUNTIME=cpu"]
    assert {"cpu", "gpu"} <= set(PROJECT["optional-dependencies"])
    for stage in ("build", "build-retrain"):
        commands = " ".join(each.rest for each in stages()[stage] if each.word == "RUN")
        assert "-c constraints.txt" in commands
    assert "PIP_NO_CACHE_DIR=1" in " ".join(each.rest for each in stages()["build"] if each.word == "ENV")


def test_a_container_does_not_run_as_root_nor_as_a_name_that_only_the_image_knows() -> None:
    (user,) = lines("streamapp", "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user[0])
    assert [each.word for each in stages()["streamapp"]].index("USER") < len(stages()["streamapp"]) - 1


def test_the_folder_that_a_process_writes_to_is_a_volume_of_its_user() -> None:
    (volume,), (folder,), (user,) = (
        lines("streamapp", "VOLUME"),
        lines("streamapp", "WORKDIR"),
        lines("streamapp", "USER"),
    )
    assert volume == folder
    made = [each.rest for each in stages()["streamapp"] if each.word == "RUN"]
    number, _, group = user[0].partition(":")
    assert f"install -d -o {number} -g {group} -m 0750 {folder[0]} /models" in made
    for container in (*OWN.values(), retrain_container()):
        assert {mount.target for mount in container.mounts if mount.is_volume} <= {*volume, "/models"}


def test_a_command_is_started_without_a_shell_and_its_output_is_not_held_back() -> None:
    for word in ("ENTRYPOINT", "CMD"):
        (line,) = (each for each in stages()["streamapp"] if each.word == word)
        assert line.rest.startswith("["), word
    assert image_environment()["PYTHONUNBUFFERED"] == "1"
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
