"""The project installed by the Dockerfile's rules in a new virtual environment, and processes run as the image does."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.deploy.compose import Container, entry_point, health_command, lines, process_environment
from tests.deploy.files import REPOSITORY


class CleanRoom:
    """The project installed by the Dockerfile's rules in a new virtual environment; runs commands as the image does.

    Processes run as the image's user, to whom nothing but the data folder and /tmp belongs, where this process may
    become another user and that user may run this Python; everywhere, what they wrote elsewhere is found afterwards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self.data = folder / "data"
        self.user = int(lines("streamapp", "USER")[0][0].partition(":")[0])
        self.as_user = os.geteuid() == 0 and all(
            folder.stat().st_mode & stat.S_IXOTH for folder in Path(sys.executable).resolve().parents
        )

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
        if self.as_user:
            os.chown(self.data, self.user, self.user)

    def _sources(self) -> Path:
        """What the Dockerfile copies, and nothing else."""
        copied = self.folder / "src"
        copied.mkdir()
        names = {source for line in lines("build", "COPY") for source in line[:-1] if "/" not in source}
        call("cp", "-r", *(str(REPOSITORY / name) for name in sorted(names)), str(copied))
        return copied

    def files(self) -> set[Path]:
        """Everything outside the data folder."""
        return {path for path in self.folder.rglob("*") if not path.is_relative_to(self.data)}

    def start(self, container: Container, log: Path, **changes: str) -> "subprocess.Popen[bytes]":
        """The container's process: entry point, command, environment and working folder are those of the image."""
        return self._popen([*entry_point(), *container.command], container, log, changes)

    def healthy(self, container: Container, log: Path, **changes: str) -> bool:
        """What the image's health check says."""
        return self._popen(health_command(), container, log, changes).wait(30) == 0

    def _popen(
        self, command: list[str], container: Container, log: Path, changes: dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        as_user: Any = {"user": self.user, "group": self.user, "extra_groups": []} if self.as_user else {}
        home = {"HOME": str(self.folder / "nowhere"), "PATH": f"{self.bin}:/usr/bin:/bin"}
        environment = {**process_environment(container), **home, **changes}
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
