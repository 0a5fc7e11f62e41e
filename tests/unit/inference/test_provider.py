"""Which ONNX Runtime is installed: none, one, or two that overwrite each other."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from streamapp.inference.provider import RuntimeMissingError, load_runtime


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def version(name: str) -> str:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)


def test_two_builds_at_once_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(RuntimeMissingError, match="onnxruntime and onnxruntime-gpu overwrite"):
        load_runtime()


def test_none_is_refused_with_the_extras_that_bring_one(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        RuntimeMissingError, match=r"\[cpu\] brings onnxruntime, \[gpu\] brings onnxruntime-gpu"
    ):
        load_runtime()


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu"])
def test_one_of_them_is_loaded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    installed(monkeypatch, name)
    assert "CPUExecutionProvider" in load_runtime().get_available_providers()


def test_the_runtime_starts_no_usage_client(tmp_path: Path) -> None:
    """Importing it unguarded leaves a session file of that client in the temporary folder."""
    code = "from streamapp.inference.provider import load_runtime; load_runtime()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []
