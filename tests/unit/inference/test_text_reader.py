"""Who is at fault when a model fails, and which posts share one reading."""

import pytest

from streamapp.core.story import fingerprint, format_fingerprint
from streamapp.core.verdict import ScoredText
from streamapp.inference.language import LanguageDetector
from streamapp.inference.model_slot import ModelSlot
from streamapp.inference.text_reader import ORDINARY_TEXT, ModelFailure, TextReader, UnreadableText
from tests.fakes import FakeModel

GERMAN = "Die Bank meldet einen hohen Verlust im dritten Quartal und streicht die Dividende"


@pytest.fixture(scope="module")
def language() -> LanguageDetector:
    return LanguageDetector(("en",), 0.95, 20)


def reader(model: FakeModel, language: LanguageDetector, cache_texts: int = 100) -> TextReader:
    return TextReader(ModelSlot(model), language, cache_texts)


def fates(results: list[ScoredText | UnreadableText]) -> list[str]:
    return [result.reason if isinstance(result, UnreadableText) else "scored" for result in results]


def duplicates(results: list[ScoredText | UnreadableText]) -> list[bool]:
    return [result.duplicate_text for result in results if isinstance(result, ScoredText)]


async def test_every_text_is_read_in_one_call_and_in_order(language: LanguageDetector) -> None:
    model = FakeModel("m-1")
    results = await reader(model, language).read(["b", "a", "c"])
    assert model.calls == [["b", "a", "c"]]
    assert [result.reading.story_fingerprint for result in results if isinstance(result, ScoredText)] == [
        format_fingerprint(fingerprint(text)) for text in ("b", "a", "c")
    ]
    assert {result.model_version for result in results if isinstance(result, ScoredText)} == {"m-1"}


async def test_without_texts_the_model_is_not_asked(language: LanguageDetector) -> None:
    model = FakeModel()
    assert await reader(model, language).read([]) == []
    assert model.calls == []


@pytest.mark.parametrize("place", range(8))
async def test_a_batch_is_split_until_the_bad_text_is_alone(language: LanguageDetector, place: int) -> None:
    texts = [f"text {number}" for number in range(8)]
    model = FakeModel(poison=[texts[place]])
    results = await reader(model, language).read(texts)
    assert fates(results) == ["fails_alone" if number == place else "scored" for number in range(8)]
    assert [texts[place]] in model.calls


async def test_several_bad_texts_are_each_found(language: LanguageDetector) -> None:
    texts = [f"text {number}" for number in range(9)]
    results = await reader(FakeModel(poison=[texts[0], texts[4], texts[5], texts[8]]), language).read(texts)
    assert [number for number, fate in enumerate(fates(results)) if fate == "fails_alone"] == [0, 4, 5, 8]


async def test_the_reason_names_the_error_and_not_the_text(language: LanguageDetector) -> None:
    (result,) = await reader(FakeModel(poison=["secret words"]), language).read(["secret words"])
    assert result == UnreadableText("fails_alone", "ValueError: a text that no model can read")


async def test_a_bad_text_is_asked_again_every_time_and_never_remembered(language: LanguageDetector) -> None:
    model = FakeModel(poison=["bad"])
    reading = reader(model, language)
    assert fates(await reading.read(["bad", "good"])) == ["fails_alone", "scored"]
    model.poison.clear()
    assert fates(await reading.read(["bad", "good"])) == ["scored", "scored"]


async def test_a_bad_text_twice_in_one_batch_is_two_bad_posts(language: LanguageDetector) -> None:
    results = await reader(FakeModel(poison=["bad"]), language).read(["bad", "good", "bad"])
    assert fates(results) == ["fails_alone", "scored", "fails_alone"]


async def test_a_batch_of_bad_texts_alone_is_no_failure_of_the_model(language: LanguageDetector) -> None:
    texts = ["bad 1", "bad 2"]
    model = FakeModel(poison=texts)
    assert fates(await reader(model, language).read(texts)) == ["fails_alone", "fails_alone"]
    assert model.calls[-1] == [ORDINARY_TEXT]


async def test_a_model_that_fails_on_an_ordinary_text_too_is_at_fault(language: LanguageDetector) -> None:
    model = FakeModel(poison=["a", "b", ORDINARY_TEXT])
    with pytest.raises(ModelFailure, match="ordinary text too: ValueError"):
        await reader(model, language).read(["a", "b"])


async def test_a_sound_batch_never_asks_for_the_ordinary_text(language: LanguageDetector) -> None:
    model = FakeModel(poison=[ORDINARY_TEXT])
    assert fates(await reader(model, language).read(["a", "b"])) == ["scored", "scored"]


async def test_numbers_that_are_not_finite_in_one_batch_are_the_texts_fault(
    language: LanguageDetector,
) -> None:
    model = FakeModel(not_finite=["odd", "strange"])
    reading = reader(model, language)
    assert fates(await reading.read(["odd", "fine", "strange"])) == ["not_finite", "scored", "not_finite"]
    assert fates(await reading.read(["fine too"])) == ["scored"]


async def test_numbers_that_are_not_finite_in_two_batches_are_the_models_fault(
    language: LanguageDetector,
) -> None:
    reading = reader(FakeModel(not_finite=["odd", "strange"]), language)
    await reading.read(["odd"])
    with pytest.raises(ModelFailure, match="more than one batch"):
        await reading.read(["strange"])


async def test_texts_that_fail_alone_in_many_batches_are_still_the_texts_fault(
    language: LanguageDetector,
) -> None:
    reading = reader(FakeModel(poison=["bad"]), language)
    for _ in range(5):
        assert fates(await reading.read(["bad", "good"])) == ["fails_alone", "scored"]


async def test_equal_texts_of_one_batch_are_read_once_and_marked_from_the_second_on(
    language: LanguageDetector,
) -> None:
    model = FakeModel()
    results = await reader(model, language).read(["a", "b", "a", "a"])
    assert model.calls == [["a", "b"]]
    assert duplicates(results) == [False, False, True, True]


async def test_equal_texts_of_later_batches_are_not_read_again(language: LanguageDetector) -> None:
    model = FakeModel()
    reading = reader(model, language)
    first = await reading.read(["a"])
    second = await reading.read(["a", "b"])
    assert model.calls == [["a"], ["b"]]
    assert duplicates(second) == [True, False]
    assert isinstance(first[0], ScoredText)
    assert isinstance(second[0], ScoredText)
    assert first[0].reading == second[0].reading


async def test_the_cache_forgets_what_was_not_seen_for_longest(language: LanguageDetector) -> None:
    model = FakeModel()
    reading = reader(model, language, cache_texts=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await reading.read([text])
    assert model.calls == [["a"], ["b"], ["c"], ["b"]]


async def test_a_batch_larger_than_the_cache_is_read_whole(language: LanguageDetector) -> None:
    texts = [f"text {number % 7}" for number in range(20)]
    results = await reader(FakeModel(), language, cache_texts=2).read(texts)
    assert duplicates(results) == [number >= 7 for number in range(20)]


async def test_another_model_version_reads_the_text_anew(language: LanguageDetector) -> None:
    old, new = FakeModel("m-1"), FakeModel("m-2")
    slot = ModelSlot(old)
    reading = TextReader(slot, language, 100)
    await reading.read(["a"])
    slot.swap(new)
    (result,) = await reading.read(["a"])
    assert new.calls == [["a"]]
    assert isinstance(result, ScoredText)
    assert (result.model_version, result.duplicate_text) == ("m-2", False)


async def test_a_swap_in_the_middle_of_a_batch_does_not_mix_versions(language: LanguageDetector) -> None:
    slot: ModelSlot

    async def swap_while_reading(_: object) -> None:
        slot.swap(FakeModel("m-2"))

    slot = ModelSlot(FakeModel("m-1", poison=["bad"], gate=swap_while_reading))
    results = await TextReader(slot, language, 100).read(["a", "bad", "c", "d"])
    versions = {result.model_version for result in results if isinstance(result, ScoredText)}
    assert versions == {"m-1"}
    assert fates(results) == ["scored", "fails_alone", "scored", "scored"]


async def test_language_is_told_with_the_reading(language: LanguageDetector) -> None:
    results = await reader(FakeModel(), language).read(
        [GERMAN, "The bank reports a loss and cuts its dividend"]
    )
    assert [result.reading.other_language for result in results if isinstance(result, ScoredText)] == [
        True,
        False,
    ]
