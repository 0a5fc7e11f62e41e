"""An 8-bit variant of a graph, about 2.5 times as fast on a CPU, close to the float32 answers.

Per-channel dynamic quantisation after smoothing (SmoothQuant, Xiao et al. 2023): activations' large channels
are divided by a factor that the weights take over, so that one scale a tensor loses less. Activation scales
depend on the whole tensor, hence on batch neighbours: such a bundle must say batch policy "alone".
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from msgspec import Struct
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from retrain.core.company_labels import COMPANY_HEAD
from retrain.training.export import rebuilt
from streamapp.contracts.encoding import TokenIds
from streamapp.inference.provider import load_runtime

_SMALLEST_TABLE = 1_000_000
_LEAST_ACTIVATION, _LEAST_WEIGHT = 1e-4, 1e-5
_INT8_LARGEST = 127

Float32s = NDArray[np.float32]


class QuantisationSettings(Struct, frozen=True, kw_only=True):
    """How to quantise. `smoothing` is SmoothQuant's alpha: 0 leaves activations alone, 1 makes their
    channels equal.

    `seven_bit_weights` keeps sums within 16 bits on CPUs that have AVX2 without VNNI, where they would
    saturate.
    """

    smoothing: float = 0.8
    seven_bit_weights: bool = True


def quantised(
    model: onnx.ModelProto, calibration: Sequence[TokenIds], settings: QuantisationSettings
) -> onnx.ModelProto:
    """`model` (float32) with 8-bit products and an 8-bit word table; `calibration` shows it typical texts."""
    smooth = _smoothed(model, _largest_activations(model, calibration), settings.smoothing)
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        onnx.save(smooth, plain)
        quantize_dynamic(
            plain,
            small,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=settings.seven_bit_weights,
            # Unsigned weights run at 0.4 of the speed of signed ones, signed activations at less still.
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_of_words(smooth),
            extra_options={"MatMulConstBOnly": True},
        )
        return _with_small_tables(onnx.load(small))


def _of_words(model: onnx.ModelProto) -> list[str]:
    """The product of the head for companies: like the other heads, which are no products, it keeps its precision."""
    added = {name for node in model.graph.node if COMPANY_HEAD in node.output for name in node.input}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and node.output[0] in added]


def _products_by_input(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """The products with a constant matrix, by the activation that they read (query, key and value share
    one).
    """
    constants = {weight.name for weight in model.graph.initializer}
    products: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            products.setdefault(node.input[0], []).append(node)
    return products


def _largest_activations(model: onnx.ModelProto, calibration: Sequence[TokenIds]) -> dict[str, Float32s]:
    """The greatest magnitude of each channel of each product's input over the calibration texts."""
    names = list(_products_by_input(model))
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = load_runtime().InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    largest: dict[str, Float32s] = {}
    for text in calibration:
        ids = np.array([text], dtype=np.int64)
        values = session.run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        for name, value in zip(names, values, strict=True):
            seen = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            largest[name] = np.maximum(largest[name], seen) if name in largest else seen
    return largest


def _smoothed(model: onnx.ModelProto, largest: dict[str, Float32s], alpha: float) -> onnx.ModelProto:
    """The same function, with each product's input divided and its matrix multiplied, channel by channel."""
    smooth = onnx.ModelProto()
    smooth.CopyFrom(model)
    weights = {weight.name: weight for weight in smooth.graph.initializer}
    before: dict[str, onnx.NodeProto] = {}
    for number, (activation, products) in enumerate(_products_by_input(smooth).items()):
        matrices = [numpy_helper.to_array(weights[product.input[1]]) for product in products]
        factors = _factors(largest[activation], matrices, alpha)
        inverse, divided = f"smoothing_{number}", f"smoothed_{number}"
        smooth.graph.initializer.append(numpy_helper.from_array(1.0 / factors, inverse))
        before[products[0].output[0]] = helper.make_node(
            "Mul", [activation, inverse], [divided], name=divided
        )
        for product, matrix in zip(products, matrices, strict=True):
            name = product.input[1]
            weights[name].CopyFrom(numpy_helper.from_array(matrix * factors[:, None], name))
            product.input[0] = divided
    nodes: list[onnx.NodeProto] = []
    for node in smooth.graph.node:
        nodes += [before[node.output[0]], node] if node.output[0] in before else [node]
    return rebuilt(smooth, nodes)


def _factors(largest: Float32s, matrices: Sequence[Float32s], alpha: float) -> Float32s:
    weights = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    raw = np.maximum(largest, _LEAST_ACTIVATION) ** alpha / np.maximum(weights, _LEAST_WEIGHT) ** (1 - alpha)
    factors: Float32s = (raw / np.exp(np.log(raw).mean())).astype(np.float32)
    return factors


def _with_small_tables(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` whose large look-up tables hold 8-bit rows with a scale each."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes.append(node)
        table = weights.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or np.prod(table.dims) < _SMALLEST_TABLE:
            continue
        name, rows = table.name, numpy_helper.to_array(table)
        scale = (np.maximum(np.abs(rows).max(axis=1, keepdims=True), _LEAST_WEIGHT) / _INT8_LARGEST).astype(
            np.float32
        )
        table.CopyFrom(numpy_helper.from_array(np.round(rows / scale).astype(np.int8), name))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        found = node.output[0]
        node.output[0] = f"{found}_int8"
        nodes += [
            helper.make_node("Cast", [f"{found}_int8"], [f"{found}_wide"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [f"{name}_scale", node.input[1]], [f"{found}_scale"]),
            helper.make_node("Mul", [f"{found}_wide", f"{found}_scale"], [found]),
        ]
    return rebuilt(model, nodes)
