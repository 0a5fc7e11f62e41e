"""From labels of words to spans of characters: whole names, apart, within the text, whatever the model says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamapp.contracts.encoding import WordPlace
from streamapp.contracts.manifest import COMPANY_LABELS
from streamapp.core.company_spans import MAX_SPAN_CHARS, WordLabels, company_spans

LIKELY = {"O": (0.8, 0.1, 0.1), "B": (0.1, 0.8, 0.1), "I": (0.1, 0.1, 0.8)}


def said_of(text: str, letters: str) -> WordLabels:
    """One letter a word of the text."""
    words = tuple(WordPlace(place, *found.span()) for place, found in enumerate(re.finditer(r"\S+", text)))
    return WordLabels(words, tuple(LIKELY[letter] for letter in letters))


@pytest.mark.parametrize(
    ("letters", "names"),
    [
        ("OOOO", []),
        ("BOOO", ["Acme"]),
        ("BIOO", ["Acme Steel"]),
        ("BBOO", ["Acme", "Steel"]),
        ("OIIO", ["Steel buys"]),
        ("BIOB", ["Acme Steel", "Globex"]),
        ("BIIB", ["Acme Steel buys", "Globex"]),
        ("OOOI", ["Globex"]),
    ],
)
def test_a_name_is_its_first_word_and_those_that_go_on_with_it(letters: str, names: list[str]) -> None:
    text = "Acme Steel buys Globex"
    found = company_spans(text, said_of(text, letters), COMPANY_LABELS)
    assert [text[start:end] for start, end in found] == names


def test_labels_may_stand_in_another_order_and_other_kinds_are_nobodys() -> None:
    labels = ("B-place", "I-company", "O", "B-company")
    words = (WordPlace(1, 0, 5), WordPlace(2, 6, 10), WordPlace(3, 11, 14))
    rows = ((0.9, 0.0, 0.1, 0.0), (0.0, 0.1, 0.1, 0.8), (0.0, 0.8, 0.2, 0.0))
    assert company_spans("Paris Acme Inc", WordLabels(words, rows), labels) == ((6, 14),)


def test_a_name_that_is_hardly_likelier_than_none_is_left_out() -> None:
    said = WordLabels((WordPlace(0, 0, 4),), ((0.45, 0.35, 0.2),))
    assert company_spans("Acme", said, COMPANY_LABELS) == ()
    split = WordLabels((WordPlace(0, 0, 4),), ((0.34, 0.35, 0.31),))
    assert company_spans("Acme", split, COMPANY_LABELS) == ((0, 4),)
    assert company_spans("Acme", split, COMPANY_LABELS, least_probability=0.7) == ()


def test_a_name_of_hostile_length_is_none() -> None:
    text = "A" * (MAX_SPAN_CHARS + 1)
    assert company_spans(text, said_of(text, "B"), COMPANY_LABELS) == ()
    assert company_spans(text[1:], said_of(text[1:], "B"), COMPANY_LABELS) == ((0, MAX_SPAN_CHARS),)


def test_blanks_that_a_tokenizer_counts_to_a_word_are_not_part_of_a_name() -> None:
    said = WordLabels((WordPlace(0, 3, 8),), (LIKELY["B"],))
    assert company_spans("by  Acme", said, COMPANY_LABELS) == ((4, 8),)


@st.composite
def _anything(draw: st.DrawFn) -> tuple[str, WordLabels]:
    text = draw(st.text(max_size=60))
    count = draw(st.integers(0, 20))
    places = st.integers(0, 70)
    words = tuple(WordPlace(n, draw(places), draw(places)) for n in range(count))
    chance = st.floats(0, 1)
    rows = tuple((draw(chance), draw(chance), draw(chance)) for _ in range(count))
    return text, WordLabels(words, rows)


@given(_anything())
def test_whatever_is_said_spans_are_whole_apart_and_within_the_text(case: tuple[str, WordLabels]) -> None:
    text, said = case
    found = company_spans(text, said, COMPANY_LABELS)
    assert len(found) <= len(said.words)
    before = 0
    for start, end in found:
        assert before <= start < end <= len(text)
        assert end - start <= MAX_SPAN_CHARS
        assert text[start:end] == text[start:end].strip()
        before = end
