"""The one cleaning and the one way to tokens."""

import subprocess
import sys

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from streamapp.contracts.encoding import TextEncoder, clean_text


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Oil slips 3% as OPEC waits", "Oil slips 3% as OPEC waits"),
        ("  two \t words\r\n\x85here ", "two words here"),
        ("AT&amp;T &lt;T&gt; falls", "AT&T falls"),
        ("Profit &amp; loss", "Profit & loss"),
        ("R&D spend up", "R&D spend up"),
        ("twice &amp;amp;lt;b&amp;amp;gt; escaped", "twice escaped"),
        ("&#36;AAPL &quot;beats&quot;", '$AAPL "beats"'),
        ("<p>Bank</p><p>fails</p><br/>again", "Bank fails again"),
        ("<script>track(1)</script>Fed <style>p{}</style>cuts", "Fed cuts"),
        ('<a href="https://x.y/?a=1&b=2">Lender</a> sued', "Lender sued"),
        ("loss < 3% and gain > 5%", "loss < 3% and gain > 5%"),
        ("EPS<est, guidance>est", "EPS est"),
        ("EPS<est", "EPS<est"),
        ("EPS<est in <b>Q2</b>", "EPS<est in Q2"),
        ("1 <3 $GME", "1 <3 $GME"),
        ("it\u2019s \u201cover\u201d \u2014 CEO", 'it\'s "over" - CEO'),
        ("\u22125% to 8\u00bd%", "-5% to 8 1/2%"),
        ("\U0001d401\U0001d414\U0001d418 now", "BUY now"),
        ("\uff32\uff22\uff21\u3000\uff1c ok", "RBA < ok"),
        ("de\u200bfault\ufeff \u202eok\u202c a\u00adb", "default ok ab"),
        ("nul\x00 bell\x07 esc\x1b[0m", "nul bell esc[0m"),
        ("lone \ud83d surrogate", "lone surrogate"),
        ("cafe\u0301", "caf\u00e9"),
        ("L\u00c3\u00b3pez\u00e2\u20ac\u2122s loss", "L\u00f3pez's loss"),
        ("\U0001f680\ufe0f to the moon", "\U0001f680 to the moon"),
        ("https://t.co/Ab1 @Reuters #oil $XOM", "https://t.co/Ab1 @Reuters #oil $XOM"),
        ("\u200b\u200b <br> &nbsp;", ""),
        ("", ""),
    ],
)
def test_cleaning(raw: str, cleaned: str) -> None:
    assert clean_text(raw) == cleaned


def test_a_text_escaped_ten_thousand_times_is_cleaned_in_bounded_time() -> None:
    assert clean_text("x &" + "amp;" * 10_000 + "lt;b> y") == "x y"


def test_tags_within_tags_do_not_make_new_tags() -> None:
    cleaned = clean_text("<" * 300 + "b>" * 300 + "left")
    assert cleaned == clean_text(cleaned)
    assert "left" in cleaned


@pytest.fixture
def encoder() -> TextEncoder:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "oil": 1, "falls": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=50)
    tokenizer.enable_truncation(2)
    return TextEncoder(tokenizer.to_str().encode(), 8)


def test_tokens_are_never_padded_and_the_length_is_ours_whatever_the_file_says(encoder: TextEncoder) -> None:
    assert encoder.encode(["oil falls", "", "gas"]) == [[1, 2], [], [0]]
    assert encoder.encode(["oil " * 20]) == [[1] * 8]


def test_words_are_told_with_their_first_token_and_their_place() -> None:
    pieces = {"[UNK]": 0, "[CLS]": 1, "oil": 2, "##s": 3, "fall": 4, "'": 5, "e": 6}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[CLS]", 1), ("[CLS]", 1))
    encoder = TextEncoder(tokenizer.to_str().encode(), 8)
    texts = ["Oils  fall", "", "É's 💥 oils oils oils oils"]
    assert [ids for ids, _ in encoder.encode_words(texts)] == encoder.encode(texts)
    words = [words for _, words in encoder.encode_words(texts)]
    assert words[0] == ((1, 0, 4), (3, 6, 10))
    assert words[1] == ()
    cut = "fall fall fall fall oils oils"
    assert encoder.encode(["fall " * 5 + "oils"])[0] == [1, 4, 4, 4, 4, 4, 2, 1]
    assert encoder.encode_words(["fall " * 5 + "oils"])[0][1][-1] == (5, 20, 24)
    assert encoder.encode_words([cut])[0][1][-1] == (5, 20, 24)
    assert words[2] == ((1, 0, 1), (2, 1, 2), (3, 2, 3), (4, 4, 5), (5, 6, 10))


def test_importing_the_encoding_brings_neither_a_runtime_nor_torch_nor_faust() -> None:
    heavy = "sorted({'onnxruntime', 'torch', 'transformers', 'faust', 'numpy'} & set(sys.modules))"
    code = f"import sys, streamapp.contracts.encoding; print({heavy})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "hostile",
    [
        "<div>" * 16_000 + "a",
        "\ufdfa" * 80_000,
        "&amp;" * 16_000,
        "<" * 80_000,
        "<a " * 27_000,
        "<script>" * 900 + "x",
    ],
    ids=["nested tags", "expanding character", "nested entities", "stray signs", "open tags", "scripts"],
)
def test_hostile_text_is_cleaned_to_a_bounded_size_and_stays_clean(hostile: str) -> None:
    cleaned = clean_text(hostile)
    assert len(cleaned) <= 4 * len(hostile)
    assert clean_text(cleaned) == cleaned
