"""A trained network as an ONNX graph: small on disk, exact at run time, the same answers as torch.

The graph computes the last layer for the first token only where pooling is "cls" and no head reads the others
(1.15 times as fast, same answers). Weights are stored as float16 and widened by the graph itself, so any runtime
loads it without code of ours.
"""

import io
import math
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from retrain.core.company_labels import COMPANY_HEAD
from retrain.training.fine_tune import all_logits, word_logits
from retrain.training.network import MultiHeadEncoder, TextNetwork
from streamapp.contracts.encoding import TextEncoder
from streamapp.inference.onnx_model import OnnxModel, Prediction

OPSET = 17
LARGEST_PARITY_ERROR = 1e-4
# Large enough to silence padding, small enough for float16 runtimes.
_MASKED = -1e4
_SMALLEST_STORED_AS_HALF = 1024


class ParityError(AssertionError):
    """The graph does not give torch's answers."""


def round_to_half(network: TextNetwork) -> TextNetwork:
    """`network` with every weight rounded to what float16 can hold, so that storing it so loses nothing
    more.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
    return network


def export_graph(network: TextNetwork) -> onnx.ModelProto:
    """The float32 graph with inputs input_ids and attention_mask and one output a head: a row a text, and of the head
    for companies a row a token.

    By the older exporter from eager attention: the newer one's graphs run at 0.8 of the speed and do not
    fuse.
    """
    heads = list(network.labels)
    served = _served(network).eval()
    # With a mask of ones alone, some architectures trace a graph without any mask.
    mask = torch.ones(2, 8, dtype=torch.int64)
    mask[1, 5:] = 0
    example = (torch.ones_like(mask), mask)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            served,
            example,
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=heads,
            dynamic_axes={
                **{name: {0: "batch", 1: "length"} for name in ("input_ids", "attention_mask")},
                **{head: {0: "batch"} for head in heads},
                **({COMPANY_HEAD: {0: "batch", 1: "length"}} if COMPANY_HEAD in heads else {}),
            },
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model)
    return model


def stored_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large float32 weights are float16 with a Cast behind them; runtimes fold the casts at
    load.

    A table that is only looked up stays float16 in memory too: there the Cast stands behind the look-up.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    looked_up = {node.input[0]: node for node in copy.graph.node if node.op_type == "Gather"}
    casts, renamed = [], {}
    for weight in copy.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or math.prod(weight.dims) < _SMALLEST_STORED_AS_HALF:
            continue
        name = weight.name
        half = numpy_helper.to_array(weight).astype(np.float16)
        if name in looked_up:
            weight.CopyFrom(numpy_helper.from_array(half, name))
            renamed[looked_up[name].output[0]] = name
            continue
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts]
    for node in copy.graph.node:
        nodes.append(node)
        if node.op_type == "Gather" and node.output[0] in renamed:
            wide = node.output[0]
            node.output[0] = f"{wide}_half"
            nodes.append(helper.make_node("Cast", [f"{wide}_half"], [wide], to=TensorProto.FLOAT))
    return rebuilt(copy, nodes)


def rebuilt(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    """`model`, changed in place to have `nodes` in this order, and checked."""
    # The nodes may be views into the list that is emptied next, so each is copied first.
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.checker.check_model(model)
    return model


def check_parity(network: TextNetwork, encoder: TextEncoder, model: OnnxModel, texts: Sequence[str]) -> float:
    """`parity_with_torch`, or ParityError where it is more than 1e-4."""
    greatest = parity_with_torch(network, encoder, model, texts)
    if greatest > LARGEST_PARITY_ERROR:
        raise ParityError(f"torch and the bundle differ by {greatest:.2e}, more than {LARGEST_PARITY_ERROR}")
    return greatest


def parity_with_torch(
    network: TextNetwork, encoder: TextEncoder, model: OnnxModel, texts: Sequence[str]
) -> float:
    """The greatest difference of a probability, those of words too, between torch and the served bundle."""
    temperatures = model.manifest.temperatures
    served = model.predict(texts)
    greatest = _greatest_of_words(network, encoder, model, texts, served)
    for head, logits in all_logits(network, encoder, texts).items():
        expected = torch.softmax(logits.double() / temperatures.get(head, 1.0), dim=1).numpy()
        found: NDArray[np.float64] = np.array([getattr(prediction, head) for prediction in served])
        greatest = max(greatest, float(np.abs(expected - found).max()))
    return greatest


def _greatest_of_words(
    network: TextNetwork,
    encoder: TextEncoder,
    model: OnnxModel,
    texts: Sequence[str],
    served: Sequence[Prediction],
) -> float:
    if not isinstance(network, MultiHeadEncoder) or not network.finds_companies:
        return 0.0
    temperature = model.manifest.temperatures.get(COMPANY_HEAD, 1.0)
    greatest = 0.0
    for logits, prediction in zip(word_logits(network, encoder, texts), served, strict=True):
        if prediction.entities is None or len(prediction.entities.words) != len(logits):
            return math.inf
        if len(logits):
            expected = torch.softmax(logits.double() / temperature, dim=1).numpy()
            difference = np.abs(expected - np.array(prediction.entities.probabilities)).max()
            greatest = max(greatest, float(difference))
    return greatest


def _served(network: TextNetwork) -> nn.Module:
    bert = isinstance(network, MultiHeadEncoder) and network.encoder.config.model_type == "bert"
    return _ServedNetwork(network) if bert else _PlainNetwork(network)


class _PlainNetwork(nn.Module):  # type: ignore[misc]  # torch is not there for type checks
    """Any other architecture, as it is."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(input_ids, attention_mask).values())


class _ServedNetwork(nn.Module):  # type: ignore[misc]  # torch is not there for type checks
    """The network as it is served: a BERT encoder written out, so that the last layer can do less."""

    def __init__(self, network: MultiHeadEncoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        encoder = self.network.encoder
        hidden = encoder.embeddings(input_ids=input_ids, token_type_ids=torch.zeros_like(input_ids))
        bias = (1.0 - attention_mask[:, None, None, :].to(hidden.dtype)) * _MASKED
        *layers, last = encoder.encoder.layer
        for layer in layers:
            hidden = _layer(layer, hidden, hidden, bias)
        if self.network.pooling == "cls" and not self.network.finds_companies:
            return tuple(self.network.classify(_layer(last, hidden[:, :1], hidden, bias)[:, 0]).values())
        return tuple(self.network.read(_layer(last, hidden, hidden, bias), attention_mask).values())


def _layer(layer: nn.Module, queries: Tensor, context: Tensor, bias: Tensor) -> Tensor:
    """One post-norm BERT layer, computed for `queries` only, attending to all of `context`."""
    attention, output = layer.attention.self, layer.attention.output
    heads, size = attention.num_attention_heads, attention.attention_head_size

    def split(values: Tensor) -> Tensor:
        return values.view(values.shape[0], -1, heads, size).transpose(1, 2)

    query, key, value = attention.query(queries), attention.key(context), attention.value(context)
    scores = split(query) @ split(key).transpose(-1, -2) / math.sqrt(size) + bias
    mixed = (scores.softmax(dim=-1) @ split(value)).transpose(1, 2)
    mixed = mixed.reshape(queries.shape[0], -1, heads * size)
    attended = output.LayerNorm(output.dense(mixed) + queries)
    inner = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(attended))
    return layer.output.LayerNorm(layer.output.dense(inner) + attended)
