"""Fine-tuning on the tiny language: every method learns, missing heads cost nothing, half checkpoints are not used."""

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test training")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test training")

import torch

from retrain.core.run_settings import TrainingSettings
from retrain.training.export import export_graph
from retrain.training.fine_tune import all_logits
from retrain.training.fit import fit, fitted, is_fitted, newest_whole_checkpoint, write_plan
from retrain.training.network import MultiHeadEncoder
from retrain.training.training_set import TaughtPost, TrainingSet, training_set
from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings
from tests.tiny_network import LABELS, MAX_TOKENS, tiny_champion, tiny_labels, tiny_network, tiny_tokenizer

FAST = TrainingSettings(learning_rate=3e-3, head_learning_rate=5e-3, epochs=6, patience_epochs=6, threads=1)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    folder = tiny_champion(tmp_path_factory.mktemp("champion") / "bundle")
    return OnnxModel.load(read_bundle(folder), ModelSettings(sessions=1))


def quiet(_fraction: float, _detail: str) -> None:
    pass


def learnt(folder: Path, taught: TrainingSet, settings: TrainingSettings) -> MultiHeadEncoder:
    write_plan(folder, tiny_network(), tiny_tokenizer(), taught, settings)
    fit(folder, quiet)
    network = fitted(folder)
    assert isinstance(network, MultiHeadEncoder)
    return network


def accuracy(network: MultiHeadEncoder, head: str) -> float:
    judged = tiny_labels(90, 77)
    logits = all_logits(network, TextEncoder(tiny_tokenizer(), MAX_TOKENS), [post.text for post in judged])[
        head
    ]
    called = [LABELS[head][place] for place in logits.argmax(dim=1).tolist()]
    right = [getattr(post, head) == label for post, label in zip(judged, called, strict=True)]
    return float(sum(right) / len(judged))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_every_method_learns_and_leaves_the_plain_architecture(
    method: str, champion: OnnxModel, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(FAST, method=method, lora_rank=16, accumulate_batches=2, batch_posts=8)
    taught = training_set(tiny_labels(300, 1), tiny_labels(60, 2), champion, settings)
    network = learnt(tmp_path, taught, settings)
    assert accuracy(network, "topic") > 0.7
    assert network.state_dict().keys() == tiny_network().state_dict().keys()
    assert export_graph(network).graph.node
    assert is_fitted(tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_training_the_heads_alone_leaves_the_encoder_as_it_was(champion: OnnxModel, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(FAST, method="head", epochs=2)
    taught = training_set(tiny_labels(100, 1), tiny_labels(30, 2), champion, settings)
    network, start = learnt(tmp_path, taught, settings).state_dict(), tiny_network().state_dict()
    changed = {name for name, value in start.items() if not torch.equal(value, network[name])}
    assert changed
    assert all(name.startswith("heads.") for name in changed)


def test_a_head_that_nobody_labelled_costs_nothing(champion: OnnxModel, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(FAST, method="head", imitation_weight=0.0, epochs=2)
    taught = training_set(
        tiny_labels(100, 1, topics=False), tiny_labels(30, 2, topics=False), champion, settings
    )
    network, start = learnt(tmp_path, taught, settings).state_dict(), tiny_network().state_dict()
    assert torch.equal(network["heads.topic.weight"], start["heads.topic.weight"])
    assert not torch.equal(network["heads.sentiment.weight"], start["heads.sentiment.weight"])


def test_where_no_person_has_an_opinion_the_champions_stands_in(champion: OnnxModel) -> None:
    labels = tiny_labels(9, 1, topics=False)
    taught = training_set(labels, [], champion, FAST)
    opinion = champion.predict([labels[0].text])[0].topic
    assert opinion is not None
    assert taught.train[0].targets["topic"] == pytest.approx(opinion, abs=1e-6)
    assert taught.train[0].weights["topic"] == FAST.imitation_weight
    assert taught.train[0].sure == ("sentiment",)
    assert taught.train[0].targets["sentiment"] == (1.0, 0.0, 0.0)


def test_rare_labels_count_more_and_the_mean_weight_is_one(champion: OnnxModel) -> None:
    posts = tiny_labels(90, 1)
    rare = [post for post in posts if post.sentiment != "negative"] + posts[:3:3]
    taught = training_set(rare, [], champion, msgspec.structs.replace(FAST, class_weights="sqrt"))
    weight = {post.targets["sentiment"]: post.weights["sentiment"] for post in taught.train}
    assert weight[1.0, 0.0, 0.0] > 3 * weight[0.0, 1.0, 0.0]
    assert sum(post.weights["sentiment"] for post in taught.train) == pytest.approx(len(rare))


def test_the_same_seed_gives_the_same_weights(champion: OnnxModel, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(FAST, epochs=1)
    taught = training_set(tiny_labels(60, 1), tiny_labels(30, 2), champion, settings)
    one, other = (learnt(tmp_path / name, taught, settings).state_dict() for name in ("a", "b"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_training_without_anything_to_validate_on_takes_the_last_epoch(
    champion: OnnxModel, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(FAST, epochs=1)
    learnt(tmp_path, training_set(tiny_labels(40, 1), [], champion, settings), settings)
    assert is_fitted(tmp_path)


def test_an_empty_text_does_not_stop_training(tmp_path: Path) -> None:
    posts = tuple(
        TaughtPost(
            text=text, targets={"sentiment": (1.0, 0.0, 0.0)}, weights={"sentiment": 1.0}, sure=("sentiment",)
        )
        for text in ("", "slump word1", "")
    )
    learnt(tmp_path, TrainingSet(labels=LABELS, train=posts, dev=()), msgspec.structs.replace(FAST, epochs=1))
    assert is_fitted(tmp_path)


def test_checkpoints_that_a_kill_left_half_written_are_removed_and_not_used(tmp_path: Path) -> None:
    for step, files in ((2, ("optimizer.pt", "scheduler.pt", "trainer_state.json")), (10, ("optimizer.pt",))):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in files:
            (folder / name).write_text("{}")
    cut = tmp_path / "checkpoint-12"
    cut.mkdir()
    for name in ("optimizer.pt", "scheduler.pt"):
        (cut / name).write_text("x")
    (cut / "trainer_state.json").write_text('{"global')
    assert newest_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-2"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]
    assert newest_whole_checkpoint(tmp_path / "nowhere") is None
