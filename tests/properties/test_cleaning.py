"""Cleaning holds for any text: never raises, twice is once, nothing unprintable is left."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from streamapp.contracts.encoding import clean_text

# Pieces that mean something to the cleaner, glued together at random, beside any characters at all.
PIECES = st.sampled_from(
    ["&", "amp;", "AMP", "#38;", "#x26;", "&lt;", "lt", "gt;", "<", ">", "b", "/", "!--", "-->", "<b>",
     "</p>", "<script>", "</script>", "<style>", "<textarea>", "<title>", "<svg>", "<!", "<?", "]]>", "&#0;",
     "&#xD800;", "&nbsp;", "\u00c3\u00a9", "\u00e2\u20ac\u2122", "\u00bd", "\u2044", "\u0301", "e", "\u200d",
     "\ufe0f", "\ud800", "\udc00", "\x00", "\x85", "\u2028", "\ufdfa", "\uff1c", "\uff06", " ", "word", "'"]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(PIECES, max_size=40).map("".join),
    st.text(max_size=200),
    st.text(st.characters(), max_size=60),
    st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=30).map("".join),
)


@given(TEXTS)
@example("&amp;amp;lt;b&amp;gt;")
@example("<<b>b>")
@example("&ampampampamplt;b>")
def test_cleaning_twice_is_cleaning_once(raw: str) -> None:
    cleaned = clean_text(raw)
    assert clean_text(cleaned) == cleaned


@given(TEXTS)
def test_what_is_left_is_utf8_without_control_characters_or_doubled_blanks(raw: str) -> None:
    cleaned = clean_text(raw)
    cleaned.encode("utf-8")
    assert not [character for character in cleaned if unicodedata.category(character) in ("Cc", "Cs", "Co")]
    assert cleaned == " ".join(cleaned.split())


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="<&"), max_size=200))
def test_plain_ascii_keeps_every_character_but_doubled_blanks(raw: str) -> None:
    assert clean_text(raw) == " ".join(raw.split())
