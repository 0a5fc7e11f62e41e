"""Labelled texts for training and testing: read, cleaned, merged by text, and kept apart from every test
text.

Must not know networks.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from datasketch import MinHash, MinHashLSH
from msgspec import Struct

from streamapp.contracts.encoding import clean_text

Split = Literal["train", "dev", "test"]

# Share of a training split that becomes dev where the publisher made none.
DEV_SHARE = 0.07
NEAR_DUPLICATE_JACCARD = 0.8
# 16 bands of 4 rows: a pair at the limit is a candidate with probability 0.9998, and then compared exactly.
_BANDS, _ROWS = 16, 4
_SHINGLE_CHARS = 5
_IGNORED = re.compile(r"https?://\S+|^rt @\w+:?|[^a-z]+")


class Example(Struct, frozen=True):
    """One text with the labels it has. `polar_only`: its set knows no neutral, so a neutral answer is not
    judged.
    """

    text: str
    source: str
    split: Split
    sentiment: str | None = None
    topic: str | None = None
    polar_only: bool = False


class _Record(Struct, frozen=True, kw_only=True):
    """What we read of a line of a set (the sets' README says what else is there)."""

    id: str
    text: str
    split: Split
    sentiment: str | None = None
    topic: str | None = None


class SourceSet(Struct, frozen=True):
    """A data set that may be trained on, with what its licence asks for."""

    name: str
    licence: str
    attribution: str
    polar_only: bool = False
    most_train_a_label: int | None = None


def read_examples(folder: Path, source: SourceSet) -> list[Example]:
    """The labelled examples of `source`, cleaned; empty texts and unlabelled records are left out.

    Dev comes from the set itself or, where it has none, is a fixed part of train chosen by the hash of the
    id.
    """
    records = list(_records(folder / f"{source.name}.jsonl"))
    has_dev = any(record.split == "dev" for record in records)
    examples = []
    taken: Counter[str | None] = Counter()
    for record in records:
        text = clean_text(record.text)
        if not text or (record.sentiment is None and record.topic is None):
            continue
        split = record.split
        if split == "train" and not has_dev and _share(record.id) < DEV_SHARE:
            split = "dev"
        if split == "train":
            taken[record.sentiment] += 1
            if source.most_train_a_label is not None and taken[record.sentiment] > source.most_train_a_label:
                continue
        examples.append(Example(text, source.name, split, record.sentiment, record.topic, source.polar_only))
    return examples


def without_test_texts(examples: Sequence[Example]) -> tuple[list[Example], int]:
    """`examples` without the train and dev texts that repeat a test text, and dev texts apart from train.

    A repeat is the same letters (links, digits, case and marks apart) or a Jaccard similarity of 0.8 between
    five-letter shingles (candidates by MinHash, Broder 1997, then compared).
    Returns what is kept and how many were dropped.
    """
    kept = [example for example in examples if example.split == "test"]
    dropped = 0
    guarded: Sequence[Example] = kept[:]
    for split in ("dev", "train"):
        finder = _NearDuplicates(example.text for example in guarded)
        fresh = [example for example in examples if example.split == split]
        clean = [example for example in fresh if not finder.knows(example.text)]
        dropped += len(fresh) - len(clean)
        kept += clean
        guarded = [*guarded, *clean]
    return kept, dropped


def merged(examples: Iterable[Example]) -> list[Example]:
    """One example a text and split: labels of two sets are joined, a label on which they disagree is
    dropped.
    """
    by_text: dict[tuple[str, str], Example] = {}
    for example in examples:
        key = (example.split, letters(example.text))
        known = by_text.get(key)
        by_text[key] = example if known is None else _joined(known, example)
    return [example for example in by_text.values() if example.sentiment or example.topic]


def letters(text: str) -> str:
    """What of a text counts when two are compared: lower-case letters without links, digits and marks."""
    return _IGNORED.sub(" ", text.lower()).strip()


def fingerprint(examples: Iterable[Example]) -> str:
    """SHA-256 over the examples, order apart: names the exact training data."""
    rows = sorted(f"{e.split}\t{e.text}\t{e.sentiment}\t{e.topic}\t{e.polar_only}" for e in examples)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _joined(first: Example, second: Example) -> Example:
    def label(one: str | None, other: str | None) -> str | None:
        return one or other if one is None or other is None or one == other else None

    return Example(
        text=first.text,
        source=first.source,
        split=first.split,
        sentiment=label(first.sentiment, second.sentiment),
        topic=label(first.topic, second.topic),
        polar_only=first.polar_only and second.polar_only,
    )


def _records(path: Path) -> Iterator[_Record]:
    with path.open("rb") as lines:
        yield from (msgspec.json.decode(line, type=_Record) for line in lines)


def _share(identifier: str) -> float:
    return int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:4], "big") / 2**32


class _NearDuplicates:
    def __init__(self, texts: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._similar = MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))
        for text in texts:
            plain = letters(text)
            if plain not in self._exact:
                self._exact.add(plain)
                self._similar.insert(plain, _minhash(plain))

    def knows(self, text: str) -> bool:
        plain = letters(text)
        if plain in self._exact:
            return True
        mine = _shingles(plain)
        candidates = (_shingles(candidate) for candidate in self._similar.query(_minhash(plain)))
        return any(len(mine & other) >= NEAR_DUPLICATE_JACCARD * len(mine | other) for other in candidates)


def _minhash(plain: str) -> MinHash:
    hashed = MinHash(num_perm=_BANDS * _ROWS)
    hashed.update_batch([shingle.encode() for shingle in _shingles(plain)])
    return hashed


def _shingles(plain: str) -> set[str]:
    last = max(1, len(plain) - _SHINGLE_CHARS + 1)
    return {plain[start : start + _SHINGLE_CHARS] for start in range(last)}
