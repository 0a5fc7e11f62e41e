"""A run's candidate: 8 bits where they agree, float32 where not, once, with what the next run needs of it."""

import msgspec
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra [retrain] to test candidates")
pytest.importorskip("peft", reason="peft is absent: install the extra [retrain] to test candidates")

import torch

from retrain.candidate import Candidate, make_candidate, train
from retrain.core.dataset import Split, SplitRules, split_posts
from retrain.core.run_request import RetrainRequest
from retrain.core.run_settings import GateSettings, TrainingSettings
from retrain.training.fit import fitted
from retrain.training.network import TextNetwork
from retrain.training.weights import WEIGHTS_FILE, network_of
from streamapp.contracts.bundle import Bundle, read_bundle
from streamapp.contracts.manifest import TrainingSource
from tests.tiny_network import TOPICS, tiny_champion, tiny_labels

TRAINING = TrainingSettings(epochs=1, learning_rate=1e-3, int8="always", threads=1)
MADE = "2026-03-01T10:20:30+00:00"
RULES = SplitRules(seed=1, dev_share=0.3, most_judging=30, topics=TOPICS)


class Trained(msgspec.Struct, frozen=True):
    request: RetrainRequest
    champion: Bundle
    split: Split
    network: TextNetwork

    def candidate(self, *, least_int8_agreement: float) -> Candidate:
        asked = msgspec.structs.replace(
            self.request, gate=GateSettings(least_int8_agreement=least_int8_agreement)
        )
        (self.request.work / "export.json").unlink(missing_ok=True)
        return make_candidate(asked, self.champion, self.split, self.network, MADE, lambda _a, _b, _c: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("run")
    own = TrainingSource(name="labels", licence="of this installation", texts=3)
    theirs = TrainingSource(name="theirs", licence="MIT", texts=5)
    champion = read_bundle(tiny_champion(folder / "champion", sources=(theirs, own)))
    request = RetrainRequest(
        champion_bundle=champion.folder, labels=folder / "labels", work=folder / "work", training=TRAINING
    )
    split = split_posts(
        [*tiny_labels(150, 1), *tiny_labels(30, 2, drawn="audit", start_ms=900)], [], [], RULES
    )
    return Trained(request, champion, split, train(request, champion, split, lambda _done, _detail: None))


def test_an_8_bit_candidate_is_served_alone_and_carries_the_weights_that_its_graph_lost(
    trained: Trained,
) -> None:
    candidate = trained.candidate(least_int8_agreement=0.5)
    bundle = read_bundle(candidate.draft)
    assert candidate.is_int8
    assert (bundle.manifest.precision, bundle.manifest.batch_policy) == ("int8", "alone")
    assert WEIGHTS_FILE in bundle.manifest.files
    mine, theirs = network_of(bundle).state_dict(), trained.network.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_where_8_bits_do_not_agree_float32_serves_and_the_shortfall_is_known(trained: Trained) -> None:
    candidate = trained.candidate(least_int8_agreement=1.01)
    bundle = read_bundle(candidate.draft)
    assert not candidate.is_int8
    assert candidate.int8_agreement is not None
    assert bundle.manifest.precision == "fp32"
    assert WEIGHTS_FILE not in bundle.manifest.files
    assert candidate.parity < 1e-5


def test_a_candidate_says_from_what_and_until_when_it_learnt(trained: Trained) -> None:
    manifest = read_bundle(trained.candidate(least_int8_agreement=1.01).draft).manifest
    assert manifest.metrics["trained_from"] == "tiny-torch-1"
    assert manifest.metrics["newest_label_ms"] == max(post.labelled_at_ms for post in trained.split.train)
    assert manifest.metrics["judged_since_ms"] == 900
    assert [source.name for source in manifest.sources] == ["theirs", "labels"]
    assert manifest.sources[1].texts == len(trained.split.train)
    assert manifest.version.startswith("20260301-102030-")
    assert trained.split.prints["train"] in manifest.training_fingerprint
    assert set(manifest.temperatures) == {"sentiment", "topic"}


def test_what_an_earlier_attempt_made_is_not_made_again(trained: Trained) -> None:
    first = trained.candidate(least_int8_agreement=0.5)
    asked = msgspec.structs.replace(trained.request, gate=GateSettings(least_int8_agreement=1.01))
    again = make_candidate(
        asked, trained.champion, trained.split, trained.network, MADE, lambda _a, _b, _c: None
    )
    assert again == first


def test_a_candidate_keeps_the_asked_share_of_the_champions_weights(trained: Trained) -> None:
    champion = network_of(trained.champion).state_dict()
    fit = fitted(trained.request.work / "fit").state_dict()
    share = trained.request.training.champion_share
    assert share > 0
    for name, value in trained.network.state_dict().items():
        assert torch.allclose(value, (1 - share) * fit[name] + share * champion[name], atol=1e-3)
    assert (
        f'"champion_share":{share}'
        in read_bundle(trained.candidate(least_int8_agreement=1.01).draft).manifest.training_fingerprint
    )
