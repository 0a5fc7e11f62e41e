"""The queue of posts that wait for a person's label: what was asked for, less what people labelled already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.messages import Channel, DrawnBy, Label, LabelRequest
from streamapp.contracts.raw_record import RawRecord
from streamapp.contracts.topics import LABEL_REQUESTS, LABELS
from streamapp.local.stream_reader import StreamReader
from streamapp.settings import Settings

POLL_SECONDS: Final = 0.5


class LabelQueue:
    """Requests without a person's label, newest first, each post once. `left` falls as posts are done."""

    def __init__(self, requests: Iterable[tuple[int, LabelRequest]], labelled: set[str]) -> None:
        """`requests` with the time of their record; `labelled` are post ids."""
        newest: dict[str, tuple[int, LabelRequest]] = {}
        for at_ms, request in sorted(requests, key=lambda each: each[0]):
            before = newest.get(request.post_id)
            newest[request.post_id] = (at_ms, _merged(before[1], request) if before is not None else request)
        ordered = sorted(newest.values(), key=lambda each: each[0], reverse=True)
        self.waiting: list[LabelRequest] = [
            request for _, request in ordered if request.post_id not in labelled
        ]
        self.left = len(self.waiting)

    @classmethod
    def read(cls, settings: Settings, channel: Channel | None = None, drawn: DrawnBy | None = None) -> Self:
        """The queue as Kafka holds it now. Raises TopicMissingError and the clients' errors."""
        prefix = settings.topics.prefix
        asked, said = prefix + LABEL_REQUESTS.name, prefix + LABELS.name
        records: list[RawRecord] = []
        with StreamReader(settings.broker, [asked, said]) as reader:
            while not reader.at_end():
                records += reader.poll(POLL_SECONDS)
        requests = [
            (record.timestamp_ms, request)
            for record in records
            if record.topic == asked and (request := _request(record)) is not None
        ]
        labelled = {post_id for record in records if record.topic == said and (post_id := _by_person(record))}
        queue = cls(requests, labelled)
        queue.waiting = [
            request
            for request in queue.waiting
            if channel in (None, request.channel) and drawn in (None, request.drawn)
        ]
        queue.left = len(queue.waiting)
        return queue


def _merged(before: LabelRequest, request: LabelRequest) -> LabelRequest:
    """The newer request of a post. Uniformly drawn stays so, and blind: such labels judge the model."""
    if request.drawn == "alert":  # it knows no more of the text than the headline
        request = msgspec.structs.replace(request, text=before.text, source=before.source or request.source)
    if before.drawn == "audit":
        request = msgspec.structs.replace(request, drawn="audit", verdict=None, model_version=None)
    return request


def _request(record: RawRecord) -> LabelRequest | None:
    try:
        return decode(record.value, LabelRequest)
    except DecodeError:
        return None


def _by_person(record: RawRecord) -> str | None:
    try:
        label = decode(record.value, Label)
    except DecodeError:
        return None
    return None if label.origin == "rule" else label.post_id
