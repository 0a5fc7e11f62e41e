"""Texts with marked companies from a public set, as labels to train on and to judge by.

Must not know networks. The sets' README says what a record holds; only marks of the kind ORG are companies.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from retrain.core.labels import TrainingLabel
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import Channel, CompanyMention
from streamapp.core.companies import UNLISTED_SYMBOL
from streamapp.core.company_spans import Span

Split = Literal["train", "dev", "test"]
_COMPANY_KIND = "ORG"


class _Record(Struct, frozen=True, kw_only=True):
    id: str
    channel: Channel
    text: str
    split: Split
    entities: tuple[tuple[int, int, str], ...] | None = None


def read_marked(path: Path) -> dict[Split, list[TrainingLabel]]:
    """The marked texts of the set in `path` by split, cleaned, marks moved along; each text once, in the split that it
    is first in of test, dev and train. A text whose marks are lost by cleaning is left out.
    """
    records = [record for record in _records(path) if record.entities is not None]
    found: dict[Split, list[TrainingLabel]] = {"test": [], "dev": [], "train": []}
    seen: set[str] = set()
    for split, labels in found.items():
        for record in records:
            label = _label(record) if record.split == split else None
            if label is not None and label.text not in seen:
                seen.add(label.text)
                labels.append(label)
    return found


def _label(record: _Record) -> TrainingLabel | None:
    text = clean_text(record.text)
    spans = _moved(record, text)
    if not text or spans is None:
        return None
    return TrainingLabel(
        post_id=record.id,
        text=text,
        channel=record.channel,
        companies=tuple(CompanyMention(symbol=UNLISTED_SYMBOL, span=span) for span in spans),
        origin="import",
        labelled_at_ms=0,
    )


def _moved(record: _Record, text: str) -> list[Span] | None:
    """Where the marked names stand in the cleaned text, looked for one after the other."""
    spans: list[Span] = []
    for start, end, kind in sorted(record.entities or ()):
        if kind != _COMPANY_KIND:
            continue
        name = clean_text(record.text[start:end])
        same = text == record.text
        at = start if same else text.find(name, spans[-1][1] if spans else 0)
        if at < 0 or not name:
            return None
        spans.append((at, end) if same else (at, at + len(name)))
    return spans


def _records(path: Path) -> Iterator[_Record]:
    with path.open("rb") as lines:
        yield from (msgspec.json.decode(line, type=_Record) for line in lines)
