"""Bundles for the inference tests: the tiny one, and variants of it that misbehave."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from streamapp.contracts.bundle import Bundle, read_bundle, write_bundle
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE, Manifest
from tests.tiny_bundle import write_tiny_bundle


def tiny(folder: Path) -> Bundle:
    """The tiny bundle, written into the new folder `folder`/tiny."""
    return read_bundle(write_tiny_bundle(folder / "tiny"))


def changed(folder: Path, graph: onnx.ModelProto | None = None, **changes: object) -> Bundle:
    """The tiny bundle with another manifest and, where given, another graph."""
    original = tiny(folder)
    manifest: Manifest = msgspec.structs.replace(original.manifest, **changes)
    model = original.path(MODEL_FILE) if graph is None else graph.SerializeToString()
    files = {MODEL_FILE: model, TOKENIZER_FILE: original.path(TOKENIZER_FILE)}
    return write_bundle(folder / "changed", manifest, files)


def graph_of(folder: Path) -> onnx.ModelProto:
    """The graph of the tiny bundle."""
    return onnx.load(read_bundle(write_tiny_bundle(folder / "for-graph")).path(MODEL_FILE))


def with_word(graph: onnx.ModelProto, row: int, weight: float) -> onnx.ModelProto:
    """`graph` whose vocabulary word number `row` adds `weight` to negative."""
    for table in graph.graph.initializer:
        if table.name == "sentiment_rows":
            values = np.array(numpy_helper.to_array(table))
            values[row, 0] = weight
            table.CopyFrom(numpy_helper.from_array(values, table.name))
    return graph
