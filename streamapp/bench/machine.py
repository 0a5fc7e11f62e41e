"""What a figure depends on and what a process costs: the machine, the versions, CPU seconds, resident memory."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil
from msgspec import Struct

from streamapp.release import RELEASE

_PACKAGES: Final = ("aiokafka", "faust-streaming", "mode-streaming", "msgspec", "onnxruntime", "tokenizers")
SAMPLE_SECONDS: Final = 0.2


class Machine(Struct, frozen=True, kw_only=True):
    """Where and with what a benchmark ran. `load` is the load average of the last minute before it."""

    cores: int
    cpu: str
    memory_bytes: int
    system: str
    python: str
    load: float
    versions: dict[str, str]

    def line(self) -> str:
        """All of it for people."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{self.cores} cores ({self.cpu}), {self.memory_bytes / 2**30:.0f} GB, {self.system}, "
            f"load {self.load:.1f} before the start; Python {self.python}, {versions}"
        )


class Usage(Struct, frozen=True, kw_only=True):
    """What a process used since it was metered."""

    cpu_seconds: float
    resident_bytes: int
    peak_resident_bytes: int


def this_machine() -> Machine:
    """The machine of this process; `cores` are those that it may use."""
    versions = {"streamapp": RELEASE}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu=_cpu_model(),
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0,
        versions=versions,
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


class CoresInUse:
    """How many cores each named process, this one (`load`) and everything else (`others`) keep busy, from now on.

    `others` tells whether the machine was quiet: where it is not near 0, latencies are not the worker's alone.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._processes["load"] = psutil.Process()
        self._began = time.monotonic()
        self._before, self._machine_before = self._read()

    def on_average(self) -> dict[str, float]:
        """Cores in use since the beginning; the processes must still run."""
        seconds = time.monotonic() - self._began
        now, machine = self._read()
        cores = {name: (now[name] - self._before[name]) / seconds for name in now}
        cores["others"] = max(0.0, (machine - self._machine_before) / seconds - sum(cores.values()))
        return cores

    def _read(self) -> tuple[dict[str, float], float]:
        times = {name: process.cpu_times() for name, process in self._processes.items()}
        whole = psutil.cpu_times()
        busy = sum(getattr(whole, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))
        return {name: float(cpu.user + cpu.system) for name, cpu in times.items()}, float(busy)


class Meter:
    """Watches one process from a thread of its own, so that a peak between two readings is not missed."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began = self._cpu()
        self._peak = self._process.memory_info().rss
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="meter", daemon=True).start()

    def usage(self) -> Usage:
        """What was used up to now; the process must still run."""
        resident = self._process.memory_info().rss
        self._peak = max(self._peak, resident)
        return Usage(
            cpu_seconds=self._cpu() - self._began, resident_bytes=resident, peak_resident_bytes=self._peak
        )

    def close(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            try:
                self._peak = max(self._peak, self._process.memory_info().rss)
            except psutil.NoSuchProcess:
                return
