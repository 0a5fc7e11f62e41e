"""The table of topics: names, who writes and reads, and how long Kafka keeps what delivery rests on."""

import re

import pytest

from streamapp.contracts.topics import DAY_MS, INPUTS, TOPICS, Topic
from streamapp.contracts.topics_page import kept_in_words, topics_page

WRITERS = {"user", "score", "watch", "redrive", "desk", "import", "retrain", "cli"}
READERS = {"user", "score", "watch", "redrive", "desk", "bridge", "retrain", "cli"}
BY_NAME = {topic.name: topic for topic in TOPICS}


def retention_ms(name: str) -> int:
    return int(dict(BY_NAME[name].config)["retention.ms"])


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_topic_has_a_kebab_case_name_writers_and_readers(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", topic.name)
    assert topic.writers
    assert set(topic.writers) <= WRITERS
    assert topic.readers
    assert set(topic.readers) <= READERS
    assert topic.key
    assert topic.summary.endswith(".")


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(TOPICS)


def test_inputs_are_written_by_the_user_and_nobody_else() -> None:
    assert [topic.name for topic in TOPICS if "user" in topic.writers] == [topic.name for topic in INPUTS]
    assert all(topic.writers == ("user",) for topic in INPUTS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_topic_is_kept_for_a_time_or_compacted(topic: Topic) -> None:
    config = dict(topic.config)
    assert ("retention.ms" in config) != (config.get("cleanup.policy") == "compact")


def test_announcements_are_one_log_that_is_never_deleted() -> None:
    assert BY_NAME["model-announcements"].partitions == "one"
    assert retention_ms("model-announcements") == -1


def test_the_ledger_of_redriven_outlives_every_dead_letter() -> None:
    assert retention_ms("redriven") >= retention_ms("dead-letters")


def test_old_trend_state_outlives_a_stalled_worker() -> None:
    config = dict(BY_NAME["subject-state"].config)
    assert int(config["segment.ms"]) < int(config["min.compaction.lag.ms"])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ((("retention.ms", "-1"),), "for ever"),
        ((("retention.ms", str(DAY_MS)),), "1 day"),
        ((("retention.ms", str(7 * DAY_MS)),), "7 days"),
        ((("retention.ms", "5400000"),), "1.5 hours"),
        ((("retention.ms", "60000"),), "1 minute"),
        ((("retention.ms", "500"),), "500 ms"),
        ((("cleanup.policy", "compact"),), "newest of each key"),
        (
            (("cleanup.policy", "compact"), ("min.compaction.lag.ms", "3600000")),
            "newest of each key, and all of the last 1 hour",
        ),
    ],
)
def test_the_page_says_in_words_how_long_records_are_kept(
    config: tuple[tuple[str, str], ...], words: str
) -> None:
    topic = Topic(
        name="x", message=None, key="k", writers=("user",), readers=("user",), config=config, summary="S."
    )
    assert kept_in_words(topic) == words


def test_the_page_has_one_row_a_topic() -> None:
    rows = [line for line in topics_page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [topic.name for topic in TOPICS]
