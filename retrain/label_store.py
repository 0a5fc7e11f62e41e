"""Keeps every label that came, its history, what was erased and who did what, in one SQLite file.

WAL with synchronous=FULL: what `add` returned from survives a power cut. One transaction holds a batch and how far its
topics were read, so a crash loses and doubles nothing. Decides nothing about labels: core/labels.py does.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from retrain.author_key import AuthorKey, KeyFileError, load_author_key
from retrain.core.labels import KnownPost, LabelEntry, StoredRecord, TrainingLabel, make_entry, settle
from retrain.label_tables import ENTRY_COLUMNS, SCHEMA, SCHEMA_VERSION, entry_of, entry_values, known_of
from streamapp.contracts.messages import Label, LabelOrigin

DAY_MS: Final = 86_400_000
BUSY_TIMEOUT_SECONDS: Final = 30.0
ERASER: Final = "service:erase"

SourcePartition = tuple[str, int]
Clock = Callable[[], float]


class LabelStoreError(RuntimeError):
    """The store could not read or write; nothing of the call was kept. The text names the file."""


class NotedPost(Struct, frozen=True, kw_only=True):
    """A post that a label request told of."""

    post_id: str
    post: KnownPost


class AuditRecord(Struct, frozen=True, kw_only=True):
    """Something that a person or a part of ours did. `actor` is a name until it is stored.

    `source` is the record that told of it: (topic UUID, partition, offset), stored once.
    """

    at_ms: int
    actor: str
    action: str
    detail: str
    source: tuple[str, int, int] | None = None


class Added(Struct, frozen=True, kw_only=True):
    """What became of a batch: new labels by origin, labels that were known already, and labels of erased things."""

    stored: dict[LabelOrigin, int]
    repeated: int
    erased: int


class Erased(Struct, frozen=True, kw_only=True):
    """What an erasure took away. `wiped` is False while a reader keeps old pages of the file alive: erase again."""

    labels: int
    posts: int
    wiped: bool


class LabelStore:
    """The store in the file at `path`; its key for author ids is `<path>.key`. One object a thread.

    Several processes may have it open; writes wait for each other. Raises LabelStoreError, or KeyFileError.
    """

    def __init__(self, path: Path, unlabelled_days: float = 30.0, clock: Clock = time.time) -> None:
        self.path = path
        self._clock = clock
        self._unlabelled_ms = int(unlabelled_days * DAY_MS)
        with self._failures():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_private(path)
            self._database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            self._prepare()
        self._key: AuthorKey = load_author_key(path.with_name(path.name + ".key"))
        self._claim_key()

    def add(
        self,
        records: Sequence[StoredRecord],
        posts: Sequence[NotedPost] = (),
        positions: Mapping[SourcePartition, int] | None = None,
        audit: Sequence[AuditRecord] = (),
    ) -> Added:
        """Keeps a batch in one transaction: all of it or nothing.

        A label whose content is known, whatever record brings it, is not stored again. `positions` are the next
        offsets to read (those of `records` are derived where it is None); they never go back. What was erased is
        refused: labels and texts of an erased post for ever, labels that an author made before the erasure.
        """
        now_ms = self._now_ms()
        stored: dict[LabelOrigin, int] = {}
        erased = 0
        with self._transaction():
            for noted in posts:
                self._note(noted, now_ms)
            for record in records:
                entry = make_entry(record, self._author(record.label))
                if self._was_erased(entry.post_id, entry.author, entry.labelled_at_ms):
                    erased += 1
                elif self._insert(entry, record, now_ms):
                    stored[entry.origin] = stored.get(entry.origin, 0) + 1
            for each in audit:
                self._insert_audit(each)
            self._advance(_next_offsets(records) if positions is None else positions)
            self._forget_unlabelled(now_ms)
        return Added(stored=stored, repeated=len(records) - sum(stored.values()) - erased, erased=erased)

    def positions(self) -> dict[SourcePartition, int]:
        """The next offset to read of every (topic UUID, partition) that was ever stored from."""
        rows = self._rows("SELECT topic_uuid, partition, next_offset FROM position")
        return {(row["topic_uuid"], row["partition"]): row["next_offset"] for row in rows}

    def known_posts(self, post_ids: Sequence[str]) -> dict[str, KnownPost]:
        """Text and channel of those of `post_ids` that a label request or an earlier label told of."""
        found: dict[str, KnownPost] = {}
        for post_id in dict.fromkeys(post_ids):
            entries = self.history(post_id)
            known = self._known(post_id)
            label = settle(entries, known) if entries else None
            if known is not None:
                found[post_id] = known
            elif label is not None:
                found[post_id] = KnownPost(text=label.text, channel=label.channel, source=label.source)
        return found

    def current(self) -> list[TrainingLabel]:
        """What holds for every labelled post, by post id."""
        known = {row["post_id"]: known_of(row) for row in self._rows("SELECT * FROM post")}
        rows = self._rows(f"SELECT {ENTRY_COLUMNS} FROM label ORDER BY post_id, digest")
        settled = (
            settle(list(entries), known.get(post_id))
            for post_id, entries in groupby(map(entry_of, rows), key=lambda entry: entry.post_id)
        )
        return [label for label in settled if label is not None]

    def history(self, post_id: str | None = None) -> list[LabelEntry]:
        """Every label of a post (of all posts where None), oldest first."""
        chosen, values = ("WHERE post_id = ?", (post_id,)) if post_id is not None else ("", ())
        order = "ORDER BY labelled_at_ms, digest"
        return [
            entry_of(row) for row in self._rows(f"SELECT {ENTRY_COLUMNS} FROM label {chosen} {order}", values)
        ]

    def training_label_count_since(self, when_ms: int) -> int:
        """How many posts people or imports labelled since (by the time of storing); rules start no training."""
        asked = (
            "SELECT count(DISTINCT post_id) AS posts FROM label WHERE stored_at_ms > ? AND origin != 'rule'"
        )
        return int(self._rows(asked, (when_ms,))[0]["posts"])

    def count_by_origin(self) -> dict[LabelOrigin, int]:
        """How many labels the history holds, by origin."""
        rows = self._rows("SELECT origin, count(*) AS labels FROM label GROUP BY origin")
        return {row["origin"]: row["labels"] for row in rows}

    def erase_post(self, post_id: str, actor: str = ERASER) -> Erased:
        """Takes a post away, text, labels and all, and refuses it from now on. `actor` is who asked for it."""
        return self._erase(("post", self._key.hash("post", post_id)), "post_id", post_id, actor)

    def erase_author(self, author: str, actor: str = ERASER) -> Erased:
        """Takes an author's labels away; those that were made before now stay refused. `actor` is who asked for it."""
        hashed = self._key.author(author)
        return self._erase(("author", hashed), "author", hashed, actor)

    def posts_of(self, author: str) -> frozenset[str]:
        """The ids of all posts that this person labelled."""
        rows = self._rows("SELECT DISTINCT post_id FROM label WHERE author = ?", (self._key.author(author),))
        return frozenset(row["post_id"] for row in rows)

    def was_erased(self, label: Label) -> bool:
        """Whether `add` would refuse this label because its post or author was erased."""
        return self._was_erased(label.post_id, self._author(label), label.labelled_at_ms)

    def write_audit(self, actor: str, action: str, detail: str, at_ms: int) -> None:
        """Notes who did what. A person's name is stored as its hash; `service:...` is no person and stays."""
        with self._transaction():
            self._insert_audit(AuditRecord(at_ms=at_ms, actor=actor, action=action, detail=detail))

    def audit(self, actor: str | None = None, since_ms: int = 0) -> list[AuditRecord]:
        """Who did what, oldest first, labels included (by the time of labelling); of one person where named."""
        rows = self._rows(
            "SELECT at_ms, actor, action, detail FROM audit WHERE at_ms >= :since UNION ALL "
            "SELECT labelled_at_ms, author, 'labelled', post_id FROM label WHERE labelled_at_ms >= :since "
            "ORDER BY 1, 3, 4",
            {"since": since_ms},
        )
        wanted = None if actor is None else self._key.author(actor)
        return [AuditRecord(**dict(row)) for row in rows if wanted is None or row["actor"] == wanted]

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA secure_delete = ON")  # erased text must not stay in free pages
        with self._transaction():
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                raise LabelStoreError(f"label store {self.path}: made by another release (schema {version})")
            for statement in SCHEMA:
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _claim_key(self) -> None:
        with self._transaction():
            self._database.execute("INSERT OR IGNORE INTO key_used VALUES (1, ?)", (self._key.fingerprint,))
            used = self._database.execute("SELECT fingerprint FROM key_used").fetchone()[0]
        if used != self._key.fingerprint:
            raise KeyFileError(
                f"key file {self.path}.key is not the one that label store {self.path} was written with: put that back"
            )

    def _author(self, label: Label) -> str:
        return label.author if label.origin == "rule" else self._key.author(label.author)

    def _was_erased(self, post_id: str, author_hash: str, labelled_at_ms: int) -> bool:
        post = ("post", self._key.hash("post", post_id))
        author = ("author", author_hash, labelled_at_ms)
        return bool(
            self._rows("SELECT 1 FROM erased WHERE kind = ? AND hash = ?", post)
            or self._rows("SELECT 1 FROM erased WHERE kind = ? AND hash = ? AND erased_at_ms >= ?", author)
        )

    def _insert(self, entry: LabelEntry, record: StoredRecord, now_ms: int) -> bool:
        values = (entry.digest, *entry_values(entry), now_ms, *msgspec.structs.astuple(record.position))
        marks = ", ".join("?" * len(values))
        return self._database.execute(f"INSERT OR IGNORE INTO label VALUES ({marks})", values).rowcount > 0

    def _known(self, post_id: str) -> KnownPost | None:
        rows = self._rows("SELECT * FROM post WHERE post_id = ?", (post_id,))
        return known_of(rows[0]) if rows else None

    def _note(self, noted: NotedPost, now_ms: int) -> None:
        if self._rows(
            "SELECT 1 FROM erased WHERE kind = 'post' AND hash = ?", (self._key.hash("post", noted.post_id),)
        ):
            return
        # Uniformly drawn stays so, whatever else brought the post up; an alert knows no more than the headline.
        self._database.execute(
            "INSERT INTO post VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (post_id) DO UPDATE SET "
            "text = CASE WHEN excluded.drawn = 'alert' THEN text ELSE excluded.text END, "
            "channel = excluded.channel, source = coalesce(excluded.source, source), "
            "noted_at_ms = excluded.noted_at_ms, "
            "drawn = CASE WHEN drawn = 'audit' THEN drawn ELSE excluded.drawn END",
            (noted.post_id, noted.post.text, noted.post.channel, noted.post.source, noted.post.drawn, now_ms),
        )

    def _insert_audit(self, each: AuditRecord) -> None:
        source = each.source or (None, None, None)
        self._database.execute(
            "INSERT OR IGNORE INTO audit (at_ms, actor, action, detail, topic_uuid, partition, record_offset) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (each.at_ms, self._key.author(each.actor), each.action, each.detail, *source),
        )

    def _advance(self, positions: Mapping[SourcePartition, int]) -> None:
        self._database.executemany(
            "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT (topic_uuid, partition) "
            "DO UPDATE SET next_offset = max(next_offset, excluded.next_offset)",
            [(*partition, offset) for partition, offset in positions.items()],
        )

    def _forget_unlabelled(self, now_ms: int) -> None:
        self._database.execute(
            "DELETE FROM post WHERE noted_at_ms < ? AND post_id NOT IN (SELECT post_id FROM label)",
            (now_ms - self._unlabelled_ms,),
        )

    def _erase(self, erased: tuple[str, str], column: str, value: str, actor: str) -> Erased:
        kind, hashed = erased
        now_ms = self._now_ms()
        with self._transaction():
            labels = self._database.execute(f"DELETE FROM label WHERE {column} = ?", (value,)).rowcount
            posts = 0
            if kind == "post":
                posts = self._database.execute("DELETE FROM post WHERE post_id = ?", (value,)).rowcount
            self._database.execute("INSERT OR REPLACE INTO erased VALUES (?, ?, ?)", (kind, hashed, now_ms))
            done = AuditRecord(at_ms=now_ms, actor=actor, action=f"erased {kind}", detail=hashed)
            self._insert_audit(done)
        # The log of changes still holds the old pages until it is written back and cut to nothing.
        with self._failures():
            busy = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return Erased(labels=labels, posts=posts, wiped=not busy)

    def _rows(self, query: str, values: Any = ()) -> list[sqlite3.Row]:
        with self._failures():
            return self._database.execute(query, values).fetchall()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._failures():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LabelStoreError(f"label store {self.path}: {error}") from error


def _next_offsets(records: Sequence[StoredRecord]) -> dict[SourcePartition, int]:
    following: dict[SourcePartition, int] = {}
    for record in records:
        partition = (record.position.topic_uuid, record.position.partition)
        following[partition] = max(following.get(partition, 0), record.position.offset + 1)
    return following


def _make_private(path: Path) -> None:
    """Makes the file before SQLite would make it for all to read; one that exists is not touched.

    To open and close the file of a database beside SQLite drops every lock that this process holds on it: another
    process then takes itself for the last reader, removes the log of writes, and what is stored after that is lost.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
