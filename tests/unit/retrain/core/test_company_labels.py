"""Where people say that companies stand, as labels of words, and strict figures of who finds them."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="scikit-learn is absent: install the extra [dev] or [retrain]")

from retrain.core.company_labels import (
    SpanFigures,
    counts_of_spans,
    evaluate_spans,
    heads_of,
    labelled_spans,
    posts_with_spans,
    span_figures,
    word_labels,
)
from retrain.core.labels import TrainingLabel
from streamapp.contracts.encoding import WordPlace
from streamapp.contracts.manifest import COMPANY_LABELS, Outputs
from streamapp.contracts.messages import SENTIMENTS, CompanyMention
from streamapp.core.company_spans import Span, WordLabels, company_spans

TEXT = "Acme Steel buys Globex."


def label(*spans: Span | None, said: bool = True, text: str = TEXT) -> TrainingLabel:
    mentions = tuple(CompanyMention(symbol="UNLISTED", span=span) for span in spans)
    return TrainingLabel(
        post_id="p",
        text=text,
        channel="news",
        origin="person",
        labelled_at_ms=1,
        companies=mentions if said else None,
    )


def words_of(text: str) -> list[WordPlace]:
    return [WordPlace(n, *found.span()) for n, found in enumerate(re.finditer(r"\w+|[^\w\s]", text))]


def test_a_label_says_where_companies_stand_that_there_is_none_or_nothing() -> None:
    assert labelled_spans(label((16, 22), (0, 10))) == ((0, 10), (16, 22))
    assert labelled_spans(label()) == ()
    assert labelled_spans(label(said=False)) is None
    assert labelled_spans(label((0, 10), None)) is None, (
        "one without its place: which words are outside is unknown"
    )


def test_spans_that_overlap_or_leave_the_text_are_left_out() -> None:
    assert labelled_spans(label((0, 10), (5, 12), (16, 22), (20, 99), (22, 22))) == ((0, 10), (16, 22))


def test_only_posts_in_which_people_marked_a_company_count_for_a_new_head() -> None:
    rule = msgspec.structs.replace(label((0, 4)), origin="rule")
    assert posts_with_spans([label((0, 4)), label(), label(None), label(said=False), rule]) == 1


@pytest.mark.parametrize(
    ("spans", "letters"),
    [
        ((), "OOOOO"),
        (((0, 10), (16, 22)), "BIOBO"),
        (((0, 4), (5, 10)), "BBOOO"),
        (((2, 3),), "BOOOO"),
        (((0, 23),), "BIIII"),
    ],
)
def test_each_word_of_a_company_has_its_label(spans: tuple[Span, ...], letters: str) -> None:
    wanted = [{"O": 0, "B": 1, "I": 2}[letter] for letter in letters]
    assert word_labels(words_of(TEXT), spans, COMPANY_LABELS) == wanted
    turned = word_labels(words_of(TEXT), spans, COMPANY_LABELS[::-1])
    assert [2 - place for place in turned] == wanted


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=6))
def test_spans_on_whole_words_come_back_from_their_labels(drawn: list[tuple[int, int]]) -> None:
    text = " ".join(f"w{number}" for number in range(60))
    words = words_of(text)
    chosen = label(*((words[at].start, words[min(at + size, 59)].end) for at, size in drawn), text=text)
    spans = labelled_spans(chosen) or ()
    places = word_labels(words, spans, COMPANY_LABELS)
    sure = tuple(tuple(float(place == each) for each in range(3)) for place in places)
    assert company_spans(text, WordLabels(tuple(words), sure), COMPANY_LABELS) == spans


def test_a_company_is_found_where_both_ends_are_right() -> None:
    assert counts_of_spans([(0, 10), (16, 22)], [(0, 10), (16, 23), (4, 6)]) == (1, 3, 2)
    assert span_figures([(1, 3, 2), (0, 0, 0), (2, 2, 2)]) == SpanFigures(
        labelled=4, found=5, right=3, precision=0.6, recall=0.75, f1=0.6667
    )
    assert span_figures([]).f1 == span_figures([(0, 0, 0)]).f1 == 0.0


def test_both_models_are_compared_on_the_labelled_posts_alone() -> None:
    labelled = [((0, 4),), None, (), ((0, 4), (6, 9))]
    champion = [((0, 4),), ((1, 2),), (), ()]
    candidate = [((0, 4),), (), (), ((0, 4), (6, 9))]
    found = evaluate_spans(labelled, champion, candidate, rounds=200, seed=1)
    assert found is not None
    assert found.before is not None
    assert found.after is not None
    assert (found.posts, found.before.f1, found.after.f1) == (3, 0.5, 1.0)
    assert found.difference == 0.5
    assert found.interval is not None
    assert found.interval[0] <= 0.5 <= found.interval[1]


def test_a_model_without_the_head_has_no_figures_and_nothing_labelled_no_evaluation() -> None:
    labelled = [((0, 4),), ()]
    new = evaluate_spans(labelled, None, [((0, 4),), ()], rounds=10, seed=1)
    assert new is not None
    assert (new.before, new.difference) == (None, None)
    assert new.after is not None
    assert new.after.f1 == 1.0
    assert evaluate_spans(labelled, None, None, rounds=10, seed=1) is None
    assert evaluate_spans([None], [()], [()], rounds=10, seed=1) is None


def test_the_head_of_words_comes_last() -> None:
    assert list(heads_of(Outputs(entities=COMPANY_LABELS, sentiment=SENTIMENTS))) == ["sentiment", "entities"]
