"""Which posts train, which choose the best epoch, which judge: split by story, so that no copy is on two sides.

Posts that judge are never trained on, nor is anything that tells the same story. Must not know files or networks.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from retrain.core.company_labels import labelled_spans
from retrain.core.labels import TrainingLabel
from streamapp.core.story import SAME_STORY_BITS, fingerprint

_ROWS_AT_ONCE = 512


class Split(Struct, frozen=True, kw_only=True):
    """The sides of one run. `left_out` counts what trains nobody, by reason; `prints` names each side exactly.

    `companies`: the run also learns where companies stand, so that such a label counts as one by itself.
    """

    train: tuple[TrainingLabel, ...]
    dev: tuple[TrainingLabel, ...]
    judging: tuple[TrainingLabel, ...]
    rehearsal: tuple[TrainingLabel, ...]
    left_out: dict[str, int]
    prints: dict[str, str]
    companies: bool = False

    @property
    def peoples(self) -> tuple[TrainingLabel, ...]:
        """The training posts whose labels are people's: what makes a run worth while, and a candidate fresh."""
        return tuple(post for post in self.train if _is_a_persons(post, self.companies))


class SplitRules(Struct, frozen=True, kw_only=True):
    """How to split. `judging_not_before_ms`: labels older than that may have trained the champion, so they do not
    judge it.
    """

    seed: int
    dev_share: float
    most_judging: int
    judging_not_before_ms: int = 0
    topics: tuple[str, ...] = ()
    rehearsal_ratio: float = 1.0
    companies: bool = False


def split_posts(
    labels: Sequence[TrainingLabel],
    rehearsal: Sequence[TrainingLabel],
    golden_texts: Sequence[str],
    rules: SplitRules,
) -> Split:
    """The sides of a run from cleaned posts.

    The newest labels of people that were drawn uniformly (`audit`) judge, at most `most_judging`. Since a later run's
    judges are this run's or newer ones, the champion was not trained on them either. Of the rest, old posts included,
    whole stories that people labelled make up `dev_share` of each stratum (channel and sentiment), chosen by a hash.
    """
    labels, unknown = _with_known_topics(labels, rules.topics)
    old, _ = _with_known_topics(rehearsal, rules.topics)
    judging = _newest_audit(labels, rules)
    judges = {label.post_id for label in judging}
    others = [label for label in labels if label.post_id not in judges and _has_label(label, rules.companies)]
    old = [label for label in old if label.post_id not in judges]
    texts = [*golden_texts, *(x.text for x in judging), *(x.text for x in others), *(x.text for x in old)]
    stories = story_of_each(texts).tolist()
    judged = len(golden_texts) + len(judging)
    guarded = set(stories[:judged])
    fresh = _outside(others, stories[judged : judged + len(others)], guarded)
    kept = _outside(old, stories[judged + len(others) :], guarded)
    posts = [label for label, _ in kept]
    replayed = rehearsed(posts, len(fresh), rules.rehearsal_ratio, rules.seed, companies=rules.companies)
    names = {label.post_id for label in replayed}
    old_chosen = [(label, story) for label, story in kept if label.post_id in names]
    # A rule's labels are the champion's own opinion: an epoch chosen by them would be the one most like it.
    by_people = [
        (label, story) for label, story in [*fresh, *old_chosen] if _is_a_persons(label, rules.companies)
    ]
    dev_stories = _dev_stories(by_people, rules)
    sides = {
        "train": tuple(label for label, story in fresh if story not in dev_stories),
        "dev": tuple(label for label, story in by_people if story in dev_stories),
        "judging": tuple(judging),
        "rehearsal": tuple(label for label, story in old_chosen if story not in dev_stories),
    }
    return Split(
        **sides,
        left_out={
            "tells a story that judges": len(others) - len(fresh),
            "unknown topic": unknown,
            "without a label": sum(not _has_label(label, rules.companies) for label in labels),
            "old post whose story judges": len(old) - len(kept),
        },
        prints={side: print_of(posts, rules.companies) for side, posts in sides.items()},
        companies=rules.companies,
    )


def _outside(
    posts: Sequence[TrainingLabel], stories: Sequence[int], guarded: set[int]
) -> list[tuple[TrainingLabel, int]]:
    return [(post, story) for post, story in zip(posts, stories, strict=True) if story not in guarded]


def story_of_each(texts: Sequence[str]) -> NDArray[np.int64]:
    """A number a text, equal for texts of one story: fingerprints within 10 bits, chains included.

    Compares all pairs of distinct fingerprints, a block at a time: 20,000 posts take a few seconds.
    """
    prints = np.array([fingerprint(text.lower()) for text in texts], dtype=np.uint64)
    distinct, place = np.unique(prints, return_inverse=True)
    left: list[NDArray[np.int64]] = []
    right: list[NDArray[np.int64]] = []
    for start in range(0, len(distinct), _ROWS_AT_ONCE):
        block = distinct[start : start + _ROWS_AT_ONCE, None] ^ distinct[None, start:]
        rows, columns = np.nonzero(np.bitwise_count(block) <= SAME_STORY_BITS)
        left.append(rows + start)
        right.append(columns + start)
    if not left:
        return np.zeros(0, dtype=np.int64)
    rows, columns = np.concatenate(left), np.concatenate(right)
    graph = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(len(distinct),) * 2)
    _, number = connected_components(graph, directed=False)
    found: NDArray[np.int64] = number[place].astype(np.int64)
    return found


def print_of(posts: Iterable[TrainingLabel], companies: bool = False) -> str:
    """SHA-256 over the sorted ids with their labels: names exactly which labels a side had."""

    def row(post: TrainingLabel) -> str:
        places = f"\t{labelled_spans(post)}" if companies else ""
        return f"{post.post_id}\t{post.sentiment}\t{post.topic}{places}"

    rows = sorted(map(row, posts))
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


def rehearsed(
    rehearsal: Sequence[TrainingLabel], new_posts: int, ratio: float, seed: int, *, companies: bool = False
) -> tuple[TrainingLabel, ...]:
    """At most `ratio` old posts for each new one, in the proportions that the old posts have: of every stratum (channel
    and sentiment) the same share, one at least. Posts without any label only fill up what labelled ones leave.

    As many of each sentiment instead would teach that neutral posts, most of any real channel, are rarer than they are.
    """
    wanted = round(new_posts * ratio)
    strata: dict[tuple[str, str | None], list[TrainingLabel]] = defaultdict(list)
    for post in sorted(rehearsal, key=lambda post: _hash(seed, post.post_id)):
        strata[post.channel, post.sentiment].append(post)
    placed = [
        (place / len(strata[key]), post)
        for key in sorted(strata, key=str)
        for place, post in enumerate(strata[key])
    ]
    placed.sort(key=lambda each: (not _has_label(each[1], companies), each[0]))
    return tuple(post for _, post in placed[:wanted])


def counts_of(posts: Iterable[TrainingLabel]) -> Mapping[str, int]:
    """How many posts a side has by channel and sentiment, for the report."""
    return dict(sorted(Counter(f"{post.channel}: {post.sentiment}" for post in posts).items()))


def _newest_audit(labels: Sequence[TrainingLabel], rules: SplitRules) -> list[TrainingLabel]:
    uniform = [
        label
        for label in labels
        if label.drawn == "audit"
        and _is_a_persons(label, rules.companies)
        and label.labelled_at_ms >= rules.judging_not_before_ms
    ]
    newest_first = sorted(uniform, key=lambda label: (-label.labelled_at_ms, label.post_id))
    return newest_first[: rules.most_judging]


def _dev_stories(free: Sequence[tuple[TrainingLabel, int]], rules: SplitRules) -> set[int]:
    """Whole stories until each stratum has its share; a story belongs to the stratum of its first post."""
    stratum: dict[int, tuple[str, str | None]] = {}
    posts: Counter[int] = Counter()
    for label, story in free:
        stratum.setdefault(story, (label.channel, label.sentiment))
        posts[story] += 1
    first_id: dict[int, str] = {}
    for label, story in free:
        first_id[story] = min(label.post_id, first_id.get(story, label.post_id))
    wanted: Counter[tuple[str, str | None]] = Counter()
    for story, key in stratum.items():
        wanted[key] += posts[story]
    chosen: set[int] = set()
    taken: Counter[tuple[str, str | None]] = Counter()
    for story in sorted(stratum, key=lambda story: _hash(rules.seed, first_id[story])):
        key = stratum[story]
        if taken[key] + posts[story] <= max(1, round(wanted[key] * rules.dev_share)) and wanted[key] > 1:
            chosen.add(story)
            taken[key] += posts[story]
    return chosen


def _with_known_topics(
    labels: Sequence[TrainingLabel], topics: tuple[str, ...]
) -> tuple[list[TrainingLabel], int]:
    """`labels` without topics that the model has no place for, and how many those were."""
    unknown = [bool(label.topic is not None and topics and label.topic not in topics) for label in labels]
    kept = [
        msgspec.structs.replace(label, topic=None) if bad else label
        for label, bad in zip(labels, unknown, strict=True)
    ]
    return kept, sum(unknown)


def _is_a_persons(label: TrainingLabel, companies: bool) -> bool:
    return label.origin != "rule" and _has_label(label, companies)


def _has_label(label: TrainingLabel, companies: bool) -> bool:
    said = label.sentiment is not None or label.topic is not None
    return said or (companies and labelled_spans(label) is not None)


def _hash(seed: int, post_id: str) -> bytes:
    return hashlib.sha256(f"{seed}\t{post_id}".encode("utf-8", "surrogatepass")).digest()
