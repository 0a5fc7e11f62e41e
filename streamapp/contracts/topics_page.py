"""The table of topics as a page for people: docs/topics.md.

`python -m streamapp.contracts.topics_page docs/topics.md` writes it; a test keeps it equal to contracts/topics.py.
"""

import sys
from pathlib import Path

from streamapp.contracts.topics import DAY_MS, HOUR_MS, TOPICS, Topic

_MINUTE_MS = 60_000
_HEAD = """# Topics

Made from `streamapp/contracts/topics.py` by `make schemas`; do not edit.

`streamapp topics create` makes them. Partitions "as set" means `topics.partitions` of the settings. A prefix
(`topics.prefix`) stands before each of our names, not before those of the user's inputs. Every JSON message carries a
`contract_version`; its schema is under `schemas/`, examples of its edge cases under `tests/contracts/examples/`.

| topic | what | message | key | partitions | kept | written by | read by |
|---|---|---|---|---|---|---|---|
"""


def topics_page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(topic) for topic in TOPICS)


def _row(topic: Topic) -> str:
    message = f"[schema](schemas/{topic.name}.json)" if topic.message is not None else "bytes"
    cells = (
        f"`{topic.name}`",
        topic.summary,
        message,
        topic.key,
        "1" if topic.partitions == "one" else "as set",
        kept_in_words(topic),
        ", ".join(topic.writers),
        ", ".join(topic.readers),
    )
    return f"| {' | '.join(cells)} |\n"


def kept_in_words(topic: Topic) -> str:
    """How long Kafka keeps records of the topic."""
    config = dict(topic.config)
    if config.get("cleanup.policy") == "compact":
        lag_ms = int(config.get("min.compaction.lag.ms", "0"))
        return "newest of each key" + (f", and all of the last {_in_words(lag_ms)}" if lag_ms else "")
    retention_ms = int(config["retention.ms"])
    return "for ever" if retention_ms < 0 else _in_words(retention_ms)


def _in_words(duration_ms: int) -> str:
    for unit_ms, unit in ((DAY_MS, "day"), (HOUR_MS, "hour"), (_MINUTE_MS, "minute")):
        if duration_ms >= unit_ms:
            count = duration_ms / unit_ms
            return f"{count:g} {unit}{'' if count == 1 else 's'}"
    return f"{duration_ms} ms"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(topics_page(), encoding="utf-8")
