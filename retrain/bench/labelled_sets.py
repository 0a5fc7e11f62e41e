"""Labelled sets as posts, and the sides of an experiment: what judges, what may be asked about, what is replayed.

A set is a file NAME.jsonl; a line has id, channel, text, split and any of sentiment and topic. Must not know models.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from retrain.core.dataset import story_of_each
from retrain.core.labels import TrainingLabel
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import Channel, Sentiment

# A "story" of more posts is a chain of near copies that tells nothing apart: it does not judge.
LARGEST_JUDGING_STORY = 20


class LabelledSetError(ValueError):
    """A set that cannot be used; the text names the file and the line."""


class SetSizes(Struct, frozen=True, kw_only=True):
    """How many posts judge at most: of the new channel (never more than a third), of an old set by sentiment and by
    topic.
    """

    channel: int = 1_500
    old: int = 2_500
    old_topic: int = 1_000


class JudgedSet(Struct, frozen=True, kw_only=True):
    """Posts that judge every model of an experiment by one head and train none."""

    name: str
    head: str
    posts: tuple[TrainingLabel, ...]


class Sides(Struct, frozen=True, kw_only=True):
    """The posts of one channel's experiment. No story is both judged and anywhere else."""

    judged: tuple[JudgedSet, ...]
    pool: tuple[TrainingLabel, ...]
    old: tuple[TrainingLabel, ...]


class _Line(Struct, frozen=True, kw_only=True):
    id: str
    channel: Channel
    text: str
    split: str
    sentiment: Sentiment | None = None
    topic: str | None = None


class _SetPost(Struct, frozen=True):
    label: TrainingLabel
    split: str


def sides_of(data: Path, channel: str, old: Sequence[str], sizes: SetSizes) -> Sides:
    """The sides for the set `channel`, whose own splits do not matter, and the sets `old`, whose `test` judges.

    Of the channel whole stories judge, chosen by a hash, until they are `sizes.channel` posts. Raises LabelledSetError.
    """
    fresh = [post.label for post in read_set(data, channel) if post.label.sentiment is not None]
    olds = {name: read_set(data, name) for name in old}
    judged = [
        JudgedSet(
            name=channel, head="sentiment", posts=_whole_stories(fresh, min(sizes.channel, len(fresh) // 3))
        )
    ]
    for name, posts in olds.items():
        tests = [post.label for post in posts if post.split == "test"]
        for head, most in (("sentiment", sizes.old), ("topic", sizes.old_topic)):
            having = [post for post in tests if getattr(post, head) is not None]
            if having:
                judged.append(JudgedSet(name=name, head=head, posts=tuple(_some(having, most))))
    replayed = [
        post.label
        for posts in olds.values()
        for post in posts
        if post.split == "train" and post.label.sentiment is not None
    ]
    names = {post.post_id for each in judged for post in each.posts}
    pool = [post for post in fresh if post.post_id not in names]
    guards = [post.text for each in judged for post in each.posts]
    stories = story_of_each([*guards, *(x.text for x in pool), *(x.text for x in replayed)]).tolist()
    guarded = set(stories[: len(guards)])
    apart = [story not in guarded for story in stories[len(guards) :]]
    pool_apart = tuple(post for post, free in zip(pool, apart[: len(pool)], strict=True) if free)
    if not judged[0].posts or not pool_apart:
        raise LabelledSetError(f"{data / channel}.jsonl: too few stories to judge some and learn from others")
    return Sides(
        judged=tuple(judged),
        pool=pool_apart,
        old=tuple(post for post, free in zip(replayed, apart[len(pool) :], strict=True) if free),
    )


def read_set(data: Path, name: str) -> list[_SetPost]:
    """The posts of a set, cleaned, with the labels they have; each text once, without those that have none.

    Raises LabelledSetError where the file is absent or a line is none of a set.
    """
    path = data / f"{name}.jsonl"
    if not path.is_file():
        raise LabelledSetError(f"{path}: absent; the folder with the labelled sets must hold it")
    by_text: dict[str, _SetPost] = {}
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = msgspec.json.decode(raw, type=_Line)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise LabelledSetError(f"{path}: line {number}: {error}") from error
        text = clean_text(line.text)
        if text and (line.sentiment is not None or line.topic is not None):
            by_text.setdefault(text, _SetPost(_label(name, line, text), line.split))
    if not by_text:
        raise LabelledSetError(f"{path}: no labelled posts")
    return list(by_text.values())


def digest_of(data: Path, names: Sequence[str]) -> str:
    """SHA-256 over the files of the sets: names exactly what was measured on. Raises LabelledSetError."""
    digest = hashlib.sha256()
    for name in names:
        path = data / f"{name}.jsonl"
        if not path.is_file():
            raise LabelledSetError(f"{path}: absent; the folder with the labelled sets must hold it")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _label(name: str, line: _Line, text: str) -> TrainingLabel:
    return TrainingLabel(
        post_id=f"{name}/{line.id}",
        text=text,
        channel=line.channel,
        sentiment=line.sentiment,
        topic=line.topic,
        origin="import",
        labelled_at_ms=0,
    )


def _whole_stories(posts: Sequence[TrainingLabel], wanted: int) -> tuple[TrainingLabel, ...]:
    stories = story_of_each([post.text for post in posts]).tolist()
    sizes = Counter(stories)
    first: dict[int, str] = {}
    for post, story in zip(posts, stories, strict=True):
        first[story] = min(post.post_id, first.get(story, post.post_id))
    chosen: set[int] = set()
    taken = 0
    for story in sorted(first, key=lambda story: _hash(first[story])):
        if sizes[story] <= LARGEST_JUDGING_STORY and taken + sizes[story] <= wanted:
            chosen.add(story)
            taken += sizes[story]
    return tuple(post for post, story in zip(posts, stories, strict=True) if story in chosen)


def _some(posts: Sequence[TrainingLabel], most: int) -> list[TrainingLabel]:
    return sorted(posts, key=lambda post: _hash(post.post_id))[:most]


def _hash(post_id: str) -> bytes:
    return hashlib.sha256(f"judges\t{post_id}".encode("utf-8", "surrogatepass")).digest()
