"""Where people say that companies stand in a text, as labels of its words, and how well a model finds them there.

Strict: a company is found where both ends are right (CoNLL evaluation, Tjong Kim Sang and De Meulder 2003).
Must not know tokenizers, networks or files.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from retrain.core.labels import TrainingLabel
from streamapp.contracts.encoding import WordPlace
from streamapp.contracts.manifest import FIRST_OF_COMPANY, OUTSIDE, REST_OF_COMPANY, Outputs
from streamapp.core.company_spans import Span

COMPANY_HEAD = "entities"


class SpanFigures(Struct, frozen=True, kw_only=True):
    """Companies labelled, found, and found with both ends right; the shares that follow, 0 where there is none."""

    labelled: int
    found: int
    right: int
    precision: float
    recall: float
    f1: float


class SpanEvaluation(Struct, frozen=True, kw_only=True):
    """Champion and candidate on the posts whose companies were labelled with their places; None for one without the
    head. `difference` of F1 with its 90 % interval by the paired bootstrap over posts, where both have it.
    """

    posts: int
    before: SpanFigures | None
    after: SpanFigures | None
    difference: float | None = None
    interval: tuple[float, float] | None = None


def heads_of(outputs: Outputs) -> dict[str, tuple[str, ...]]:
    """The heads of a bundle with their labels; the one for companies, whose labels are of words, comes last."""
    heads = ("sentiment", "topic", COMPANY_HEAD)
    return {head: labels for head in heads if (labels := getattr(outputs, head)) is not None}


def labelled_spans(label: TrainingLabel) -> tuple[Span, ...] | None:
    """Where the label says that companies stand, ascending and apart; empty where it says that there is none.

    None where it does not say: nobody labelled companies, or one was named without its place.
    """
    if label.companies is None:
        return None
    spans = [mention.span for mention in label.companies if mention.span is not None]
    if len(spans) < len(label.companies):
        return None
    return _apart(spans, len(label.text))


def posts_with_spans(labels: Iterable[TrainingLabel]) -> int:
    """How many posts people labelled a company in, with its place."""
    return sum(label.origin != "rule" and bool(labelled_spans(label)) for label in labels)


def word_labels(words: Sequence[WordPlace], spans: Sequence[Span], labels: Sequence[str]) -> list[int]:
    """The place in `labels` of each word's label. A word belongs to the first company that it has a character of."""
    outside, first, rest = map(labels.index, (OUTSIDE, FIRST_OF_COMPANY, REST_OF_COMPANY))
    found = []
    begun: Span | None = None
    for word in words:
        span = next((each for each in spans if word.start < each[1] and each[0] < word.end), None)
        found.append(outside if span is None else rest if span == begun else first)
        begun = span
    return found


def counts_of_spans(labelled: Iterable[Span], found: Iterable[Span]) -> tuple[int, int, int]:
    """Of one post: companies found with both ends right, found, labelled."""
    true, said = set(labelled), set(found)
    return len(true & said), len(said), len(true)


def span_figures(counts: Sequence[tuple[int, int, int]]) -> SpanFigures:
    """The figures of all posts together from the counts of each (micro-averaged)."""
    right, found, labelled = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    return SpanFigures(
        labelled=labelled,
        found=found,
        right=right,
        precision=round(right / found, 4) if found else 0.0,
        recall=round(right / labelled, 4) if labelled else 0.0,
        f1=round(2 * right / (found + labelled), 4) if found + labelled else 0.0,
    )


def evaluate_spans(
    labelled: Sequence[tuple[Span, ...] | None],
    champion: Sequence[Sequence[Span]] | None,
    candidate: Sequence[Sequence[Span]] | None,
    rounds: int,
    seed: int,
) -> SpanEvaluation | None:
    """Both models on the posts that are labelled (not None), each by its spans of every post; None without such posts
    or models.
    """
    rows = [place for place, spans in enumerate(labelled) if spans is not None]
    if not rows or (champion is None and candidate is None):
        return None

    def counts(found: Sequence[Sequence[Span]] | None) -> list[tuple[int, int, int]] | None:
        if found is None:
            return None
        return [counts_of_spans(labelled[row] or (), found[row]) for row in rows]

    before, after = counts(champion), counts(candidate)
    figures = [span_figures(each) if each is not None else None for each in (before, after)]
    if before is None or after is None:
        return SpanEvaluation(posts=len(rows), before=figures[0], after=figures[1])
    difference, interval = _bootstrap(np.array(before), np.array(after), rounds, seed)
    return SpanEvaluation(
        posts=len(rows), before=figures[0], after=figures[1], difference=difference, interval=interval
    )


def _bootstrap(
    before: NDArray[np.int64], after: NDArray[np.int64], rounds: int, seed: int
) -> tuple[float, tuple[float, float]]:
    posts = len(before)
    drawn = np.random.default_rng(seed).multinomial(posts, np.full(posts, 1.0 / posts), size=rounds)
    weights = np.vstack([drawn, np.ones((1, posts), dtype=drawn.dtype)])

    def f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        right, found, labelled = (weights @ counts).T
        return np.asarray(2 * right / np.maximum(found + labelled, 1))

    differences = f1(after) - f1(before)
    low, high = np.quantile(differences[:-1], [0.05, 0.95]) if rounds else (0.0, 0.0)
    return round(float(differences[-1]), 6), (round(float(low), 6), round(float(high), 6))


def _apart(spans: Iterable[Span], chars: int) -> tuple[Span, ...]:
    kept: list[Span] = []
    for start, end in sorted(spans):
        if (kept[-1][1] if kept else 0) <= start < end <= chars:
            kept.append((start, end))
    return tuple(kept)
