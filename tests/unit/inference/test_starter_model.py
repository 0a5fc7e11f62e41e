"""The starter models that ship: whole, honest about their figures, and right on plain sentences."""

import json
from pathlib import Path

import numpy as np
import pytest

import streamapp
from streamapp.contracts.bundle import Bundle, read_bundle
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.manifest import REPORT_FILE
from streamapp.contracts.messages import SENTIMENTS
from streamapp.inference.onnx_model import OnnxModel, Prediction
from streamapp.settings import ModelSettings

PACKAGE = Path(streamapp.__file__).parent
BUNDLES = ("starter_model", "starter_model_int8")
DATASETS = Path(__file__).parents[4] / "shared" / "datasets"

SENTENCES = [
    ("Regional lender collapses after depositors pull out billions", "negative"),
    ("Shares plunge 30% after the company misses estimates and cuts its outlook", "negative"),
    ("Refiner files for bankruptcy as debts mount", "negative"),
    ("Regulator fines the bank over money laundering", "negative"),
    ("Quarterly profit jumps 40%, beating estimates", "positive"),
    ("Stock soars to a record high after strong earnings", "positive"),
    ("Analysts raise price target and upgrade the stock to buy", "positive"),
    ("The company will hold its annual meeting on Thursday", "neutral"),
    ("Here is what to watch in markets this week", "neutral"),
    ("Board appoints new members to its audit committee", "neutral"),
]
TOPICS = [
    ("Fed's Powell signals another rate hike at the next FOMC meeting", "central_banks"),
    ("Oil prices rise as OPEC+ agrees to deeper production cuts", "energy_oil"),
    ("Company declares quarterly dividend of $0.25 a share", "dividend"),
    ("Board names new chief executive officer as founder steps down", "personnel"),
    ("US consumer prices rose 0.3% in May, inflation data shows", "macro"),
]


@pytest.fixture(scope="module", params=BUNDLES)
def model(request: pytest.FixtureRequest) -> OnnxModel:
    return OnnxModel.load(read_bundle(PACKAGE / request.param), ModelSettings(sessions=1))


def labels_of(bundle: Bundle, head: str) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(bundle.manifest.outputs, head)
    return found


def decided(bundle: Bundle, prediction: Prediction, head: str) -> str:
    return labels_of(bundle, head)[int(np.argmax(getattr(prediction, head)))]


def test_every_file_is_under_50_megabytes_and_both_bundles_under_80() -> None:
    sizes = [path.stat().st_size for name in BUNDLES for path in (PACKAGE / name).iterdir()]
    assert max(sizes) < 50_000_000
    assert sum(sizes) < 80_000_000


def test_both_share_their_tokenizer_and_labels() -> None:
    reference, small = (read_bundle(PACKAGE / name).manifest for name in BUNDLES)
    assert reference.files["tokenizer.json"] == small.files["tokenizer.json"]
    assert reference.outputs == small.outputs
    assert reference.outputs.sentiment == SENTIMENTS
    assert (reference.batch_policy, small.batch_policy) == ("any", "alone")


def test_the_manifest_says_what_the_report_measured(model: OnnxModel) -> None:
    report = json.loads(model.bundle.path(REPORT_FILE).read_bytes())
    metrics = model.manifest.metrics
    assert set(metrics["tests"]) == {source.name for source in model.manifest.sources}
    for group in ("tests", "benchmarks"):
        for source, heads in metrics[group].items():
            for head, figures in heads.items():
                measured = report[group][source][head]
                assert figures == {name: measured[name] for name in figures}
                right = sum(row[place] for place, row in enumerate(measured["confusion"]))
                assert figures["accuracy"] == pytest.approx(right / measured["texts"], abs=1e-4)


@pytest.mark.parametrize(
    ("source", "head", "accuracy", "macro_f1"),
    [
        ("twitter_financial_sentiment", "sentiment", 0.87, 0.84),
        ("twitter_financial_topic", "topic", 0.88, 0.86),
        ("sentfin", "sentiment", 0.84, 0.84),
        ("stocktwits_2020", "sentiment_forced_choice", 0.75, 0.66),
    ],
)
def test_its_figures_do_not_fall(
    model: OnnxModel, source: str, head: str, accuracy: float, macro_f1: float
) -> None:
    figures = model.manifest.metrics["tests"][source][head]
    assert figures["accuracy"] >= accuracy
    assert figures["macro_f1"] >= macro_f1


def test_only_sets_whose_weights_may_be_shipped_were_trained_on(model: OnnxModel) -> None:
    assert {source.licence for source in model.manifest.sources} == {"MIT"}
    assert "Apache-2.0" in model.manifest.encoder


@pytest.mark.parametrize(("sentence", "sentiment"), SENTENCES)
def test_plain_sentences_get_the_sentiment_that_a_reader_gives_them(
    model: OnnxModel, sentence: str, sentiment: str
) -> None:
    assert decided(model.bundle, model.predict([sentence])[0], "sentiment") == sentiment


@pytest.mark.parametrize(("sentence", "topic"), TOPICS)
def test_plain_sentences_get_their_topic(model: OnnxModel, sentence: str, topic: str) -> None:
    assert decided(model.bundle, model.predict([sentence])[0], "topic") == topic


def test_an_answer_alone_is_the_answer_in_a_batch(model: OnnxModel) -> None:
    texts = [sentence for sentence, _ in SENTENCES + TOPICS]
    texts += [" ".join(texts), "Up", ""]
    together = model.predict(texts, token_budget=4096)
    for text, in_batch in zip(texts, together, strict=True):
        alone = model.predict([text])[0]
        for head in ("sentiment", "topic"):
            assert getattr(in_batch, head) == pytest.approx(getattr(alone, head), abs=1e-5)


def test_the_small_one_decides_as_the_reference_does() -> None:
    reference, small = (
        OnnxModel.load(read_bundle(PACKAGE / name), ModelSettings(sessions=1)) for name in BUNDLES
    )
    texts = [sentence for sentence, _ in SENTENCES + TOPICS]
    for one, other in zip(reference.predict(texts), small.predict(texts), strict=True):
        assert one.sentiment is not None
        assert other.sentiment is not None
        assert int(np.argmax(one.sentiment)) == int(np.argmax(other.sentiment))
    assert min(small.manifest.metrics["agreement_with_fp32"].values()) >= 0.985


def test_links_do_not_reach_the_network(model: OnnxModel) -> None:
    bare, linked = model.encode(["Oil falls", "Oil falls https://t.co/Xy1zAbC9 www.example.com/a?b=c"])
    assert bare == linked


@pytest.mark.shared
def test_the_reported_accuracy_is_what_serving_gives(model: OnnxModel) -> None:
    path = DATASETS / "twitter_financial_sentiment.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is absent: the starter's accuracy is not checked")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    judged = [row for row in rows if row["split"] == "test"]
    predictions = model.predict([clean_text(row["text"]) for row in judged])
    pairs = zip(judged, predictions, strict=True)
    right = [decided(model.bundle, found, "sentiment") == row["sentiment"] for row, found in pairs]
    reported = model.manifest.metrics["tests"]["twitter_financial_sentiment"]["sentiment"]["accuracy"]
    assert np.mean(right) == pytest.approx(reported, abs=0.004)
