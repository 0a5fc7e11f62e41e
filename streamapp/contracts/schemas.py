"""JSON Schemas of every message and of the bundle's manifest, made from the structs themselves.

`python -m streamapp.contracts.schemas docs/schemas` writes them; a test keeps the written ones equal to the code.
Unknown fields are allowed: a reader must bear what a later release adds.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from streamapp.contracts.manifest import Manifest
from streamapp.contracts.topics import TOPICS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MANIFEST_SCHEMA = "manifest"


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each topic with messages by topic name, and of the manifest; topics of raw bytes have none."""
    made = {
        topic.name: _schema(topic.message, topic.summary) for topic in TOPICS if topic.message is not None
    }
    made[MANIFEST_SCHEMA] = _schema(Manifest, "manifest.json of a model bundle.")
    return made


def schema_files() -> dict[str, str]:
    """File name and content of every schema, as they stand under docs/schemas."""
    return {
        f"{name}.json": msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2).decode()
        + "\n"
        for name, schema in schemas().items()
    }


def _schema(message: Any, title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, "title": title, **msgspec.json.schema(message)}


def write_schemas(folder: Path) -> None:
    """Write every schema into `folder`, and remove the schemas of topics that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    files = schema_files()
    for stale in folder.glob("*.json"):
        if stale.name not in files:
            stale.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
