"""Which ONNX Runtime is installed and on which hardware a session of it runs, said in words.

Must not know bundles or texts.
"""

import os
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamapp.settings import ModelSettings

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_INSTALL_ONE = "install exactly one of them: the extra [cpu] brings onnxruntime, [gpu] brings onnxruntime-gpu"


class RuntimeMissingError(RuntimeError):
    """ONNX Runtime is absent, or two builds of it overwrite each other."""


def load_runtime() -> Any:
    """The onnxruntime module. Raises RuntimeMissingError where none or two builds are installed."""
    both = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(both) > 1:
        raise RuntimeMissingError(
            f"onnxruntime and onnxruntime-gpu overwrite each other's files; {_INSTALL_ONE}"
        )
    # Its builds carry a usage client that starts with the import; a bank's texts stay in the house.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime  # noqa: PLC0415  # its absence is an error in words, not a traceback at start
    except ImportError as error:
        raise RuntimeMissingError(f"ONNX Runtime cannot be imported ({error}); {_INSTALL_ONE}") from error
    return onnxruntime


def open_session(graph: Path, settings: ModelSettings) -> tuple["onnxruntime.InferenceSession", str]:
    """A session of one thread for `graph`, and why it runs where it runs (`session.get_providers()[0]`).

    CUDA is used when asked for and usable; otherwise the CPU, and the reason says what was missing.
    """
    runtime = load_runtime()
    if settings.provider == "cpu":
        return _session(runtime, graph, [CPU]), "the settings ask for the CPU"
    if CUDA not in runtime.get_available_providers():
        reason = (
            f"CUDA was asked for, but this onnxruntime {runtime.__version__} is built without it; "
            "install the extra [gpu]"
        )
        return _session(runtime, graph, [CPU]), reason
    session = _session(runtime, graph, [(CUDA, _cuda_options(settings)), CPU])
    if session.get_providers()[0] == CUDA:
        return session, "the settings ask for CUDA, and it works"
    return session, "CUDA was asked for, but no usable device or driver was found (onnxruntime logged which)"


def busy_clock(provider: str) -> Callable[[], float]:
    """What tells how long a thread was busy with a forward pass, in seconds.

    On the CPU a session computes in the calling thread: its CPU time, so that a model is not blamed for what else the
    machine does. On CUDA the thread only waits.
    """
    return time.thread_time if provider == CPU else time.monotonic


def _session(runtime: Any, graph: Path, providers: list[Any]) -> "onnxruntime.InferenceSession":
    options = runtime.SessionOptions()
    # One session a core with one thread each: 1.25-2.1 times one session with all cores (research:
    # inference, 0.2).
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session: onnxruntime.InferenceSession = runtime.InferenceSession(str(graph), options, providers=providers)
    return session


def _cuda_options(settings: ModelSettings) -> dict[str, str]:
    # Without these the arena doubles itself, and the next model's session does not fit beside this one.
    return {
        "device_id": "0",
        "gpu_mem_limit": str(settings.cuda_memory_limit_bytes),
        "arena_extend_strategy": "kSameAsRequested",
    }


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
