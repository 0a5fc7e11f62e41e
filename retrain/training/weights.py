"""A bundle's network as torch weights again, so that training goes on from what serves.

A bundle says what its network is in `network.json`. Its weights are read back from the served graph itself, where
they have torch's names or stand beside a bias that has; so there is no second copy that could disagree. Only graphs
that have lost them (8-bit ones, other architectures) carry `network.safetensors` besides.
"""

from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import onnx
import torch
from msgspec import Struct
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from retrain.core.company_labels import heads_of
from retrain.training.network import (
    ClassifierNetwork,
    MultiHeadEncoder,
    Pooling,
    TextNetwork,
    frozen_words,
)
from retrain.training.starter_sources import ENCODER, base_encoder
from streamapp.contracts.bundle import Bundle, read_bundle
from streamapp.contracts.manifest import MODEL_FILE
from streamapp.starter import REFERENCE_MODEL

NETWORK_FILE = "network.json"
WEIGHTS_FILE = "network.safetensors"
_ROOT = "network."
_HALF = "_half"
_DROPOUT = 0.1


class WeightsError(ValueError):
    """A bundle that training cannot go on from; the text names the bundle and what is missing."""


class NetworkNote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a network is besides its weights: the transformers configuration, and how heads read it."""

    kind: Literal["multi-head", "classifier"]
    config: dict[str, Any]
    pooling: Pooling = "cls"
    head: str = "sentiment"
    groups: tuple[tuple[int, ...], ...] = ()


class _Table(NamedTuple):
    values: dict[str, NDArray[np.float32]]
    consumers: dict[str, list[onnx.NodeProto]]


def note_of(network: TextNetwork) -> NetworkNote:
    """The note that lets `network_of` build the network again."""
    if isinstance(network, ClassifierNetwork):
        config = network.classifier.config.to_dict()
        return NetworkNote(kind="classifier", config=config, head=network.head, groups=network.groups)
    return NetworkNote(kind="multi-head", config=network.encoder.config.to_dict(), pooling=network.pooling)


def network_files(network: TextNetwork, *, readable_graph: bool) -> dict[str, bytes]:
    """The bundle files that keep `network` trainable; weights only where its graph does not give them back."""
    files = {NETWORK_FILE: msgspec.json.format(msgspec.json.encode(note_of(network)), indent=1) + b"\n"}
    if not readable_graph:
        files[WEIGHTS_FILE] = save_weights(network)
    return files


def graph_is_readable(network: TextNetwork, model: onnx.ModelProto) -> bool:
    """Whether `network_of` would find all of the network's weights in the graph, equal to the last bit of a half."""
    found, wanted = graph_weights(model), network.state_dict()
    return found.keys() == wanted.keys() and all(
        value.shape == tuple(wanted[name].shape) and np.array_equal(value, wanted[name].numpy())
        for name, value in found.items()
    )


def save_weights(network: TextNetwork) -> bytes:
    """The weights in half precision, without what can be computed."""
    halves = {
        name: value.detach().half().contiguous().clone() for name, value in network.state_dict().items()
    }
    return bytes(save_tensors(halves))


def load_into(network: TextNetwork, raw: bytes) -> TextNetwork:
    """`network` with the weights of `save_weights`."""
    wide = {name: value.float() for name, value in load_tensors(raw).items()}
    network.load_state_dict(wide)
    return network


def network_of(bundle: Bundle) -> TextNetwork:
    """The torch network that the bundle serves, in eval mode. Raises WeightsError.

    The 8-bit starter that ships is the shipped reference in other numbers, so it is read from there.
    """
    reference = read_bundle(REFERENCE_MODEL)
    same_training = bundle.manifest.training_fingerprint == reference.manifest.training_fingerprint
    if same_training and NETWORK_FILE not in bundle.manifest.files:
        bundle = reference
    note = _note(bundle)
    network = built(note, heads_of(bundle.manifest.outputs))
    try:
        if WEIGHTS_FILE in bundle.manifest.files:
            load_into(network, bundle.path(WEIGHTS_FILE).read_bytes())
        else:
            weights = graph_weights(onnx.load(bundle.path(MODEL_FILE)))
            network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    except RuntimeError as error:
        raise WeightsError(
            f"bundle {bundle.folder}: its weights are not those of its network: {error}"
        ) from error
    network.eval()
    return network


def averaged(network: TextNetwork, champion: TextNetwork, champion_share: float) -> TextNetwork:
    """`network`, each weight moved by `champion_share` of the way back to the champion's it was trained from.

    WiSE-FT (Wortsman et al. 2022): between a network and its fine-tuned self lie networks that keep most of what was
    learnt and lose less of what was known. A network with heads that the champion lacks stays as it is, since those
    were learnt on its own encoder.
    """
    mine, theirs = network.state_dict(), champion.state_dict()
    if mine.keys() == theirs.keys():
        network.load_state_dict(
            {name: torch.lerp(value, theirs[name], champion_share) for name, value in mine.items()}
        )
    return network


def may_find_companies(bundle: Bundle) -> bool:
    """Whether the bundle's network has room for a head for companies: not somebody's sequence classifier."""
    return NETWORK_FILE not in bundle.manifest.files or _note(bundle).kind == "multi-head"


def built(note: NetworkNote, labels: dict[str, tuple[str, ...]]) -> TextNetwork:
    """A network as noted, with weights yet to be loaded."""
    settings = {name: value for name, value in note.config.items() if name not in ("model_type", "dtype")}
    config = AutoConfig.for_model(note.config["model_type"], **settings)
    config._attn_implementation = "eager"  # other kinds do not export
    if note.kind == "classifier":
        classifier = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
        return ClassifierNetwork(classifier.float(), note.head, labels[note.head], note.groups)
    encoder = AutoModel.from_config(config, attn_implementation="eager").float()
    return MultiHeadEncoder(frozen_words(encoder), labels, note.pooling, _DROPOUT)


def graph_weights(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """The weights of a graph of ours under torch's names.

    The exporter folds a transposition into each matrix that is multiplied from the right and loses its name; the bias
    that is added to the product still has one.
    """
    table = _constants(model)
    weights = {
        name.removeprefix(_ROOT): value for name, value in table.values.items() if name.startswith(_ROOT)
    }
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in table.values or node.input[1].startswith(_ROOT):
            continue
        for added in table.consumers.get(node.output[0], []):
            bias = next(
                (name for name in added.input if name.startswith(_ROOT) and name.endswith(".bias")), None
            )
            if added.op_type == "Add" and bias is not None:
                name = bias.removeprefix(_ROOT).removesuffix("bias") + "weight"
                weights[name] = np.ascontiguousarray(table.values[node.input[1]].T)
    return weights


def _constants(model: onnx.ModelProto) -> _Table:
    """Initialisers as float32 under the name by which nodes read them, casts from half looked through."""
    values = {
        weight.name: numpy_helper.to_array(weight).astype(np.float32)
        for weight in model.graph.initializer
        if weight.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
        if node.op_type == "Cast" and node.input[0].endswith(_HALF) and node.input[0] in values:
            values[node.output[0]] = values.pop(node.input[0])
        # The exporter keeps equal weights once, and their other names as copies.
        if node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    return _Table(values, consumers)


def _note(bundle: Bundle) -> NetworkNote:
    if NETWORK_FILE in bundle.manifest.files:
        try:
            return msgspec.json.decode(bundle.path(NETWORK_FILE).read_bytes(), type=NetworkNote)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise WeightsError(f"bundle {bundle.folder}: {NETWORK_FILE}: {error}") from error
    if bundle.manifest.encoder.startswith(ENCODER):
        # The starter was made before bundles had the note.
        return NetworkNote(kind="multi-head", config=AutoConfig.from_pretrained(base_encoder()).to_dict())
    raise WeightsError(
        f"bundle {bundle.folder}: has no {NETWORK_FILE}, so training cannot go on from it; "
        "name an encoder in the setting training.encoder"
    )
