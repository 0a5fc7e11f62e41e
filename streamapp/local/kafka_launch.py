"""One start of the local Kafka: format the folder, write the settings, spawn it, and wait until it answers.

It owns the layout of the data folder and the state file; what becomes of the broker later it does not know.
"""

from __future__ import annotations

import base64
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

import msgspec

from streamapp.local import kafka_process, kafka_settings
from streamapp.local.kafka_process import KafkaProcess
from streamapp.local.kafka_ready import answers
from streamapp.local.kafka_runtime import BrokerError, KafkaRuntime, Progress

PORT_ATTEMPTS = 5
FORMAT_TIMEOUT_SECONDS = 60
KILL_TIMEOUT_SECONDS = 10
READY_POLL_SECONDS = 0.1
LOG_TAIL_LINES = 25
# The first compiler only: in a broker's first minutes the second one costs more CPU a message than it saves.
JAVA_FLAGS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",  # or it leaves a file in the temporary folder
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)


class BrokerSettings(msgspec.Struct, frozen=True):
    """What a local broker is started with. `port` None: a free one; `properties` win over ours."""

    data_dir: Path
    heap_mb: int = 512
    port: int | None = None
    startup_timeout_seconds: float = 90
    properties: dict[str, str] = {}


class BrokerState(msgspec.Struct, frozen=True):
    """The file by which other programs find a broker. `ready` is false from its spawn until it answered."""

    pid: int
    started_at: float
    port: int
    controller_port: int
    cluster_id: str
    settings: BrokerSettings
    die_with_parent: bool
    ready: bool


class BrokerFiles(msgspec.Struct, frozen=True):
    """Where things lie in a broker's data folder."""

    data_dir: Path

    @property
    def kafka(self) -> Path:
        return self.data_dir / "kafka"

    @property
    def properties(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def logging(self) -> Path:
        return self.data_dir / "log4j2.properties"

    @property
    def log(self) -> Path:
        return self.data_dir / "logs" / "broker.log"

    @property
    def output(self) -> Path:
        return self.data_dir / "logs" / "broker.out"

    @property
    def state(self) -> Path:
        return self.data_dir / "broker.json"


def start_on_free_ports(
    settings: BrokerSettings, runtime: KafkaRuntime, progress: Progress, die_with_parent: bool
) -> tuple[BrokerState, KafkaProcess]:
    """Start it on the asked or free ports and return once it answers; raises BrokerError.

    Another program can take a port between its choice and Kafka's bind: then others are chosen.
    """
    for _ in range(PORT_ATTEMPTS):
        if settings.port is not None and kafka_settings.is_taken(settings.port):
            raise BrokerError(f"Port {settings.port} on {kafka_settings.HOST} is taken by another program.")
        port = settings.port or kafka_settings.free_port()
        launch = _Launch(settings, runtime, port, kafka_settings.free_port(besides=port))
        try:
            return launch.run(progress, die_with_parent)
        except _PortTakenError:
            progress("Another program took the chosen port; choosing another")
    raise BrokerError(f"No port stayed free long enough in {PORT_ATTEMPTS} attempts.")


class _PortTakenError(Exception):
    """Kafka could not bind one of its ports."""


class _Launch:
    """One attempt to start the broker on two given ports."""

    def __init__(
        self, settings: BrokerSettings, runtime: KafkaRuntime, port: int, controller_port: int
    ) -> None:
        self._settings, self._runtime = settings, runtime
        self._port, self._controller_port = port, controller_port
        self._files = BrokerFiles(settings.data_dir)

    def run(self, progress: Progress, die_with_parent: bool) -> tuple[BrokerState, KafkaProcess]:
        self._files.log.parent.mkdir(exist_ok=True)
        self._files.logging.write_text(kafka_settings.logging_properties(self._files.log), encoding="ascii")
        if not (self._files.kafka / "meta.properties").is_file():
            self._format()
        self._write_properties(self._files.kafka)
        log_begin, output_begin = _size(self._files.log), _size(self._files.output)
        progress(f"Starting Apache Kafka on {kafka_settings.HOST}:{self._port}")
        began = time.monotonic()
        process = kafka_process.spawn(
            self._java("kafka.Kafka", str(self._files.properties)), self._files.output, die_with_parent
        )
        try:
            state = self._write_state(process, die_with_parent)
            self._await_answer(process, state.cluster_id, log_begin, output_begin)
            state = msgspec.structs.replace(state, ready=True)
            write_state(self._files.state, state)
        except BaseException:
            process.send_signal(signal.SIGKILL)
            process.wait(KILL_TIMEOUT_SECONDS)
            self._files.state.unlink(missing_ok=True)
            raise
        progress(
            f"Kafka answers on {kafka_settings.HOST}:{self._port} after {time.monotonic() - began:.1f} s"
        )
        return state, process

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        return [
            str(self._runtime.java),
            f"-Xmx{self._settings.heap_mb}m",
            *JAVA_FLAGS,
            f"-XX:ErrorFile={self._files.log.parent}/java_crash_%p.log",
            f"-Dlog4j2.configurationFile={self._files.logging.as_uri()}",
            "-cp",
            self._runtime.class_path,
            main_class,
            *arguments,
        ]

    def _format(self) -> None:
        """Make the data folder under another name, so that one cut short never counts as formatted."""
        if self._files.kafka.exists():
            raise BrokerError(
                f"{self._files.kafka} exists but is no Kafka data folder. Move it away or delete it."
            )
        unfinished = self._files.data_dir / "kafka.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write_properties(unfinished)
        arguments = ["format", "--cluster-id", _new_cluster_id(), "--config", str(self._files.properties)]
        command = self._java("kafka.tools.StorageTool", *arguments)
        try:
            result = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=FORMAT_TIMEOUT_SECONDS,
                env=kafka_process.java_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(
                f"Formatting {self._files.kafka} took over {FORMAT_TIMEOUT_SECONDS} s."
            ) from error
        if result.returncode != 0:
            raise BrokerError(f"Kafka cannot format {self._files.kafka}:\n{result.stdout}{result.stderr}")
        unfinished.rename(self._files.kafka)

    def _write_properties(self, log_dir: Path) -> None:
        text = kafka_settings.server_properties(
            log_dir, self._port, self._controller_port, self._settings.properties
        )
        _write_atomically(self._files.properties, text.encode("ascii"))

    def _write_state(self, process: KafkaProcess, die_with_parent: bool) -> BrokerState:
        state = BrokerState(
            pid=process.pid,
            started_at=time.time(),
            port=self._port,
            controller_port=self._controller_port,
            cluster_id=_cluster_id(self._files.kafka / "meta.properties"),
            settings=self._settings,
            die_with_parent=die_with_parent,
            ready=False,
        )
        write_state(self._files.state, state)
        return state

    def _await_answer(
        self, process: KafkaProcess, cluster_id: str, log_begin: int, output_begin: int
    ) -> None:
        bootstrap = f"{kafka_settings.HOST}:{self._port}"
        deadline = time.monotonic() + self._settings.startup_timeout_seconds
        while True:
            if not process.is_alive():
                said = _read_from(self._files.output, output_begin) + _read_from(self._files.log, log_begin)
                if "BindException" in said or "Address already in use" in said:
                    raise _PortTakenError
                raise BrokerError(f"Kafka ended while it started. {self._log_tail(said)}")
            remaining_seconds = deadline - time.monotonic()
            if remaining_seconds <= 0:
                said = _read_from(self._files.log, log_begin)
                raise BrokerError(
                    f"Kafka did not answer within {self._settings.startup_timeout_seconds:g} s."
                    f" {self._log_tail(said)}"
                )
            if answers(bootstrap, cluster_id, min(5.0, remaining_seconds)):
                return
            time.sleep(READY_POLL_SECONDS)

    def _log_tail(self, said: str) -> str:
        lines = said.splitlines()[-LOG_TAIL_LINES:]
        return f"Its log is {self._files.log}, and ends:\n" + "\n".join(lines)


def _new_cluster_id() -> str:
    """A random id in Kafka's form; none begins with '-', which the tool would take for an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _cluster_id(meta_properties: Path) -> str:
    for line in meta_properties.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "cluster.id":
            return value
    raise BrokerError(
        f"{meta_properties} names no cluster.id: the data folder is damaged. Delete it to begin anew."
    )


def write_state(path: Path, state: BrokerState) -> None:
    """Replace the state file as a whole."""
    _write_atomically(path, msgspec.json.encode(state, enc_hook=str))


def read_state(path: Path) -> BrokerState | None:
    """The state file's content, None when there is none. Raises BrokerError when it cannot be read."""
    try:
        return msgspec.json.decode(
            path.read_bytes(), type=BrokerState, dec_hook=lambda kind, value: kind(value)
        )
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BrokerError(f"The state file {path} cannot be read: {error}. Delete it.") from error


def _write_atomically(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read_from(path: Path, begin: int) -> str:
    if not path.exists():
        return ""
    content = path.read_bytes()
    return content[begin if begin <= len(content) else 0 :].decode(
        errors="replace"
    )  # the file may have rolled
