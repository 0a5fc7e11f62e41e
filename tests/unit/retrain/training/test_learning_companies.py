"""A head for companies is learnt beside the others, costs nothing where nobody labelled, and serves what torch says."""

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test training")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test training")

import torch

from retrain.candidate import least_agreement, make_candidate, train
from retrain.core.company_labels import COMPANY_HEAD, counts_of_spans, labelled_spans, span_figures
from retrain.core.dataset import Split, SplitRules, split_posts
from retrain.core.labels import TrainingLabel
from retrain.core.run_request import RetrainRequest
from retrain.core.run_settings import GateSettings, TrainingSettings
from retrain.pipeline import learns_companies
from retrain.training.calibrate import temperatures
from retrain.training.export import export_graph, parity_with_torch, round_to_half, stored_as_half
from retrain.training.fit import fit, fitted, write_plan
from retrain.training.network import MultiHeadEncoder, Pooling, with_company_head
from retrain.training.quantise import QuantisationSettings, quantised
from retrain.training.training_set import TrainingSet, training_set
from retrain.training.weights import graph_is_readable, network_of
from retrain.training.word_teaching import NO_LABEL, label_weights, span_f1, word_loss
from streamapp.contracts.bundle import Bundle, read_bundle, write_bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.contracts.manifest import COMPANY_LABELS, MODEL_FILE, TOKENIZER_FILE
from streamapp.contracts.messages import CompanyMention, DrawnBy
from streamapp.core.company_spans import WordLabels, company_spans
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings
from tests.tiny_network import (
    MAX_TOKENS,
    TOPICS,
    tiny_champion,
    tiny_company_labels,
    tiny_labels,
    tiny_network,
    tiny_tokenizer,
)

FAST = TrainingSettings(learning_rate=3e-3, head_learning_rate=5e-3, epochs=6, patience_epochs=6, threads=1)
RULES = SplitRules(seed=1, dev_share=0.2, most_judging=30, topics=TOPICS, companies=True)
LABELS = tiny_company_labels(600, 1)
TEXTS = [label.text for label in tiny_company_labels(40, 8)]


def fresh(seed: int = 3, pooling: Pooling = "mean", *, scale: float = 1.0) -> MultiHeadEncoder:
    """The tiny network with a head for companies that was not trained; `scale` makes its opinions stronger."""
    network = with_company_head(tiny_network(seed), seed)
    network.pooling = pooling
    with torch.no_grad():
        network.heads[COMPANY_HEAD].weight.mul_(scale)
    round_to_half(network)
    network.eval()
    return network


def serving(bundle: Path | Bundle) -> OnnxModel:
    found = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    return OnnxModel.load(found, ModelSettings(sessions=1))


def learnt(folder: Path, taught: TrainingSet, settings: TrainingSettings = FAST) -> MultiHeadEncoder:
    write_plan(folder, fresh(), tiny_tokenizer(), taught, settings)
    fit(folder, lambda _done, _detail: None)
    network = fitted(folder)
    assert isinstance(network, MultiHeadEncoder)
    return network


def served_f1(model: OnnxModel, judged: list[TrainingLabel]) -> float:
    """Strict F1 of the bundle as served."""
    counts = []
    for label, said in zip(judged, model.predict([each.text for each in judged]), strict=True):
        found = company_spans(label.text, said.entities or WordLabels(), COMPANY_LABELS)
        counts.append(counts_of_spans(labelled_spans(label) or (), found))
    return span_figures(counts).f1


def topic_accuracy(model: OnnxModel, judged: list[TrainingLabel]) -> float:
    right = []
    for label, said in zip(judged, model.predict([each.text for each in judged]), strict=True):
        assert said.topic is not None
        right.append(label.topic == TOPICS[said.topic.index(max(said.topic))])
    return sum(right) / len(right)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return serving(tiny_champion(tmp_path_factory.mktemp("champion") / "bundle"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, champion: OnnxModel) -> MultiHeadEncoder:
    """Trained on labels of everything."""
    settings = msgspec.structs.replace(FAST, epochs=14, patience_epochs=14)
    taught = training_set(LABELS, tiny_company_labels(60, 2), champion, settings, companies=True)
    made = learnt(tmp_path_factory.mktemp("fit"), taught, settings)
    round_to_half(made)
    return made


def test_companies_are_learnt_beside_the_other_heads_and_found_as_served(
    network: MultiHeadEncoder, tmp_path: Path
) -> None:
    model = serving(tiny_champion(tmp_path / "b", network=network))
    judged = tiny_company_labels(90, 77)
    assert served_f1(serving(tiny_champion(tmp_path / "untrained", network=fresh())), judged) < 0.2
    assert served_f1(model, judged) > 0.85
    assert topic_accuracy(model, judged) > 0.9


def test_posts_whose_companies_nobody_labelled_cost_their_head_nothing(
    champion: OnnxModel, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(FAST, method="head", epochs=1)
    silent = tiny_company_labels(90, 1, said=False)
    taught = training_set(silent, tiny_labels(30, 2), champion, settings, companies=True)
    assert all(COMPANY_HEAD not in post.weights and post.spans == () for post in taught.train)
    after, before = learnt(tmp_path, taught, settings).state_dict(), fresh().state_dict()
    head = f"heads.{COMPANY_HEAD}.weight"
    assert torch.equal(after[head], before[head])
    assert not torch.equal(after["heads.sentiment.weight"], before["heads.sentiment.weight"])


def test_silent_posts_and_padding_move_no_loss_and_no_gradient() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 4, 3, requires_grad=True)
    targets = torch.tensor([[1, 2, NO_LABEL, 0], [NO_LABEL] * 4])
    alone = word_loss(logits[:1], targets[:1], torch.tensor([1.0]), torch.ones(3))
    both = word_loss(logits, targets, torch.tensor([1.0, 1.0]), torch.ones(3))
    assert torch.equal(alone, both)
    both.backward()
    assert logits.grad is not None
    assert not logits.grad[1].any()
    assert not logits.grad[0, 2].any()
    assert logits.grad[0, 0].any()
    nothing = word_loss(logits, torch.full((2, 4), NO_LABEL), torch.ones(2), torch.ones(3))
    assert nothing.item() == 0.0
    nothing.backward()


def test_rare_labels_of_words_count_more_and_the_mean_weight_is_one() -> None:
    rows = [[0] * 90 + [NO_LABEL] * 50, [1] * 8 + [2] * 2]
    weights = label_weights(rows, 3, FAST)
    assert weights[2] > weights[1] > weights[0]
    assert (weights * torch.tensor([90.0, 8.0, 2.0])).sum().item() == pytest.approx(100.0)
    assert label_weights(rows, 3, msgspec.structs.replace(FAST, company_class_weights="none")).tolist() == [
        1,
        1,
        1,
    ]
    assert label_weights([[NO_LABEL]], 3, FAST).isfinite().all()


def test_the_epoch_is_chosen_by_whole_names() -> None:
    import numpy as np

    targets = np.array([[0, 1, 2, 0, NO_LABEL], [1, NO_LABEL, 1, 0, 0]])
    called = np.array([[0, 1, 2, 0, 1], [1, 1, 2, 0, 2]])
    logits = np.eye(3, dtype=np.float32)[called]
    # Right: the first post's; of the second the model makes one name of two, and finds one that is none.
    assert span_f1(logits, targets, COMPANY_LABELS) == pytest.approx(2 * 1 / (3 + 3), abs=1e-4)
    assert span_f1(np.eye(3, dtype=np.float32)[targets.clip(0)], targets, COMPANY_LABELS) == 1.0


def test_what_the_champion_finds_stands_in_where_nobody_labelled_companies(
    network: MultiHeadEncoder, tmp_path: Path
) -> None:
    finds = serving(tiny_champion(tmp_path / "b", network=network))
    silent, said = tiny_company_labels(30, 5, said=False), tiny_company_labels(30, 5)
    taught = training_set(silent, said, finds, FAST, companies=True)
    assert {post.weights[COMPANY_HEAD] for post in taught.train} == {FAST.imitation_weight}
    assert all(COMPANY_HEAD not in post.sure for post in taught.train)
    assert (
        sum(mine.spans == labelled_spans(theirs) for mine, theirs in zip(taught.train, said, strict=True))
        > 24
    )
    assert all(COMPANY_HEAD in post.sure for post in taught.dev)


def test_without_the_head_training_sets_are_what_they_were(champion: OnnxModel) -> None:
    taught = training_set(LABELS[:9], LABELS[9:12], champion, FAST)
    assert COMPANY_HEAD not in taught.labels
    assert b"spans" not in msgspec.json.encode(taught)
    assert b'"entities"' not in msgspec.json.encode(taught)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_served_graph_says_of_words_and_texts_what_torch_says(tmp_path: Path, pooling: Pooling) -> None:
    made = fresh(pooling=pooling, scale=30.0)
    model = serving(tiny_champion(tmp_path / "b", network=made, temperatures={COMPANY_HEAD: 1.7}))
    encoder = TextEncoder(tiny_tokenizer(), MAX_TOKENS)
    assert parity_with_torch(made, encoder, model, TEXTS) < 1e-5
    with torch.no_grad():
        made.heads[COMPANY_HEAD].bias[1] += 1.0
    assert parity_with_torch(made, encoder, model, TEXTS) > 0.01


def test_adding_the_head_changes_nothing_that_the_others_say(tmp_path: Path) -> None:
    for pooling in ("cls", "mean"):
        plain = tiny_network()
        plain.pooling = pooling
        one = serving(tiny_champion(tmp_path / pooling, network=plain))
        other = serving(tiny_champion(tmp_path / f"{pooling}-more", network=fresh(pooling=pooling)))
        for mine, theirs in zip(one.predict(TEXTS), other.predict(TEXTS), strict=True):
            assert mine.sentiment == pytest.approx(theirs.sentiment, abs=1e-5)
            assert mine.topic == pytest.approx(theirs.topic, abs=1e-5)


def test_training_goes_on_from_a_bundle_with_the_head(network: MultiHeadEncoder, tmp_path: Path) -> None:
    graph = stored_as_half(export_graph(network))
    assert graph_is_readable(network, graph)
    again = network_of(read_bundle(tiny_champion(tmp_path / "b", network=network)))
    assert again.labels[COMPANY_HEAD] == COMPANY_LABELS
    mine, theirs = again.state_dict(), network.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_eight_bits_find_nearly_the_same_companies_and_the_head_keeps_its_precision(
    network: MultiHeadEncoder, tmp_path: Path
) -> None:
    plain = export_graph(network)
    small = quantised(plain, TextEncoder(tiny_tokenizer(), MAX_TOKENS).encode(TEXTS), QuantisationSettings())
    assert any(node.op_type == "MatMul" and COMPANY_HEAD in node.name for node in small.graph.node)
    reference = read_bundle(tiny_champion(tmp_path / "b", network=network))
    manifest = msgspec.structs.replace(reference.manifest, precision="int8", batch_policy="alone", files={})
    files: dict[str, bytes | Path] = {
        MODEL_FILE: small.SerializeToString(), TOKENIZER_FILE: reference.path(TOKENIZER_FILE)
    }  # fmt: skip
    eight = serving(write_bundle(tmp_path / "int8", manifest, files))
    assert least_agreement(eight, serving(reference), TEXTS) > 0.8
    other = serving(tiny_champion(tmp_path / "other", network=fresh(scale=30.0)))
    assert least_agreement(other, serving(reference), TEXTS) < 0.8


def test_a_temperature_of_words_is_fitted_on_enough_posts_and_else_the_champions(
    network: MultiHeadEncoder,
) -> None:
    encoder = TextEncoder(tiny_tokenizer(), MAX_TOKENS)
    fitted_ones = temperatures(network, encoder, tiny_company_labels(60, 9), {})
    assert fitted_ones[COMPANY_HEAD] != 1.0
    few = temperatures(network, encoder, tiny_company_labels(9, 9), {COMPANY_HEAD: 1.25})
    assert few[COMPANY_HEAD] == 1.25


def test_a_candidate_gets_the_head_that_its_split_asks_for_and_declares_it(tmp_path: Path) -> None:
    champion = read_bundle(tiny_champion(tmp_path / "champion"))
    request = RetrainRequest(
        champion_bundle=champion.folder,
        labels=tmp_path / "labels",
        work=tmp_path / "work",
        training=msgspec.structs.replace(FAST, epochs=2, int8="always"),
        gate=GateSettings(least_int8_agreement=0.5),
    )
    labels = [
        *LABELS[:90],
        *tiny_company_labels(20, 3, said=False),
        *tiny_company_labels(20, 4, drawn="audit"),
    ]
    split: Split = split_posts(labels, [], [], RULES)
    made = train(request, champion, split, lambda _done, _detail: None)
    candidate = make_candidate(
        request, champion, split, made, "2026-03-01T10:20:30+00:00", lambda _a, _b, _c: None
    )
    manifest = read_bundle(candidate.draft).manifest
    assert manifest.outputs.entities == COMPANY_LABELS
    assert manifest.temperatures.keys() == {"sentiment", "topic", COMPANY_HEAD}
    assert candidate.parity < 1e-4
    assert candidate.int8_agreement is not None
    assert serving(candidate.draft).predict(["apple slump"])[0].entities is not None


def marked_labels(count: int, drawn: DrawnBy, *, marked: bool = True) -> list[TrainingLabel]:
    mention = CompanyMention(symbol="UNLISTED", span=(0, 5) if marked else None)
    return [
        TrainingLabel(
            post_id=f"{drawn}{number}",
            text=f"apple falls {number}",
            channel="news",
            companies=(mention,),
            origin="person",
            drawn=drawn,
            labelled_at_ms=1,
        )
        for number in range(count)
    ]


def test_a_new_head_is_asked_for_by_enough_labels_and_enough_judges(tmp_path: Path) -> None:
    def asked(champion: Bundle, labels: list[TrainingLabel], wanted: int = 50) -> bool:
        request = RetrainRequest(
            champion_bundle=champion.folder,
            labels=tmp_path / "l",
            work=tmp_path / "w",
            training=TrainingSettings(company_head_posts=wanted),
        )
        return learns_companies(request, champion, labels, ())

    without = read_bundle(tiny_champion(tmp_path / "without"))
    having = read_bundle(tiny_champion(tmp_path / "having", network=fresh()))
    enough = [*marked_labels(40, "none"), *marked_labels(25, "audit")]
    assert asked(without, enough)
    assert not asked(without, enough, wanted=66)
    assert not asked(without, enough, wanted=0)
    assert not asked(without, [*marked_labels(60, "none"), *marked_labels(10, "audit")])
    assert not asked(without, [*marked_labels(60, "none", marked=False), *marked_labels(25, "audit")])
    assert asked(having, [])
