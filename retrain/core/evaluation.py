"""What two models' answers on the same judged posts say: figures before and after, paired tests, slices, name swaps.

Pure numbers; must not know how answers were made or what is decided from them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import binomtest

from retrain.core.company_labels import SpanEvaluation, evaluate_spans
from retrain.core.figures import HeadFigures, head_figures
from streamapp.contracts.messages import Channel, Sentiment, SwapPair
from streamapp.core.company_spans import Span

Head = Literal["sentiment", "topic"]
HEADS: tuple[Head, ...] = ("sentiment", "topic")
Floats = NDArray[np.float64]
Counts = NDArray[np.float32]


class JudgedPost(Struct, frozen=True, kw_only=True):
    """A cleaned text with the labels that judge it. `company` is the name in the text that may be exchanged, `spans`
    where companies stand (None: not labelled).
    """

    id: str
    text: str
    channel: Channel
    source: str | None = None
    sentiment: Sentiment | None = None
    topic: str | None = None
    company: str | None = None
    spans: tuple[Span, ...] | None = None


class Answers(Struct, frozen=True):
    """One model's probabilities, one row a judged post, columns in the order of its labels; and where it found
    companies in each, None where it has no head for them.
    """

    labels: dict[str, tuple[str, ...]]
    probabilities: dict[str, Floats]
    spans: tuple[tuple[Span, ...], ...] | None = None

    def called(self, head: str) -> list[str]:
        """The likeliest label of each post."""
        return [self.labels[head][place] for place in self.probabilities[head].argmax(axis=1)]


class PairedTest(Struct, frozen=True, kw_only=True):
    """Candidate against champion on the same posts.

    `mcnemar_p`: two-sided exact (McNemar 1947) on which of the two is right. `difference` of macro-F1 with its
    90 % interval and `better_p`, `worse_p` by the paired bootstrap (Efron and Tibshirani 1993): the share of resamples
    where the candidate is not better, or not worse.
    """

    posts: int
    only_candidate_right: int
    only_champion_right: int
    mcnemar_p: float
    difference: float
    interval: tuple[float, float]
    better_p: float
    worse_p: float


class HeadEvaluation(Struct, frozen=True, kw_only=True):
    """One head before (champion) and after (candidate), and what changed: `moved[i][j]` posts that the champion
    called label i and the candidate label j, in the champion's order.
    """

    before: HeadFigures
    after: HeadFigures
    test: PairedTest
    moved: tuple[tuple[int, ...], ...]


class Slice(Struct, frozen=True, kw_only=True):
    """Accuracy of the sentiment on one part of the judged posts."""

    name: str
    posts: int
    before: float
    after: float


class NameSwaps(Struct, frozen=True, kw_only=True):
    """How often exchanging the company's name changed the sentiment, as a share of all exchanges."""

    exchanges: int
    before: float
    after: float


class SetEvaluation(Struct, frozen=True, kw_only=True):
    """One judging set: a head is missing where no post has its label or a model lacks it."""

    name: str
    posts: int
    heads: dict[str, HeadEvaluation]
    overall: PairedTest | None
    slices: tuple[Slice, ...] = ()
    companies: SpanEvaluation | None = None


class _Calls(Struct, frozen=True):
    """True and called labels of one head as numbers; rows are places in the judged posts."""

    rows: NDArray[np.int64]
    true: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    labels: int


def evaluate(
    name: str, posts: Sequence[JudgedPost], champion: Answers, candidate: Answers, rounds: int, seed: int
) -> SetEvaluation:
    """Both models on one set. `overall` tests the mean of the heads' macro-F1, which is what training aims at."""
    heads: dict[str, HeadEvaluation] = {}
    calls: list[_Calls] = []
    for head in HEADS:
        if head not in champion.labels or head not in candidate.labels:
            continue
        labels = champion.labels[head]
        rows = [place for place, post in enumerate(posts) if getattr(post, head) in labels]
        if not rows:
            continue
        counted = _calls(posts, rows, head, champion, candidate)
        calls.append(counted)
        heads[head] = _head_evaluation(posts, counted, head, (champion, candidate), (rounds, seed))
    return SetEvaluation(
        name=name,
        posts=len(posts),
        heads=heads,
        overall=paired_test(calls, len(posts), rounds, seed) if calls else None,
        slices=_slices(posts, champion, candidate),
        companies=evaluate_spans(
            [post.spans for post in posts], champion.spans, candidate.spans, rounds, seed
        ),
    )


def paired_test(calls: Sequence[_Calls], posts: int, rounds: int, seed: int) -> PairedTest:
    """The paired test over one or several heads; posts are resampled whole, so that their heads stay together."""
    only_candidate = only_champion = 0
    for head in calls:
        right_before, right_after = head.before == head.true, head.after == head.true
        only_candidate += int((right_after & ~right_before).sum())
        only_champion += int((right_before & ~right_after).sum())
    unequal = only_candidate + only_champion
    # How often each post is drawn in each resample; the last row is the sample itself.
    drawn = np.random.default_rng(seed).multinomial(posts, np.full(posts, 1.0 / posts), size=rounds)
    whole = np.ones((1, posts), dtype=drawn.dtype)
    found = _differences(calls, np.vstack([drawn, whole]).astype(np.float32))
    differences, difference = found[:-1], found[-1]
    low, high = np.quantile(differences, [0.05, 0.95]) if rounds else (0.0, 0.0)
    return PairedTest(
        posts=posts,
        only_candidate_right=only_candidate,
        only_champion_right=only_champion,
        mcnemar_p=float(binomtest(only_candidate, unequal).pvalue) if unequal else 1.0,
        difference=round(float(difference), 6),
        interval=(round(float(low), 6), round(float(high), 6)),
        better_p=float((differences <= 0.0).mean()),
        worse_p=float((differences >= 0.0).mean()),
    )


def name_swaps(champion: Sequence[Sequence[str]], candidate: Sequence[Sequence[str]]) -> NameSwaps:
    """From the sentiments of each text under each name, the first being its own: the share that changed."""

    def changed(called: Sequence[Sequence[str]]) -> float:
        pairs = [other != own for own, *others in called for other in others]
        return round(sum(pairs) / len(pairs), 4) if pairs else 0.0

    exchanges = sum(len(called) - 1 for called in champion)
    return NameSwaps(exchanges=exchanges, before=changed(champion), after=changed(candidate))


def _calls(
    posts: Sequence[JudgedPost], rows: list[int], head: str, champion: Answers, candidate: Answers
) -> _Calls:
    labels = list(dict.fromkeys((*champion.labels[head], *candidate.labels[head])))
    number = {label: place for place, label in enumerate(labels)}
    before, after = champion.called(head), candidate.called(head)
    return _Calls(
        rows=np.array(rows),
        true=np.array([number[getattr(posts[row], head)] for row in rows]),
        before=np.array([number[before[row]] for row in rows]),
        after=np.array([number[after[row]] for row in rows]),
        labels=len(labels),
    )


def _head_evaluation(
    posts: Sequence[JudgedPost],
    calls: _Calls,
    head: str,
    models: tuple[Answers, Answers],
    chance: tuple[int, int],
) -> HeadEvaluation:
    champion, candidate = models
    true = [getattr(posts[row], head) for row in calls.rows]
    local = _Calls(np.arange(len(true)), calls.true, calls.before, calls.after, calls.labels)
    moved = np.zeros((calls.labels, calls.labels), dtype=np.int64)
    np.add.at(moved, (calls.before, calls.after), 1)
    return HeadEvaluation(
        before=head_figures(true, champion.probabilities[head][calls.rows], champion.labels[head]),
        after=head_figures(true, candidate.probabilities[head][calls.rows], candidate.labels[head]),
        test=paired_test([local], len(true), *chance),
        moved=tuple(tuple(int(count) for count in row) for row in moved),
    )


def _differences(calls: Sequence[_Calls], weights: Counts) -> Floats:
    """Candidate's macro-F1 less the champion's, mean over heads, for each row of how often each post counts."""
    found = [
        _macro_f1(head, head.after, weights[:, head.rows])
        - _macro_f1(head, head.before, weights[:, head.rows])
        for head in calls
    ]
    means: Floats = np.mean(found, axis=0)
    return means


def _macro_f1(calls: _Calls, called: NDArray[np.int64], weights: Counts) -> Floats:
    """Mean F1 over the labels that occur, a number for each row of weights."""
    # Not scikit-learn's, because it is thousands at once; a test holds it against scikit-learn's.
    true, said = (np.eye(calls.labels, dtype=np.float32)[rows] for rows in (calls.true, called))
    occurs = weights @ true
    hits, all_said = weights @ (true * said), weights @ said
    f1 = np.divide(2 * hits, occurs + all_said, out=np.zeros_like(hits), where=occurs > 0)
    means: Floats = f1.sum(axis=1) / np.maximum((occurs > 0).sum(axis=1), 1)
    return means


def _slices(posts: Sequence[JudgedPost], champion: Answers, candidate: Answers) -> tuple[Slice, ...]:
    if "sentiment" not in champion.labels or "sentiment" not in candidate.labels:
        return ()
    before, after = champion.called("sentiment"), candidate.called("sentiment")
    right: dict[str, list[tuple[bool, bool]]] = {}
    for place, post in enumerate(posts):
        if post.sentiment is None:
            continue
        for name in (f"channel {post.channel}", *([f"source {post.source}"] if post.source else [])):
            right.setdefault(name, []).append(
                (before[place] == post.sentiment, after[place] == post.sentiment)
            )
    return tuple(
        Slice(
            name=name,
            posts=len(pairs),
            before=round(sum(pair[0] for pair in pairs) / len(pairs), 4),
            after=round(sum(pair[1] for pair in pairs) / len(pairs), 4),
        )
        for name, pairs in sorted(right.items())
    )


def gate_pairs(posts: Sequence[JudgedPost], champion: Answers, candidate: Answers) -> tuple[SwapPair, ...]:
    """How many judged posts have each pair of verdicts, as a shadow run counts them; none without sentiments."""
    if "sentiment" not in champion.labels or "sentiment" not in candidate.labels:
        return ()
    nothing: list[str | None] = [None] * len(posts)
    old_topics = champion.called("topic") if "topic" in champion.labels else nothing
    new_topics = candidate.called("topic") if "topic" in candidate.labels else nothing
    channels = [post.channel for post in posts]
    olds, news = champion.called("sentiment"), candidate.called("sentiment")
    counts = Counter(zip(channels, old_topics, olds, news, new_topics, strict=True))
    pairs = [
        {
            "channel": channel,
            "topic": topic,
            "old": old,
            "new": new,
            "posts": count,
            "new_topic": None if new_topic == topic else new_topic or "",
        }
        for (channel, topic, old, new, new_topic), count in counts.items()
    ]
    found = msgspec.convert(pairs, tuple[SwapPair, ...])
    return tuple(sorted(found, key=msgspec.json.encode))


def moved_by_channel(
    posts: Sequence[JudgedPost], champion: Answers, candidate: Answers
) -> dict[str, dict[str, dict[str, int]]]:
    """Channel, old sentiment, new sentiment to posts: the prior for putting two versions' counts on one scale."""
    if "sentiment" not in champion.labels or "sentiment" not in candidate.labels:
        return {}
    triples = Counter(
        zip(
            (post.channel for post in posts),
            champion.called("sentiment"),
            candidate.called("sentiment"),
            strict=True,
        )
    )
    found: dict[str, dict[str, dict[str, int]]] = {}
    for (channel, old, new), count in sorted(triples.items()):
        found.setdefault(channel, {}).setdefault(old, {})[new] = count
    return found
