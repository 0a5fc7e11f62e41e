"""The posts that judge: the golden set from its JSONL, and people's labels that were held out for it.

Must not know models or what is decided from them.
"""

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import msgspec
from msgspec import Struct

from retrain.core.company_labels import labelled_spans
from retrain.core.evaluation import JudgedPost
from retrain.core.labels import TrainingLabel
from streamapp.contracts.encoding import clean_text


class JudgingPosts(Struct, frozen=True, kw_only=True):
    """A frozen written set, and the newest labels of people that were drawn uniformly."""

    golden: tuple[JudgedPost, ...]
    audit: tuple[JudgedPost, ...] = ()


class GoldenSetError(ValueError):
    """A golden set that cannot judge; the text names the file and the line."""


def read_golden(path: Path | None) -> tuple[JudgedPost, ...]:
    """The golden set in `path`, cleaned as served; None: the one that ships. Raises GoldenSetError.

    A line: id, text, channel, any of sentiment and topic, and optionally `company`, the name within the text that may
    be exchanged without changing the sentiment, and `spans`, where companies stand in the cleaned text: pairs of
    characters, [] for none.
    """
    where = "the golden set that ships" if path is None else str(path)
    try:
        raw = path.read_bytes() if path else resources.files("retrain").joinpath("golden.jsonl").read_bytes()
    except OSError as error:
        raise GoldenSetError(f"{where}: {error.strerror}") from error
    posts = tuple(
        _post(where, number, line) for number, line in enumerate(raw.splitlines(), 1) if line.strip()
    )
    twice = {post.id for post in posts if sum(other.id == post.id for other in posts) > 1}
    if twice or not posts:
        raise GoldenSetError(f"{where}: {f'ids that occur twice: {sorted(twice)}' if twice else 'no posts'}")
    return posts


def audit_posts(labels: Iterable[TrainingLabel]) -> tuple[JudgedPost, ...]:
    """Held-out labels as judging posts."""
    return tuple(
        JudgedPost(
            id=label.post_id,
            text=label.text,
            channel=label.channel,
            source=label.source,
            sentiment=label.sentiment,
            topic=label.topic,
            spans=labelled_spans(label),
        )
        for label in labels
    )


def with_name(post: JudgedPost, name: str) -> str:
    """The post's text about another company."""
    return post.text.replace(post.company, name) if post.company else post.text


def texts_of(posts: Sequence[JudgedPost]) -> list[str]:
    """The texts, in order."""
    return [post.text for post in posts]


def _post(where: str, number: int, line: bytes) -> JudgedPost:
    try:
        post = msgspec.json.decode(line, type=JudgedPost)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise GoldenSetError(f"{where}: line {number}: {error}") from error
    text = clean_text(post.text)
    if not text or (post.sentiment is None and post.topic is None):
        raise GoldenSetError(f"{where}: line {number}: needs a text, and a sentiment or a topic")
    if post.company is not None and post.company not in text:
        raise GoldenSetError(f"{where}: line {number}: company {post.company!r} is not in the text")
    if post.spans is not None and text != post.text:
        raise GoldenSetError(
            f"{where}: line {number}: spans count in the cleaned text, which is {text[:60]!r}"
        )
    if not all(0 <= start < end <= len(text) for start, end in post.spans or ()):
        raise GoldenSetError(
            f"{where}: line {number}: spans {list(post.spans or ())} are not within the text"
        )
    return msgspec.structs.replace(post, text=text)
