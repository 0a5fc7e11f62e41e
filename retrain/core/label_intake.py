"""Decides what a record of `labels` is: a label to keep, or one that cannot be used, with the reason.

Must not know Kafka, the store or clocks.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from retrain.core.labels import KnownPost, StoredRecord
from streamapp.contracts.codec import DecodeError, decode
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import Label
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.label_rules import LabelLimits, label_fault


class BadLabel(Struct, frozen=True, kw_only=True):
    """A record that cannot be used, and why. `label` is what could be read of it."""

    record: RawRecord
    reason: str
    label: Label | None = None


def read_label(
    record: RawRecord, limits: LabelLimits, known: Mapping[str, KnownPost]
) -> StoredRecord | BadLabel:
    """The label in a record of `labels`, its text cleaned as everywhere, or why there is none.

    `known` are posts whose text and channel stand elsewhere. Spans that cleaning moved are dropped, not guessed.
    """
    try:
        label = _cleaned(decode(record.value, Label))
    except DecodeError as error:
        return BadLabel(record=record, reason=str(error))
    fault = label_fault(label, limits, label.post_id in known)
    if fault is not None:
        return BadLabel(record=record, reason=fault, label=label)
    received_at_ms = (
        record.timestamp_ms if record.timestamp_ms >= 0 else label.labelled_at_ms
    )  # it may have none
    return StoredRecord(position=record.source_offset, received_at_ms=received_at_ms, label=label)


def lacks_its_post(record: RawRecord) -> str | None:
    """The post id of a label that brings no text or no channel; None for all other records."""
    try:
        label = decode(record.value, Label)
    except DecodeError:
        return None
    return label.post_id if label.text is None or label.channel is None else None


def _cleaned(label: Label) -> Label:
    if label.text is None:
        return label
    text = clean_text(label.text)
    if text == label.text:
        return label
    companies = label.companies and tuple(
        msgspec.structs.replace(each, span=None) for each in label.companies
    )
    return msgspec.structs.replace(label, text=text, companies=companies)
