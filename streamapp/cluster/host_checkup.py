"""What is wrong on this machine before any broker is asked: settings that contradict, model, symbols, port, disk."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from streamapp.cluster.checkup import Finding
from streamapp.contracts.bundle import BundleError, read_bundle
from streamapp.inference.graph_session import BundleUnfitError
from streamapp.inference.onnx_model import OnnxModel
from streamapp.inference.provider import CPU, RuntimeMissingError
from streamapp.settings import Settings
from streamapp.symbols import SymbolTableError, load_symbol_table

LEAST_FREE_BYTES = 1_000_000_000


def check_host(settings: Settings, starter_model: Path) -> Iterator[Finding]:
    """Everything that needs no broker."""
    yield from _check_settings(settings)
    yield _check_model(settings, starter_model)
    yield _check_symbols(settings)
    yield _check_port(settings)
    yield _check_disk()


def _check_settings(settings: Settings) -> Iterator[Finding]:
    troubles = list(contradictions(settings))
    for message, mend in troubles:
        yield Finding(check="settings", level="failure", message=message, mend=mend)
    if not troubles:
        yield Finding(check="settings", level="ok", message="the settings fit together")


def contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Settings that cannot work together: what is wrong, and which to change."""
    worker, event_time, topics = settings.worker, settings.event_time, settings.topics
    if worker.heartbeat_seconds * 3 > worker.session_timeout_seconds:
        yield (
            f"worker.heartbeat_seconds {worker.heartbeat_seconds} is more than a third of "
            f"worker.session_timeout_seconds {worker.session_timeout_seconds}: one late heartbeat loses the partitions",
            "lower worker.heartbeat_seconds",
        )
    if event_time.lateness_seconds < worker.session_timeout_seconds:
        yield (
            f"event_time.lateness_seconds {event_time.lateness_seconds} is below "
            f"worker.session_timeout_seconds {worker.session_timeout_seconds}: a fail-over makes posts late",
            "raise event_time.lateness_seconds",
        )
    if topics.min_insync_replicas > topics.replication:
        yield (
            f"topics.min_insync_replicas {topics.min_insync_replicas} is above "
            f"topics.replication {topics.replication}: nothing could be written",
            "lower topics.min_insync_replicas",
        )
    names = [source.topic for source in settings.inputs]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield (f"input {name} is named twice", "remove one of the [[inputs]]")
    for source in settings.inputs:
        if source.start_at not in ("earliest", "latest") and not _is_moment(source.start_at):
            yield (
                f"inputs.start_at {source.start_at!r} of {source.topic} is neither earliest, latest nor a time",
                "write it as 2026-03-12T13:30:00Z",
            )


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _check_model(settings: Settings, starter_model: Path) -> Finding:
    folder = Path(settings.model.bundle) if settings.model.bundle else starter_model
    try:
        model = OnnxModel.load(read_bundle(folder), settings.model)
        model.predict(["The company publishes its annual report."])
    except (BundleError, BundleUnfitError) as error:
        mend = "set model.bundle to a whole bundle; reinstall for the starter model"
        return Finding(check="model", level="failure", message=str(error), mend=mend)
    except RuntimeMissingError as error:
        return Finding(
            check="model", level="failure", message=str(error), mend="pip install 'streamapp[cpu]'"
        )
    if settings.model.provider == "cuda" and model.provider == CPU:
        return Finding(
            check="model",
            level="warning",
            message=f"{model.version} serves on the CPU: {model.provider_reason}",
            mend="pip install 'streamapp[gpu]' on a machine with a CUDA driver, or set model.provider = \"cpu\"",
        )
    return Finding(
        check="model", level="ok", message=f"{model.version} is whole and answers on {model.provider}"
    )


def _check_symbols(settings: Settings) -> Finding:
    path = Path(settings.intake.symbols_file) if settings.intake.symbols_file else None
    try:
        load_symbol_table(path)
    except SymbolTableError as error:
        return Finding(check="symbols", level="failure", message=str(error), mend="mend intake.symbols_file")
    return Finding(check="symbols", level="ok", message="the symbol table is readable")


def _check_port(settings: Settings) -> Finding:
    address = (settings.http.host, settings.http.port)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return Finding(
                check="port",
                level="warning",
                message=f"port {address[1]} on {address[0]} is taken ({error.strerror}): does a worker run?",
                mend="set http.port, one for each worker of a machine",
            )
    return Finding(
        check="port", level="ok", message=f"port {address[1]} is free for /metrics, /livez and /readyz"
    )


def _check_disk() -> Finding:
    folder = Path(tempfile.gettempdir())
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < LEAST_FREE_BYTES:
        return Finding(
            check="disk",
            level="failure",
            message=f"only {free_bytes / 1e9:.2f} GB are free in {folder}",
            mend="make room: bundles and logs need about 1 GB",
        )
    return Finding(check="disk", level="ok", message=f"{free_bytes / 1e9:.0f} GB are free in {folder}")
