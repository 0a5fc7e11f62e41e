"""The names in a PromQL expression: metrics with the labels asked of them, grouping labels, labels made.

Reads tokens, no grammar: `promtool` judges whether an expression is well formed.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

_TOKEN = re.compile(
    r"""
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<range>\[[^\]]*\])
    | (?P<number>(?<![\w:])\d[\w.]*|\$__?\w+)
    | (?P<name>[a-zA-Z_:][\w:]*)
    | (?P<sign>=~|!~|!=|==|[^\s])
    """,
    re.VERBOSE,
)
_LABEL_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = _LABEL_LISTS | {"and", "or", "unless", "bool", "offset", "inf", "nan"}
_AGGREGATORS = frozenset(
    {"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile"}
)
_LABEL_REPLACE = re.compile(r'"(\w+)",\s*"[^"]*",\s*"(\w+)",\s*"[^"]*"\s*\)')


class Names(Struct):
    """What an expression names. `matched` has the labels in braces of every metric."""

    matched: dict[str, set[str]]
    grouped: set[str]
    made: set[str]


def names_in(expression: str) -> Names:
    """All names of one expression."""
    found = Names({}, set(), {made for made, _ in _LABEL_REPLACE.findall(expression)})
    found.grouped |= {source for _, source in _LABEL_REPLACE.findall(expression)} - found.made
    tokens = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(expression)]
    metric = ""
    position = 0
    while position < len(tokens):
        kind, text = tokens[position]
        following = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        if text == "{":
            inside = list(_until(tokens, position, "}"))
            found.matched.setdefault(metric, set()).update(text for kind, text in inside if kind == "name")
            position += len(inside)
        elif kind == "name" and text in _LABEL_LISTS and following == "(":
            inside = list(_until(tokens, position + 1, ")"))
            found.grouped |= {text for kind, text in inside if kind == "name"}
            position += len(inside) + 1
        elif kind == "name" and text not in _WORDS | _AGGREGATORS and following != "(":
            metric = text
            found.matched.setdefault(metric, set())
        position += 1
    return found


def _until(tokens: list[tuple[str, str]], opening: int, closing: str) -> Iterator[tuple[str, str]]:
    for token in tokens[opening + 1 :]:
        if token[1] == closing:
            return
        yield token
