"""A recorded stream lands in the input topics as it was, dated anew; alerts and trends are read back as text."""

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from streamapp.cli.main import app
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import SentimentCounts
from streamapp.settings import dump_settings
from tests.harness.cluster import TestCluster
from tests.unit.local.demo_records import alert_message, trend_message

pytestmark = pytest.mark.broker

MINUTE_MS = 60_000
HOSTILE = "\x1b[2J[red]Acme[/red] plunges"


def run(test: TestCluster, folder: Path, command: str, *arguments: str) -> Result:
    config = folder / "settings.json"
    config.write_text(dump_settings(test.settings), encoding="utf-8")
    return CliRunner().invoke(app, [command, *arguments, "--config", str(config)])


def stream(folder: Path, number: int = 200) -> Path:
    path = folder / "stream.jsonl.gz"
    posts = [
        {
            "id": f"p{i}", "channel": "chat" if i % 4 == 0 else "news", "text": f"Post {i}", "tickers": ["LEH"],
            "published_at": f"2008-09-15T06:{i // 60:02d}:{i % 60:02d}Z",
        }
        for i in range(number)
    ]  # fmt: skip
    path.write_bytes(gzip.compress(b"".join(json.dumps(post).encode() + b"\n" for post in posts)))
    return path


def values(test: TestCluster, topic: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record.value or b"") for record in test.read(topic)]


def test_every_post_arrives_once_on_its_channel_and_the_last_one_is_dated_now(
    cluster: Callable[..., TestCluster], tmp_path: Path
) -> None:
    test = cluster()
    before_ms = int(time.time() * 1000)
    result = run(
        test, tmp_path, "replay", str(stream(tmp_path)), "--speed", "0", "--json", str(tmp_path / "r.json")
    )
    assert result.exit_code == 0, result.output
    news, chat = values(test, "news"), values(test, "chat")
    assert (len(news), len(chat)) == (150, 50)
    assert {post["id"] for post in news + chat} == {f"p{i}" for i in range(200)}
    assert all(post["symbols"] == ["LEH"] for post in news)
    times = sorted(post["published_at"] for post in news + chat)
    from streamapp.core.payload_time import parse_time

    newest = parse_time(times[-1], "rfc3339")
    assert newest is not None
    assert before_ms <= newest <= int(time.time() * 1000)
    assert newest - (parse_time(times[0], "rfc3339") or 0) == 199_000
    assert all(record.timestamp_ms >= before_ms for record in test.read("news"))
    assert json.loads((tmp_path / "r.json").read_text())["published"] == 200


def test_kept_dates_one_topic_and_a_limit_are_obeyed(
    cluster: Callable[..., TestCluster], tmp_path: Path
) -> None:
    test = cluster()
    arguments = (
        str(stream(tmp_path)),
        "--speed",
        "0",
        "--keep-dates",
        "--limit",
        "10",
        "--topic",
        test.name("chat"),
    )
    result = run(test, tmp_path, "replay", *arguments)
    assert result.exit_code == 0, result.output
    assert test.read("news") == []
    assert values(test, "chat")[0]["published_at"].startswith("2008-09-15T06:00")
    assert len(test.read("chat")) == 10


def test_the_pace_is_kept(cluster: Callable[..., TestCluster], tmp_path: Path) -> None:
    test = cluster()
    began = time.monotonic()
    result = run(test, tmp_path, "replay", str(stream(tmp_path, 121)), "--speed", "60")
    assert result.exit_code == 0, result.output
    assert 1.9 <= time.monotonic() - began < 12
    times = [record.timestamp_ms for topic in ("news", "chat") for record in test.read(topic)]
    assert max(times) - min(times) >= 1_800


def test_closing_posts_reach_every_input_partition(
    cluster: Callable[..., TestCluster], tmp_path: Path
) -> None:
    test = cluster()
    result = run(test, tmp_path, "replay", str(stream(tmp_path, 8)), "--speed", "0", "--close")
    assert result.exit_code == 0, result.output
    for topic in ("news", "chat"):
        closing = [record for record in test.read(topic) if b"closing" in (record.key or b"")]
        assert {record.partition for record in closing} == {0, 1, 2, 3}


def test_a_broken_line_is_named_and_nothing_is_sent(
    cluster: Callable[..., TestCluster], tmp_path: Path
) -> None:
    test = cluster()
    path = tmp_path / "stream.jsonl"
    path.write_text('{"text": "a", "published_at": 1}\n{"text": "b"}\n')
    result = run(test, tmp_path, "replay", str(path))
    assert result.exit_code == 2
    assert "line 2: published_at" in result.output
    assert test.read("news") == []


def test_alerts_are_listed_with_their_evidence_in_the_newest_revision(
    cluster: Callable[..., TestCluster], tmp_path: Path
) -> None:
    test = cluster()
    with test.producer() as producer:
        for message in (
            alert_message("company:LEH", 1, reason=HOSTILE),
            alert_message("company:LEH", 2, state="resolved", observed_negative_stories=1, reason=HOSTILE),
            alert_message("topic:macro", 1, opened_at_ms=0),
        ):
            producer.send(test.name("alerts"), key=message.subject.encode(), value=encode(message))
        producer.send(test.name("alerts"), key=b"x", value=b"not an alert")
    result = run(test, tmp_path, "alerts", "--json", str(tmp_path / "alerts.json"))
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "[red]Acme[/red] plunges" in result.output
    assert "observed 12 negative stories, expected 0.6" in result.output
    assert result.output.index("topic:macro") < result.output.index("company:LEH")
    listed = json.loads((tmp_path / "alerts.json").read_text())
    assert [(alert["subject"], alert["revision"]) for alert in listed] == [
        ("topic:macro", 1),
        ("company:LEH", 2),
    ]
    only = run(test, tmp_path, "alerts", "--open").output
    assert "topic:macro" in only
    assert "company:LEH" not in only
    assert "No alert." in run(test, tmp_path, "alerts", "--subject", "company:NONE").output


def test_trends_add_up_the_newest_revisions_and_show_a_subjects_minutes(
    cluster: Callable[..., TestCluster], tmp_path: Path
) -> None:
    test = cluster()
    with test.producer() as producer:
        for message in (
            trend_message("topic:macro", 0, negative_stories=5, posts=SentimentCounts(5, 0, 0)),
            trend_message("topic:macro", MINUTE_MS),
            trend_message("topic:macro", MINUTE_MS, revision=2, posts=SentimentCounts(3, 1, 1), late_posts=2),
            trend_message("company:AAPL", MINUTE_MS),
        ):
            producer.send(test.name("subject-trends"), key=message.subject.encode(), value=encode(message))
    overview = run(test, tmp_path, "trends")
    assert overview.exit_code == 0, overview.output
    rows = [
        line.split()
        for line in overview.output.splitlines()
        if "topic:macro" in line or "company:AAPL" in line
    ]
    assert [row[0] for row in rows] == ["topic:macro", "company:AAPL"]
    assert "10" in rows[0]
    minutes = run(test, tmp_path, "trends", "--subject", "topic:macro", "--json", str(tmp_path / "t.json"))
    assert "1970-01-01 00:01" in minutes.output
    assert [minute["revision"] for minute in json.loads((tmp_path / "t.json").read_text())] == [1, 2]
    later = str(int(time.time()) + 3600)
    assert run(test, tmp_path, "trends", "--since", later).output.startswith("No closed minute")


def test_a_topic_that_is_missing_is_named(cluster: Callable[..., TestCluster], tmp_path: Path) -> None:
    test = cluster()
    test.settings = msgspec.structs.replace(
        test.settings, topics=msgspec.structs.replace(test.settings.topics, prefix="nowhere-")
    )
    result = run(test, tmp_path, "alerts")
    assert result.exit_code == 2
    assert "nowhere-alerts" in result.output
