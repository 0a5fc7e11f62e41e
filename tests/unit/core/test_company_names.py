"""Which ways to write a name are one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamapp.core.company_names import plain_name, short_name


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Apple", "apple"),
        ("Moody's", "moody"),
        ("Domino's Pizza", "domino pizza"),
        ("AT&T", "at and t"),
        ("Estée Lauder", "estee lauder"),
        ("U.S. Bancorp", "us bancorp"),
        ("Apple Inc.", "apple inc"),
        ("JD.com", "jdcom"),
        ("Colgate-Palmolive", "colgate palmolive"),
        ("#Tesla!", "tesla"),
        ("...", ""),
    ],
)
def test_case_accents_marks_and_possessives_do_not_matter(written: str, plain: str) -> None:
    assert plain_name(written) == plain


@pytest.mark.parametrize(
    ("plain", "short"),
    [
        ("apple inc", "apple"),
        ("merck and co", "merck"),
        ("the gap inc", "gap"),
        ("dell technologies", "dell"),
        ("general motors", "general motors"),
        ("group", "group"),
        ("the", "the"),
    ],
)
def test_a_short_name_lacks_what_says_little_and_is_never_empty(plain: str, short: str) -> None:
    assert short_name(plain) == short


@given(st.text(max_size=100))
def test_a_plain_name_of_any_text_is_plain_already(text: str) -> None:
    plain = plain_name(text)
    assert plain == plain.strip()
    assert len(short_name(plain)) <= len(plain)
