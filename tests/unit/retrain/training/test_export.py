"""From torch to a served bundle: the same answers, stored small, and an 8-bit variant close to them."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test the export")
transformers = pytest.importorskip(
    "transformers", reason="transformers is absent: install the extra [retrain]"
)

from retrain.training.examples import Example  # noqa: E402
from retrain.training.export import (  # noqa: E402  # only where the extra is installed
    ParityError,
    check_parity,
    export_graph,
    round_to_half,
    stored_as_half,
)
from retrain.training.fine_tune import TrainingSettings, all_logits, fine_tune  # noqa: E402
from retrain.training.network import MultiHeadEncoder, Pooling  # noqa: E402
from retrain.training.quantise import QuantisationSettings, quantised  # noqa: E402
from streamapp.contracts.bundle import write_bundle  # noqa: E402
from streamapp.contracts.encoding import TextEncoder  # noqa: E402
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE, Manifest, Outputs  # noqa: E402
from streamapp.contracts.messages import SENTIMENTS  # noqa: E402
from streamapp.inference.onnx_model import OnnxModel  # noqa: E402
from streamapp.settings import ModelSettings  # noqa: E402

WORDS = ["[PAD]", "[UNK]", *(f"w{number}" for number in range(200))]
TEXTS = [
    " ".join(f"w{(seed * 7 + place * seed) % 200}" for place in range(seed % 40 + 1)) for seed in range(60)
]
LABELS = {"sentiment": SENTIMENTS, "topic": ("macro", "ipo", "dividend")}


def tokenizer() -> bytes:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str().encode()


def network(pooling: Pooling = "cls") -> MultiHeadEncoder:
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
    )
    encoder = transformers.BertModel(config, add_pooling_layer=False)
    encoder.config._attn_implementation = "eager"
    made = MultiHeadEncoder(encoder, LABELS, pooling, dropout=0.1)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return round_to_half(made.eval())


def served(folder: Path, graph: bytes, temperatures: dict[str, float] | None = None) -> OnnxModel:
    manifest = Manifest(
        name="made-up",
        version="1",
        created_at="2026-01-01T00:00:00Z",
        languages=("en",),
        max_tokens=64,
        encoder="random",
        outputs=Outputs(sentiment=LABELS["sentiment"], topic=LABELS["topic"]),
        temperatures=temperatures or {},
        licence="Apache-2.0",
    )
    bundle = write_bundle(folder, manifest, {MODEL_FILE: graph, TOKENIZER_FILE: tokenizer()})
    return OnnxModel.load(bundle, ModelSettings(sessions=1))


def topics(model: OnnxModel) -> NDArray[np.float64]:
    """The topic probabilities of all texts, each text alone."""
    return np.array([model.predict([text])[0].topic for text in TEXTS], dtype=np.float64)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_served_graph_gives_the_answers_of_torch(tmp_path: Path, pooling: Pooling) -> None:
    made = network(pooling)
    graph = stored_as_half(export_graph(made)).SerializeToString()
    model = served(tmp_path / "b", graph, {"sentiment": 1.7})
    assert check_parity(made, TextEncoder(tokenizer(), 64), model, TEXTS) < 1e-4


def test_a_graph_of_other_weights_fails_parity(tmp_path: Path) -> None:
    made = network()
    model = served(tmp_path / "b", export_graph(made).SerializeToString())
    with torch.no_grad():
        made.heads["topic"].bias += 1.0
        made.heads["topic"].bias[0] += 1.0
    with pytest.raises(ParityError, match="torch and the bundle differ"):
        check_parity(made, TextEncoder(tokenizer(), 64), model, TEXTS)


def test_half_precision_on_disk_changes_nothing_after_the_weights_were_rounded(tmp_path: Path) -> None:
    plain = export_graph(network())
    small = stored_as_half(plain)
    assert small.ByteSize() < 0.75 * plain.ByteSize()
    one, other = (
        served(tmp_path / "a", plain.SerializeToString()),
        served(tmp_path / "b", small.SerializeToString()),
    )
    assert np.abs(topics(one) - topics(other)).max() < 1e-6


@pytest.mark.parametrize("seven_bit_weights", [True, False])
def test_eight_bits_stay_near_the_reference(tmp_path: Path, seven_bit_weights: bool) -> None:
    plain = export_graph(network())
    tokens = TextEncoder(tokenizer(), 64).encode(TEXTS)
    small = quantised(plain, tokens, QuantisationSettings(seven_bit_weights=seven_bit_weights))
    one = served(tmp_path / "a", plain.SerializeToString())
    other = served(tmp_path / "b", small.SerializeToString())
    assert 0 < np.abs(topics(one) - topics(other)).mean() < 0.02


def test_fine_tuning_learns_from_partial_labels_and_leaves_the_best_epoch_in_place(tmp_path: Path) -> None:
    examples = []
    for split in ("train", "dev"):
        for number in range(240 if split == "train" else 30):
            word, label = (("w1", "negative"), ("w2", "neutral"), ("w3", "positive"))[number % 3]
            topic = None if number % 2 else ("macro" if number % 3 else "ipo")
            text = f"{word} w{number % 50 + 20}"
            examples.append(Example(text, "made_up", split, label if number % 5 else None, topic))
    examples = [e for e in examples if e.sentiment or e.topic]
    made, encoder = network(), TextEncoder(tokenizer(), 16)
    settings = TrainingSettings(
        epochs=10,
        learning_rate=2e-3,
        head_learning_rate=1e-2,
        tokens_a_batch=64,
        patience_epochs=10,
        bfloat16=False,
    )
    results = fine_tune(made, encoder, examples, settings, tmp_path, lambda line: None)
    assert results[-1].loss < results[0].loss
    assert max(result.score for result in results) > 0.9
    kept = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(torch.equal(kept[name], value) for name, value in made.state_dict().items())


def test_a_text_without_neutral_in_its_set_does_not_push_neutral_down(tmp_path: Path) -> None:
    examples = [Example("w1 w5", "tags", "train", "negative", polar_only=True) for _ in range(64)]
    examples += [
        Example("w9 w8", "made_up", "dev", "negative"),
        Example("w9 w8", "made_up", "dev", None, "macro"),
    ]
    made, encoder = network(), TextEncoder(tokenizer(), 16)
    made.dropout.p = 0.0
    for parameter in made.encoder.parameters():
        parameter.requires_grad_(False)
    before = made.heads["sentiment"].weight[1].clone()
    logits_before = all_logits(made, encoder, ["w1 w5"])["sentiment"][0]
    settings = TrainingSettings(epochs=1, tokens_a_batch=64, bfloat16=False)
    fine_tune(made, encoder, examples, settings, tmp_path, lambda line: None)
    weights = made.heads["sentiment"].weight
    assert torch.equal(weights[1], before)
    logits = all_logits(made, encoder, ["w1 w5"])["sentiment"][0]
    assert logits[0] - logits[2] > logits_before[0] - logits_before[2]
