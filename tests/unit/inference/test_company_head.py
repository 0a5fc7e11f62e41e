"""A bundle that finds companies: where they stand, beside the heads that it always had, in any batch."""

import random
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamapp.contracts.bundle import Bundle, read_bundle, write_bundle
from streamapp.contracts.encoding import TextEncoder
from streamapp.contracts.manifest import COMPANY_LABELS, MODEL_FILE, TOKENIZER_FILE
from streamapp.core.company_spans import WordLabels, company_spans
from streamapp.core.verdict import ScoredText
from streamapp.inference.graph_session import BundleUnfitError
from streamapp.inference.language import LanguageDetector
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.model_loader import ModelLoader, UnfitModelError, proof
from streamapp.inference.model_slot import ModelSlot
from streamapp.inference.onnx_model import NotFiniteError, OnnxModel
from streamapp.inference.text_reader import TextReader, UnreadableText
from streamapp.settings import BatchSettings, ModelSettings
from tests.tiny_bundle import COMPANY_ENDS, COMPANY_WORDS, NEGATIVE, write_tiny_bundle

ONE = ModelSettings(sessions=1)
WORDS = (*COMPANY_WORDS, *COMPANY_ENDS, *NEGATIVE, "the", "of", "today", "$ABC", "don't", "Ｆｕｌｌ", "é")


def loaded(folder: Path, settings: ModelSettings = ONE) -> OnnxModel:
    return OnnxModel.load(read_bundle(write_tiny_bundle(folder / "tiny", companies=True)), settings)


def found_in(model: OnnxModel, text: str) -> list[str]:
    said = model.predict([text])[0].entities
    assert said is not None
    return [text[start:end] for start, end in company_spans(text, said, COMPANY_LABELS)]


def changed(folder: Path, change: str) -> Bundle:
    """The bundle with a graph that is wrong in one way."""
    bundle = read_bundle(write_tiny_bundle(folder / "tiny", companies=True))
    model = onnx.load(bundle.path(MODEL_FILE))
    graph = model.graph
    if change in ("not finite", "padding not finite"):
        row = 0 if change.startswith("padding") else 1 + NEGATIVE.index("fraud")
        table = next(each for each in graph.initializer if each.name == "entities_rows")
        values = np.array(numpy_helper.to_array(table))
        values[row] = np.nan
        table.CopyFrom(numpy_helper.from_array(values, table.name))
    elif change == "one row a text":
        node = next(each for each in graph.node if each.output[0] == "entities")
        node.output[0] = "of_tokens"
        graph.initializer.append(numpy_helper.from_array(np.array([1]), "tokens"))
        graph.node.append(helper.make_node("ReduceSum", ["of_tokens", "tokens"], ["entities"], keepdims=1))
    elif change == "two labels":
        output = next(each for each in graph.output if each.name == "entities")
        shape = ["batch", "length", 2]
        output.CopyFrom(helper.make_tensor_value_info("entities", TensorProto.FLOAT, shape))
        table = next(each for each in graph.initializer if each.name == "entities_rows")
        table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table)[:, :2], table.name))
        start = next(each for each in graph.initializer if each.name == "entities_start")
        start.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(start)[:2], start.name))
    files: dict[str, bytes | Path] = {
        MODEL_FILE: model.SerializeToString(), TOKENIZER_FILE: bundle.path(TOKENIZER_FILE)
    }  # fmt: skip
    return write_bundle(folder / "changed", bundle.manifest, files)


def test_companies_are_found_where_they_stand(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    assert found_in(model, "Apple, Inc falls; (Globex Industries) and MSFT") == [
        "Apple",
        "Inc",
        "Globex Industries",
        "MSFT",
    ]
    assert found_in(model, "nothing of note") == []
    assert found_in(model, "") == []
    assert found_in(model, "☃☃ 💥 Apple 💥") == ["Apple"]


def test_a_text_that_was_cut_has_the_companies_of_what_was_read(tmp_path: Path) -> None:
    model = loaded(tmp_path, ModelSettings(sessions=1, max_tokens=8))
    assert found_in(model, "the the Apple the the the the Globex Industries MSFT") == ["Apple", "Globex"]


def test_what_is_said_of_companies_does_not_depend_on_batch_neighbours(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    chosen = random.Random(5)
    texts = [" ".join(chosen.choice(WORDS) for _ in range(chosen.randint(0, 40))) for _ in range(80)]
    together = model.predict(texts, token_budget=100_000)
    assert together == [model.predict([text])[0] for text in texts]
    assert any(prediction.entities and prediction.entities.words for prediction in together)
    assert proof(model) is None


def test_the_other_heads_say_what_they_say_without_it(tmp_path: Path) -> None:
    plain = OnnxModel.load(read_bundle(write_tiny_bundle(tmp_path / "plain")), ONE)
    texts = ["Apple plunges", "fed lifts rate", ""]
    for one, other in zip(plain.predict(texts), loaded(tmp_path).predict(texts), strict=True):
        assert (one.sentiment, one.topic, one.entities) == (other.sentiment, other.topic, None)
        assert other.entities is not None


def test_without_the_head_no_words_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("words were looked for")

    monkeypatch.setattr(TextEncoder, "encode_words", refuse)
    plain = OnnxModel.load(read_bundle(write_tiny_bundle(tmp_path / "plain")), ONE)
    assert plain.predict(["Apple plunges"])[0].entities is None


def test_a_temperature_of_companies_softens_them_alone(tmp_path: Path) -> None:
    bundle = read_bundle(write_tiny_bundle(tmp_path / "tiny", companies=True))
    manifest = msgspec.structs.replace(bundle.manifest, temperatures={"entities": 2.0})
    files: dict[str, bytes | Path] = {name: bundle.path(name) for name in (MODEL_FILE, TOKENIZER_FILE)}
    soft = OnnxModel.load(write_bundle(tmp_path / "soft", manifest, files), ONE).predict(["apple"])[0]
    raised = np.exp(np.array([2.0, 6.0, 0.0]) / 2.0)
    assert soft.entities is not None
    assert soft.entities.probabilities[0] == pytest.approx(raised / raised.sum())


def test_what_is_said_of_padding_does_not_matter(tmp_path: Path) -> None:
    model = OnnxModel.load(changed(tmp_path, "padding not finite"), ONE)
    short, long = model.predict(["Apple", "Globex Industries Apple"], token_budget=1000)
    assert short.entities is not None
    assert len(short.entities.words) == 1
    assert long.entities is not None
    assert len(long.entities.words) == 3


def test_a_word_that_is_not_finite_refuses_its_text_and_no_other(tmp_path: Path) -> None:
    model = OnnxModel.load(changed(tmp_path, "not finite"), ONE)
    with pytest.raises(NotFiniteError) as raised:
        model.predict(["Apple", "a fraud of long standing", "Globex Industries"], token_budget=1000)
    assert raised.value.indexes == (1,)


@pytest.mark.parametrize("change", ["two labels", "one row a text"])
def test_a_graph_that_does_not_label_each_token_is_refused(tmp_path: Path, change: str) -> None:
    bundle = changed(tmp_path, change)
    with pytest.raises(BundleUnfitError, match="output entities"):
        OnnxModel.load(bundle, ONE).warm_up()
    with pytest.raises(UnfitModelError) as raised:
        ModelLoader(ONE, BatchSettings()).load(bundle)
    assert raised.value.refuse.cause == "bundle"


async def test_a_reader_takes_models_with_and_without_the_head_in_turn(tmp_path: Path) -> None:
    language = LanguageDetector(("en",), 0.95, 20)
    plain = MicroBatcher(
        OnnxModel.load(read_bundle(write_tiny_bundle(tmp_path / "plain", "2")), ONE), BatchSettings()
    )
    finds = MicroBatcher(loaded(tmp_path), BatchSettings())
    slot = ModelSlot(plain)
    reader = TextReader(slot, language, 100)

    async def spans() -> tuple[tuple[int, int], ...]:
        (result,) = await reader.read(["shares of Apple plunge"])
        assert isinstance(result, ScoredText)
        return result.reading.company_spans

    assert (plain.labels.entities, finds.labels.entities) == (None, COMPANY_LABELS)
    assert await spans() == ()
    slot.swap(finds)
    assert await spans() == ((10, 15),)
    slot.swap(plain)
    assert await spans() == ()


async def test_a_text_whose_words_are_not_finite_is_unreadable_and_the_rest_is_read(tmp_path: Path) -> None:
    model = MicroBatcher(OnnxModel.load(changed(tmp_path, "not finite"), ONE), BatchSettings())
    reader = TextReader(ModelSlot(model), LanguageDetector(("en",), 0.95, 20), 100)
    good, bad = await reader.read(["Apple", "fraud at Apple"])
    assert isinstance(good, ScoredText)
    assert good.reading.company_spans == ((0, 5),)
    assert isinstance(bad, UnreadableText)
    assert bad.reason == "not_finite"


def test_words_of_a_text_say_nothing_without_probabilities() -> None:
    assert company_spans("Apple", WordLabels(), COMPANY_LABELS) == ()
