"""When two ways to write a company's name mean the same: case, accents, marks and legal forms apart.

Must not know which companies there are.
"""

import re
import unicodedata

# What a name may end with or lack: legal forms, and words that say little. Never one that leaves another's name.
_SAY_LITTLE = frozenset({
    "inc", "incorporated", "corp", "corporation", "co", "ltd", "limited", "llc", "plc", "ag", "sa", "se", "nv", "spa",
    "ab", "asa", "oyj", "kgaa", "and", "group", "holding", "holdings", "technology", "technologies", "platforms",
    "systems", "motor",
})  # fmt: skip
_POSSESSIVE = re.compile(r"'s?(?=\W|$)")
_DOTS = re.compile(r"(?<=\w)\.(?=\w)|(?<=\w)\.$")
_MARKS = re.compile(r"[^\w]+")


def plain_name(name: str) -> str:
    """Lower case without accents, marks and possessives: `Moody's`, `moody` and `MOODY` are one name. `&` is `and`."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    letters = _POSSESSIVE.sub("", letters).replace("&", " and ")
    return _MARKS.sub(" ", _DOTS.sub("", letters)).strip()


def short_name(plain: str) -> str:
    """A plain name without a leading `the` and what says little at its end, at least one word of it."""
    words = plain.split()
    if len(words) > 1 and words[0] == "the":
        words = words[1:]
    while len(words) > 1 and words[-1] in _SAY_LITTLE:
        words.pop()
    return " ".join(words)
