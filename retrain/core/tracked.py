"""What is told of a run to whoever follows experiments: flat parameters and figures under names that sort well.

Pure: a report and a request as JSON values in, names and numbers out; must not know where they are sent.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

MOST_VALUE_CHARS: Final = 500
# Fields of a report that only hold others together, and what its sides are called for people.
_PLAIN: Final = frozenset({"measured", "sets", "heads", "classes"})
_CALLED: Final = {"before": "champion", "after": "candidate"}
# Pictures of matrices go along as files.
_LEFT_OUT: Final = frozenset({"confusion", "moved", "labels", "interval"})
_UNUSUAL: Final = re.compile(r"[^\w.\- /]+", re.ASCII)


class TrackedRun(Struct, frozen=True, kw_only=True):
    """One run for the tracking server. Times in ms since the epoch; `key` finds it again, so it is never sent twice."""

    key: str
    name: str
    began_at_ms: int
    ended_at_ms: int
    worked: bool
    params: Mapping[str, str] = {}
    figures: Mapping[str, float] = {}
    tags: Mapping[str, str] = {}


def figures_of_report(report: Mapping[str, Any]) -> dict[str, float]:
    """Every finite number that was measured, named by its way: `golden/sentiment/candidate/negative/f1`."""
    parts = {
        "": report.get("measured") or {},
        "export": report.get("exported") or {},
        "posts": _counts(report.get("posts")),
    }
    found: dict[str, float] = {}
    for name, tree in parts.items():
        for way, number in _numbers(tree, (name,) if name else ()):
            found[figure_name(way)] = number
    return found


def params_of_request(request: Mapping[str, Any]) -> dict[str, str]:
    """The settings that a run trained and judged by; no path of this machine but an encoder's."""
    groups = {name: request.get(name) or {} for name in ("training", "gate")}
    found = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    if "seed" in request:
        found["seed"] = request["seed"]
    return {name: str(value)[:MOST_VALUE_CHARS] for name, value in found.items()}


def figure_name(way: tuple[str, ...]) -> str:
    """The name of a figure: the words of its way that say something, in characters that every server takes."""
    words = [_CALLED.get(word, word) for word in way if word not in _PLAIN]
    return "/".join(_UNUSUAL.sub("_", word).strip() or "_" for word in words)


def _numbers(tree: Any, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(tree, Mapping):
        for name, part in tree.items():
            if name not in _LEFT_OUT:
                yield from _numbers(part, (*way, str(name)))
    elif isinstance(tree, list):
        for part in tree:
            if isinstance(part, Mapping) and "name" in part:
                yield from _numbers(part, (*way, str(part["name"])))
    elif isinstance(tree, bool | int | float) and math.isfinite(tree):
        yield way, float(tree)


def _counts(sides: Any) -> dict[str, Any]:
    """Posts of each side by channel and sentiment, and in all."""
    if not isinstance(sides, Mapping):
        return {}
    found: dict[str, Any] = {}
    for side, counts in sides.items():
        if isinstance(counts, Mapping):
            found[side] = {key.replace(": ", "/"): count for key, count in counts.items()}
            found[side]["all"] = sum(counts.values())
    return found
