"""Which ONNX Runtime is installed: none, one, or two that overwrite each other."""

import sys
from importlib import metadata

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
