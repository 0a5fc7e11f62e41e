"""A file of labels on its way to the topic `labels`: read, checked, completed from known posts, sent.

Label by label: what cannot be used is refused with its place and reason, the rest goes in.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from streamapp.cluster.kafka_clients import open_producer, read_topic_to_end
from streamapp.contracts.codec import DecodeError, decode, encode
from streamapp.contracts.messages import Channel, Label, LabelRequest, ScoredPost
from streamapp.contracts.topics import LABEL_REQUESTS, LABELS, SCORED_POSTS
from streamapp.core.label_file import LabelFormat, read_label_file
from streamapp.core.label_rows import ImportRules, RefusedRow, read_row
from streamapp.core.label_rules import LabelLimits, label_fault
from streamapp.settings import Settings

ACK_TIMEOUT_SECONDS: Final = 120
SENDS_IN_FLIGHT: Final = 500

M = TypeVar("M")


class KnownText(Struct, frozen=True, kw_only=True):
    """What a topic of ours tells of a post."""

    text: str
    channel: Channel
    source: str | None


class PreparedLabels(Struct, frozen=True, kw_only=True):
    """A file that was read and checked."""

    format: LabelFormat
    labels: list[Label]
    refused: list[RefusedRow]


class Imported(Struct, frozen=True, kw_only=True):
    """What became of a file, for programs."""

    format: LabelFormat
    dry_run: bool
    sent: int
    refused: tuple[RefusedRow, ...]


def prepare_labels(
    settings: Settings, content: bytes, format_: LabelFormat | None, rules: ImportRules, limits: LabelLimits
) -> PreparedLabels:
    """The labels of a file that can be used, with text and channel, and those that cannot.

    Kafka is asked only for entries that lack a text or a channel. Raises LabelFileError and the clients' errors.
    """
    found, rows = read_label_file(content, format_)
    read = [(row.where, row if isinstance(row, RefusedRow) else read_row(row, rules)) for row in rows]
    lacking = {
        label.post_id
        for _, label in read
        if isinstance(label, Label) and (label.text is None or label.channel is None)
    }
    known = known_texts(settings, lacking) if lacking else {}
    labels: list[Label] = []
    refused: list[RefusedRow] = []
    for where, label in read:
        if isinstance(label, RefusedRow):
            refused.append(label)
            continue
        label = completed(label, known.get(label.post_id))  # noqa: PLW2901  # the same label, whole
        fault = label_fault(label, limits)
        if fault is None:
            labels.append(label)
        else:
            refused.append(RefusedRow(where=where, reason=fault))
    return PreparedLabels(format=found, labels=apart_in_time(labels), refused=refused)


def known_texts(settings: Settings, post_ids: set[str]) -> dict[str, KnownText]:
    """Text and channel of those posts that the queue or the scored posts tell of; a whole text over a headline."""
    prefix, keys = settings.topics.prefix, {post_id.encode() for post_id in post_ids}
    known: dict[str, KnownText] = {}
    for record in read_topic_to_end(settings.broker, prefix + LABEL_REQUESTS.name):
        if record.key in keys:
            request = _decoded(record.value, LabelRequest)
            if request is not None:
                known[request.post_id] = KnownText(
                    text=request.text, channel=request.channel, source=request.source
                )
    for record in read_topic_to_end(settings.broker, prefix + SCORED_POSTS.name):
        if record.key in keys:
            scored = _decoded(record.value, ScoredPost)
            if scored is not None:
                post = scored.post
                known[post.id] = KnownText(text=post.text, channel=post.channel, source=post.source)
    return known


def completed(label: Label, known: KnownText | None) -> Label:
    """The label with what it lacks of text, channel and source from the known post."""
    if known is None:
        return label
    return msgspec.structs.replace(
        label,
        text=label.text if label.text is not None else known.text,
        channel=label.channel or known.channel,
        source=label.source or known.source,
    )


def apart_in_time(labels: Iterable[Label]) -> list[Label]:
    """The labels, those of one post and moment a millisecond apart, so that the last of a file is the newest."""
    seen: dict[tuple[str, int], list[Label]] = {}
    apart = []
    for label in labels:
        same = seen.setdefault((label.post_id, label.labelled_at_ms), [])
        if label not in same:
            same.append(label)
        at_ms = label.labelled_at_ms + same.index(label)
        apart.append(msgspec.structs.replace(label, labelled_at_ms=at_ms))
    return apart


def send_labels(settings: Settings, labels: Sequence[Label]) -> None:
    """Sends them in order and waits until every in-sync replica has each. Raises the client's errors."""
    if not labels:
        return
    producer = open_producer(settings.broker)
    topic = settings.topics.prefix + LABELS.name
    try:
        for start in range(0, len(labels), SENDS_IN_FLIGHT):
            sends = [
                producer.send(topic, key=label.post_id.encode(), value=encode(label))
                for label in labels[start : start + SENDS_IN_FLIGHT]
            ]
            for acknowledged in sends:
                acknowledged.get(timeout=ACK_TIMEOUT_SECONDS)
    finally:
        producer.close(timeout=ACK_TIMEOUT_SECONDS)


def _decoded(value: bytes | None, message: type[M]) -> M | None:
    try:
        return decode(value, message)
    except DecodeError:
        return None  # not ours to judge: score and watch wrote it, and a label without its post is refused
