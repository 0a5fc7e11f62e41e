"""Records of `labels` as the tests of the store and of its readers make them."""

from typing import Any

from retrain.core.labels import StoredRecord
from streamapp.contracts.messages import Label, SourceOffset

UUID = "kZ3yQn0hT1mJ7w2bXc9LrA"


def label(post_id: str = "n-1", at_ms: int = 1_000, **said: Any) -> Label:
    """A label by ana that has a text; `said` overrides any field."""
    fields: dict[str, Any] = {
        "text": "Shares of the bank fall",
        "channel": "news",
        "author": "ana",
        "origin": "person",
        **said,
    }
    if not {"sentiment", "topic", "companies"} & said.keys():
        fields["sentiment"] = "negative"
    return Label(post_id=post_id, labelled_at_ms=at_ms, **fields)


def record(offset: int, message: Label | None = None, partition: int = 0, uuid: str = UUID) -> StoredRecord:
    """A label as it was read at an offset, a second after it was made."""
    message = message or label()
    return StoredRecord(
        position=SourceOffset(uuid, partition, offset),
        received_at_ms=message.labelled_at_ms + 1_000,
        label=message,
    )
