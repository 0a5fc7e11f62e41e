"""A Hugging Face sequence classifier becomes a bundle that answers as torch does, under our labels."""

import json
from pathlib import Path
from typing import Literal

import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test the import")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test the import")

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from retrain.core.run_settings import TrainingSettings
from retrain.training.add_classifier import Addition, ClassifierError, add_classifier, main, mapped_labels
from retrain.training.export import export_graph
from retrain.training.fit import fit, fitted, write_plan
from retrain.training.training_set import TaughtPost, TrainingSet
from retrain.training.weights import network_of
from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.manifest import TOKENIZER_FILE
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings

WORDS = ["<pad>", "<unk>", *(f"w{number}" for number in range(100))]
NAMES = {0: "Bearish", 1: "so-so", 2: "Bullish", 3: "very bad"}


def write_classifier(folder: Path, kind: str) -> Path:
    torch.manual_seed(1)
    sizes = {"vocab_size": len(WORDS), "id2label": NAMES, "label2id": {name: i for i, name in NAMES.items()}}
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    made = {
        "bert": lambda: BertForSequenceClassification(BertConfig(**sizes, **wide)),
        "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**sizes, **wide, pad_token_id=0)),
        "distilbert": lambda: DistilBertForSequenceClassification(
            DistilBertConfig(**sizes, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
        ),
    }[kind]()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    made.save_pretrained(folder)
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>").save_pretrained(
        folder
    )
    return folder


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_the_bundle_gives_torchs_probabilities_and_can_be_trained_on(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_classifier(tmp_path / "source", kind)
    out = tmp_path / "bundle"
    asked = [str(source), str(out), "--name", "theirs", "--map", "so-so=neutral", "very bad=negative"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    bundle = read_bundle(out)
    assert told["digest"] == bundle.manifest.digest
    assert bundle.manifest.outputs.sentiment == ("negative", "neutral", "positive")
    text = "w1 w5 w9 w33"
    served = OnnxModel.load(bundle, ModelSettings(sessions=1)).predict([text, "w7"])[0].sentiment
    network = network_of(bundle)
    ids = torch.tensor([[WORDS.index(word) for word in text.split()]])
    with torch.no_grad():
        raw = network.classifier(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.softmax(dim=1)[0]
    assert served is not None
    assert served == pytest.approx([float(raw[0] + raw[3]), float(raw[1]), float(raw[2])], abs=1e-5)


@pytest.mark.parametrize(("kind", "method"), [("bert", "lora"), ("roberta", "head"), ("distilbert", "full")])
def test_a_foreign_classifier_is_trained_on_and_exported_again(
    kind: str, method: Literal["full", "lora", "head"], tmp_path: Path
) -> None:
    source = write_classifier(tmp_path / "source", kind)
    labels = {"so-so": "neutral", "very bad": "negative"}
    bundle = add_classifier(str(source), tmp_path / "bundle", Addition(name="theirs", labels=labels))
    posts = tuple(
        TaughtPost(
            text=f"w{number} w{number % 7}",
            targets={"sentiment": (1.0, 0.0, 0.0) if number % 2 else (0.0, 0.0, 1.0)},
            weights={"sentiment": 1.0},
            sure=("sentiment",),
        )
        for number in range(32)
    )
    start = network_of(bundle)
    taught = TrainingSet(labels=start.labels, train=posts, dev=posts[:8])
    settings = TrainingSettings(
        method=method, epochs=1, learning_rate=1e-2, head_learning_rate=1e-2, threads=1
    )
    tokenizer = bundle.path(TOKENIZER_FILE).read_bytes()
    write_plan(tmp_path / "fit", start, tokenizer, taught, settings)
    fit(tmp_path / "fit", lambda _fraction, _detail: None)
    network = fitted(tmp_path / "fit")
    before, after = start.state_dict(), network.state_dict()
    assert before.keys() == after.keys()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert any(name.startswith("classifier.classifier") for name in changed)
    assert any("attention" in name for name in changed) == (method != "head")
    assert export_graph(network).graph.output[0].name == "sentiment"


def test_labels_without_a_meaning_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_classifier(tmp_path / "source", "bert")
    assert main([str(source), str(tmp_path / "bundle")]) == 1
    assert "labels without a meaning: ['so-so', 'very bad']" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_map_for_a_label_that_is_not_there_is_refused() -> None:
    with pytest.raises(ClassifierError, match="--map names \\['label_7'\\]"):
        mapped_labels(["positive", "negative"], Addition(name="x", labels={"LABEL_7": "neutral"}))


def test_two_sentiments_are_enough_and_keep_our_order() -> None:
    assert mapped_labels(["POSITIVE", "NEGATIVE"], Addition(name="x")) == (
        ("negative", "positive"),
        ((1,), (0,)),
    )
