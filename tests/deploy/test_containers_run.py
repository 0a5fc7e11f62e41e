"""What the containers run, as written: from the wheel, in a clean environment, as the image's user, on a real Kafka."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.clean_room import CleanRoom
from tests.deploy.compose import own_containers
from tests.harness.cluster import free_port, wait_until

pytestmark = pytest.mark.slow

OWN = own_containers()


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
    before = room.files() | {room.folder / "compose.toml"}
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
    assert room.files() - before == set(), "written outside /data and /tmp"


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


def test_no_torch_and_no_test_tool_is_installed(room: CleanRoom) -> None:
    listed = subprocess.run(
        [room.bin / "python", "-m", "pip", "list"], capture_output=True, text=True, check=True
    )
    names = {line.split()[0].lower() for line in listed.stdout.splitlines()[2:]}
    assert "streamapp" in names
    assert names.isdisjoint({"torch", "transformers", "pytest", "mypy", "ruff"})
