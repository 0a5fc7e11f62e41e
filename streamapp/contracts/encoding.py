"""Text as the model sees it, the same in training and in serving: one cleaning, one way to tokens.

Must not know models, runtimes or messages.

What `clean_text` does, in this order, again until nothing changes (so cleaning twice is cleaning once):
  1. text that was decoded with the wrong character set is repaired, only where it looks broken (ftfy);
  2. invisible characters go: controls, zero-width, direction marks, variation selectors, private use,
     lone surrogates;
  3. Unicode is brought to NFKC, with quotes and dashes made plain ASCII and fractions kept readable
     (8½ becomes 8 1/2);
  4. HTML tags go, scripts and styles with their content, and entities become characters;
  5. every run of white space becomes one blank, none at the ends.
Case, URLs, @names, #tags and $symbols stay: what to do with them is the tokenizer's or the reader's business.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import ftfy
from ftfy.badness import is_bad
from selectolax.lexbor import LexborHTMLParser
from tokenizers import Encoding, Tokenizer

TokenIds = list[int]


class WordPlace(NamedTuple):
    """A word of a text: the place of its first token, and [start, end) in characters of the text."""

    token: int
    start: int
    end: int


# C0/C1 controls that are no white space, soft hyphen, zero-width and direction marks, variation selectors,
# private use, surrogates, tags, and U+FFF0..FFFF (replacement characters among them).
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\ue000-\uf8ff"
    "\U000e0000-\U0010ffff]"
)
# A tag needs a letter (or / ! ?) right after '<' and a '>' later: "EPS<est" and "loss < 3%" are text.
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]*>")
_STRAY_LESS_THAN = re.compile(r"<(?![a-zA-Z/!?][^<>]*>)")
_NESTED_AMPERSAND = re.compile(r"&(?:(?:amp|AMP);?|#0*38(?![0-9]);?|#[xX]0*26(?![0-9a-fA-F]);?)+")
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63", "-"),
        "\u2044": "/",
    }
)
_FRACTION = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")
# Honest text is stable after two rounds, doubly escaped text after three or four.
_MOST_ROUNDS = 8
# Bounds on what hostile text may cost. No feed nests so deeply: a tree of 20,000 tags took the parser 1.4 s.
_MOST_TAGS = 1_000
# One character may become 18 by NFKC (U+FDFA); a text of nothing else is cut, an honest one never is.
_MOST_GROWTH = 3
_PIECE_CHARS = 4_096


def clean_text(raw: str) -> str:
    """The one cleaning of a post's text (module docstring). May return an empty string; never raises."""
    text = " ".join(raw.split())
    for _ in range(_MOST_ROUNDS):
        if text.isascii() and text.isprintable() and "<" not in text and "&" not in text:
            return text
        cleaned = _clean_once(text)
        if cleaned == text:
            return text
        text = cleaned
    # Escaped on purpose more deeply than any feed does: without these two characters the next round is the
    # last.
    return _clean_once(text.replace("&", " ").replace("<", " "))


def _clean_once(text: str) -> str:
    if not text.isascii():
        text = _plain_unicode(text)
    text = _INVISIBLE.sub("", text)
    if "<" in text and _TAG.search(text):
        text = _without_markup(text)
    if "&" in text:
        text = html.unescape(_NESTED_AMPERSAND.sub("&", text))
    return " ".join(text.split())


def _plain_unicode(text: str) -> str:
    if is_bad(text):
        text = ftfy.fix_encoding(text)
    text = _INVISIBLE.sub("", text)
    text = _FRACTION.sub(lambda found: " " + unicodedata.normalize("NFKC", found[0]), text)
    return _compatible(text.translate(_PLAIN)).translate(_PLAIN)


def _compatible(text: str) -> str:
    """NFKC, cut where it would grow beyond measure. A seam between pieces is mended by the next round."""
    if len(text) <= _PIECE_CHARS:
        return unicodedata.normalize("NFKC", text)
    pieces: list[str] = []
    chars = 0
    for start in range(0, len(text), _PIECE_CHARS):
        pieces.append(unicodedata.normalize("NFKC", text[start : start + _PIECE_CHARS]))
        chars += len(pieces[-1])
        if chars > _MOST_GROWTH * len(text):
            break
    return "".join(pieces)


def _without_markup(text: str) -> str:
    if text.count("<") > _MOST_TAGS:
        return _TAG.sub(" ", text)
    body = LexborHTMLParser(_STRAY_LESS_THAN.sub("&lt;", text)).body
    if body is None:
        return _TAG.sub(" ", text)
    for hidden in body.css("script, style, template"):
        hidden.decompose()
    return body.text(separator=" ")


class TextEncoder:
    """Cleaned texts to token ids by a Hugging Face `tokenizer.json`, at most `max_tokens` a text, never
    padded.
    """

    def __init__(self, tokenizer_json: bytes, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_buffer(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self.max_tokens = max_tokens

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """One list of ids a text, in order; releases the GIL while it works."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def encode_words(self, texts: Sequence[str]) -> list[tuple[TokenIds, tuple[WordPlace, ...]]]:
        """The same ids, and the words that they are the tokens of, as the tokenizer tells words apart; only those that
        are there whole. Costs a little more.
        """
        encodings = self._tokenizer.encode_batch(list(texts))
        return [(encoding.ids, _words(encoding)) for encoding in encodings]


def _words(encoding: Encoding) -> tuple[WordPlace, ...]:
    words: list[WordPlace] = []
    present: int | None = None
    for token, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        if word is None:  # a token that stands for no text
            continue
        if word != present:
            words.append(WordPlace(token, start, end))
            present = word
        else:
            words[-1] = words[-1]._replace(end=end)
    # The rest of the last word may be among what was cut off; half a word is none.
    if encoding.overflowing and present in encoding.overflowing[0].word_ids:
        words.pop()
    return tuple(words)
