"""One bundle ready to answer: order, padding, calibration, and what it refuses."""

import asyncio
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import onnx
import pytest
from onnx import helper

from streamapp.contracts.manifest import Outputs
from streamapp.contracts.messages import SENTIMENTS
from streamapp.inference.graph_session import BundleUnfitError
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.model_slot import ModelSlot
from streamapp.inference.onnx_model import NotFiniteError, OnnxModel, Prediction, Tokens, cores
from streamapp.inference.provider import CPU
from streamapp.settings import BatchSettings, ModelSettings
from tests.tiny_bundle import NEGATIVE, POSITIVE, TOPIC_WORDS, TOPICS, expected_verdict
from tests.unit.inference.bundles import changed, graph_of, tiny, with_word

ONE = ModelSettings(sessions=1)
WORDS = (*NEGATIVE, *POSITIVE, *TOPIC_WORDS, "the", "of", "today", "company", "$ABC", "https://x.y/z")


def texts(number: int, seed: int = 1) -> list[str]:
    chosen = random.Random(seed)
    return [" ".join(chosen.choice(WORDS) for _ in range(chosen.randint(0, 40))) for _ in range(number)]


def threads_end() -> bool:
    """Whether every thread of a model has ended within half a minute."""
    names = ("inference", "encoding")
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(names)]
    for thread in threads:
        thread.join(30)
    return not any(thread.is_alive() for thread in threads)


def assert_expected(given: Sequence[str], predictions: Sequence[Prediction]) -> None:
    assert len(given) == len(predictions)
    for text, prediction in zip(given, predictions, strict=True):
        expected = expected_verdict(text)
        assert expected.sentiment is not None
        assert expected.topic is not None
        assert prediction.sentiment is not None
        assert prediction.topic is not None
        sentiment = expected.sentiment
        wanted = (sentiment.negative, sentiment.neutral, sentiment.positive)
        assert prediction.sentiment == pytest.approx(wanted, abs=1e-6)
        assert prediction.topic[TOPICS.index(expected.topic.label)] == pytest.approx(
            expected.topic.probability, abs=1e-6
        )


def test_every_text_gets_its_own_answer_in_its_own_place(tmp_path: Path) -> None:
    model = OnnxModel.load(tiny(tmp_path), ONE)
    model.warm_up()
    given = texts(500)
    assert_expected(given, model.predict(given))


def test_an_answer_does_not_depend_on_batch_neighbours_or_budget(tmp_path: Path) -> None:
    model = OnnxModel.load(tiny(tmp_path), ONE)
    given = texts(60)
    alone = [model.predict([text])[0] for text in given]
    assert alone == model.predict(given) == model.predict(given, token_budget=100_000)


def test_padding_is_masked_out(tmp_path: Path) -> None:
    # Padding is token 0; here token 0 is the most negative word of all, and it must not be seen.
    model = OnnxModel.load(changed(tmp_path, with_word(graph_of(tmp_path), row=0, weight=50.0)), ONE)
    together = model.predict(["profit", "profit " * 40, ""], token_budget=1000)
    assert_expected(["profit", "profit " * 40, ""], together)


def test_without_texts_there_is_no_answer_and_a_text_without_tokens_has_one(tmp_path: Path) -> None:
    model = OnnxModel.load(tiny(tmp_path), ONE)
    assert model.predict([]) == []
    assert_expected(["", "   "], model.predict(["", "   "]))


def test_the_policy_alone_sends_one_text_at_a_time(tmp_path: Path) -> None:
    model = OnnxModel.load(changed(tmp_path, batch_policy="alone"), ONE)
    assert [len(batch) for batch in model.plan(model.encode(texts(7)))] == [1] * 7
    assert_expected(texts(7), model.predict(texts(7)))


def test_the_smaller_of_both_token_limits_holds(tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    cut = OnnxModel.load(bundle, ModelSettings(sessions=1, max_tokens=8))
    whole = OnnxModel.load(bundle, ModelSettings(sessions=1, max_tokens=100_000))
    assert len(cut.encode(["the " * 9 + "default"])[0]) == 8
    assert len(whole.encode(["the " * 300])[0]) == bundle.manifest.max_tokens


def test_a_temperature_softens_its_head_and_no_other(tmp_path: Path) -> None:
    plain = OnnxModel.load(tiny(tmp_path / "a"), ONE).predict(["oil crisis"])[0]
    soft = OnnxModel.load(changed(tmp_path, temperatures={"sentiment": 2.0}), ONE).predict(["oil crisis"])[0]
    logits = np.array([3.0, 2.0, 0.0]) / 2.0
    assert soft.sentiment == pytest.approx(np.exp(logits) / np.exp(logits).sum(), abs=1e-6)
    assert soft.topic == plain.topic


def test_a_head_that_the_bundle_lacks_answers_none(tmp_path: Path) -> None:
    model = OnnxModel.load(changed(tmp_path, outputs=Outputs(sentiment=SENTIMENTS)), ONE)
    prediction = model.predict(["oil crisis"])[0]
    assert prediction.topic is None
    assert prediction.sentiment is not None


def test_output_that_is_not_finite_names_the_texts_and_only_those(tmp_path: Path) -> None:
    graph = with_word(graph_of(tmp_path), row=1, weight=np.inf)
    model = OnnxModel.load(changed(tmp_path, graph), ONE)
    given = texts(50, seed=3)
    bad = [place for place, text in enumerate(given) if NEGATIVE[0] in text.split()]
    assert 0 < len(bad) < 50
    with pytest.raises(NotFiniteError) as raised:
        model.predict(given)
    assert list(raised.value.indexes) == bad
    assert_expected(given[bad[0] + 1 : bad[1]], model.predict(given[bad[0] + 1 : bad[1]]))


@pytest.mark.parametrize(
    ("outputs", "named"),
    [
        (Outputs(sentiment=("negative", "positive")), "output sentiment"),
        (Outputs(sentiment=SENTIMENTS, topic=("macro", "ipo")), "output topic"),
    ],
)
def test_a_graph_with_other_outputs_than_the_manifest_says_is_refused(
    tmp_path: Path, outputs: Outputs, named: str
) -> None:
    with pytest.raises(BundleUnfitError, match=named):
        OnnxModel.load(changed(tmp_path, outputs=outputs), ONE)


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["batch", 3])
    out = helper.make_tensor_value_info("sentiment", onnx.TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["sentiment"])], "g", [value], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(BundleUnfitError, match="pixels"):
        OnnxModel.load(changed(tmp_path, model, outputs=Outputs(sentiment=SENTIMENTS)), ONE)


def test_sessions_default_to_the_cores_of_this_process(tmp_path: Path) -> None:
    model = OnnxModel.load(tiny(tmp_path), ModelSettings())
    assert model.sessions == cores()
    assert model.provider == CPU


def test_asking_for_cuda_without_it_serves_on_the_cpu_and_says_why(tmp_path: Path) -> None:
    model = OnnxModel.load(tiny(tmp_path), ModelSettings(provider="cuda", sessions=1))
    if model.provider != CPU:
        pytest.skip("this machine has a working CUDA provider")
    assert "CUDA was asked for, but" in model.provider_reason
    assert_expected(texts(5), model.predict(texts(5)))


def test_many_threads_may_ask_one_model_at_once(tmp_path: Path) -> None:
    model = OnnxModel.load(tiny(tmp_path), ModelSettings(sessions=2))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: model.predict(texts(40, seed)), range(24)))
    for seed, predictions in enumerate(answers):
        assert_expected(texts(40, seed), predictions)


async def test_overlapping_calls_to_the_batcher_keep_their_own_order(tmp_path: Path) -> None:
    batcher = MicroBatcher(OnnxModel.load(tiny(tmp_path), ModelSettings(sessions=2)), BatchSettings())
    answers = await asyncio.gather(*(batcher.predict(texts(seed, seed)) for seed in range(40)))
    for seed, predictions in enumerate(answers):
        assert_expected(texts(seed, seed), predictions)
    batcher.close()


async def test_the_batcher_reports_places_in_the_call_of_texts_that_are_not_finite(tmp_path: Path) -> None:
    graph = with_word(graph_of(tmp_path), row=2, weight=np.inf)
    batcher = MicroBatcher(
        OnnxModel.load(changed(tmp_path, graph), ModelSettings(sessions=2)), BatchSettings()
    )
    with pytest.raises(NotFiniteError) as raised:
        await batcher.predict([*texts(20, seed=4), NEGATIVE[1], "fine"])
    assert 20 in raised.value.indexes
    assert 21 not in raised.value.indexes
    batcher.close()


async def test_closing_lets_calls_under_way_end_and_refuses_new_ones(tmp_path: Path) -> None:
    batcher = MicroBatcher(OnnxModel.load(tiny(tmp_path), ModelSettings(sessions=2)), BatchSettings())
    given = texts(3000)
    under_way = asyncio.ensure_future(batcher.predict(given))
    await asyncio.sleep(0)
    batcher.close()
    assert_expected(given, await under_way)
    assert await asyncio.to_thread(threads_end)
    with pytest.raises(RuntimeError, match="tiny-1 was closed"):
        await batcher.predict(["late"])


class GatedModel(OnnxModel):
    """Counts its forward passes, holds the first until it is released, and tells when "later" is encoded."""

    def gate(self) -> None:
        self.started, self.release, self.runs = Event(), Event(), 0
        self.encoded_later = Event()

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        encoded = super().encode(texts)
        if "later" in texts:
            self.encoded_later.set()
        return encoded

    def run(self, tokens: Sequence[Tokens]) -> list[Prediction]:
        self.runs += 1
        self.started.set()
        assert self.release.wait(30)
        return super().run(tokens)


async def test_what_is_left_of_a_cancelled_call_is_not_computed(tmp_path: Path) -> None:
    model = GatedModel.load(tiny(tmp_path), ONE)
    assert isinstance(model, GatedModel)
    model.gate()
    batcher = MicroBatcher(model, BatchSettings())
    cancelled = asyncio.ensure_future(batcher.predict(texts(500)))
    await asyncio.to_thread(model.started.wait, 30)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    model.release.set()
    assert_expected(["oil crisis"], await batcher.predict(["oil crisis"]))
    assert model.runs == 2
    batcher.close()


async def test_a_call_is_encoded_while_the_sessions_are_busy(tmp_path: Path) -> None:
    model = GatedModel.load(tiny(tmp_path), ONE)
    assert isinstance(model, GatedModel)
    model.gate()
    batcher = MicroBatcher(model, BatchSettings())
    first = asyncio.ensure_future(batcher.predict(["oil crisis"]))
    assert await asyncio.to_thread(model.started.wait, 30)
    second = asyncio.ensure_future(batcher.predict(["later"]))
    try:
        assert await asyncio.to_thread(model.encoded_later.wait, 30)
    finally:
        model.release.set()
    assert_expected(["oil crisis", "later"], [*await first, *await second])
    batcher.close()


async def test_a_cancelled_call_gives_the_sessions_back(tmp_path: Path) -> None:
    batcher = MicroBatcher(OnnxModel.load(tiny(tmp_path), ModelSettings(sessions=1)), BatchSettings())
    cancelled = asyncio.ensure_future(batcher.predict(texts(5000)))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert_expected(["oil crisis"], await batcher.predict(["oil crisis"]))
    batcher.close()


async def test_swapping_returns_the_old_model_and_the_next_reader_sees_the_new_one(tmp_path: Path) -> None:
    old = MicroBatcher(OnnxModel.load(tiny(tmp_path / "old"), ONE), BatchSettings())
    new = MicroBatcher(OnnxModel.load(changed(tmp_path / "new", version="2"), ONE), BatchSettings())
    slot = ModelSlot(old)
    serving = slot.current
    assert slot.swap(new) is old
    assert slot.current.version == "tiny-2"
    assert slot.current.labels.topic == TOPICS
    assert_expected(["loss"], await serving.predict(["loss"]))
    old.close()
    assert_expected(["loss"], await slot.current.predict(["loss"]))
    new.close()
