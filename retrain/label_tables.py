"""The tables of the label store, and rows of them as values and back. Knows no connection and no rule."""

import sqlite3
from typing import Any, Final

import msgspec

from retrain.core.labels import KnownPost, LabelEntry
from streamapp.contracts.messages import CompanyMention

SCHEMA_VERSION: Final = 1

SCHEMA: Final = (
    # `digest` is that of the content, so the same label sent twice is one row; the source is where it came first.
    """CREATE TABLE IF NOT EXISTS label (
        digest TEXT PRIMARY KEY,
        post_id TEXT NOT NULL, author TEXT NOT NULL, labelled_at_ms INTEGER NOT NULL, origin TEXT NOT NULL,
        drawn TEXT NOT NULL, text TEXT, channel TEXT, source TEXT, sentiment TEXT, topic TEXT, companies TEXT,
        stored_at_ms INTEGER NOT NULL,
        topic_uuid TEXT NOT NULL, partition INTEGER NOT NULL, record_offset INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS label_by_post ON label (post_id)",
    "CREATE INDEX IF NOT EXISTS label_by_author ON label (author)",
    "CREATE INDEX IF NOT EXISTS label_by_time ON label (stored_at_ms)",
    """CREATE TABLE IF NOT EXISTS post (
        post_id TEXT PRIMARY KEY, text TEXT NOT NULL, channel TEXT NOT NULL, source TEXT, drawn TEXT NOT NULL,
        noted_at_ms INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS post_by_time ON post (noted_at_ms)",
    """CREATE TABLE IF NOT EXISTS position (
        topic_uuid TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        PRIMARY KEY (topic_uuid, partition)
    ) WITHOUT ROWID""",
    # Hashes, so that the list of what was erased names nobody and nothing.
    """CREATE TABLE IF NOT EXISTS erased (
        kind TEXT NOT NULL, hash TEXT NOT NULL, erased_at_ms INTEGER NOT NULL, PRIMARY KEY (kind, hash)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        detail TEXT NOT NULL, topic_uuid TEXT, partition INTEGER, record_offset INTEGER,
        UNIQUE (topic_uuid, partition, record_offset)
    )""",
    "CREATE TABLE IF NOT EXISTS key_used (id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint TEXT NOT NULL)",
)

_FIELDS: Final = LabelEntry.__struct_fields__
ENTRY_COLUMNS: Final = ", ".join(_FIELDS)

_companies: Final = msgspec.json.Decoder(tuple[CompanyMention, ...])


def entry_values(entry: LabelEntry) -> tuple[Any, ...]:
    """The values of ENTRY_COLUMNS."""
    companies = None if entry.companies is None else msgspec.json.encode(entry.companies).decode()
    return (*(getattr(entry, name) for name in _FIELDS[:-1]), companies)


def entry_of(row: sqlite3.Row) -> LabelEntry:
    """The entry in a row that has ENTRY_COLUMNS."""
    fields = {name: row[name] for name in _FIELDS}
    companies = fields.pop("companies")
    return LabelEntry(**fields, companies=None if companies is None else _companies.decode(companies))


def known_of(row: sqlite3.Row) -> KnownPost:
    """What a row of `post` tells of a post."""
    return KnownPost(text=row["text"], channel=row["channel"], source=row["source"], drawn=row["drawn"])
