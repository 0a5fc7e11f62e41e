"""`streamapp labels` on a real broker: files in, wrong lines said; the queue reviewed in a real pseudo terminal."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streamapp.cli.main import app
from streamapp.cluster.kafka_clients import open_admin, open_producer, read_topic_to_end
from streamapp.cluster.topic_admin import create_topics, plan_topics
from streamapp.contracts.codec import decode, encode
from streamapp.contracts.messages import (
    Label,
    LabelRequest,
    Post,
    ScoredPost,
    SentimentVerdict,
    SourceOffset,
    Verdict,
)
from streamapp.settings import BrokerAccess, Settings, TopicSettings, dump_settings
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.broker

EXIT_SECONDS = 20.0
VERDICT = Verdict(sentiment=SentimentVerdict("neutral", 0.3, 0.4, 0.3))


@pytest.fixture
def settings(broker: str, topic_prefix: str, tmp_path: Path) -> Settings:
    made = Settings(
        broker=BrokerAccess(bootstrap=broker), topics=TopicSettings(prefix=topic_prefix), inputs=()
    )
    (tmp_path / "settings.json").write_text(dump_settings(made), encoding="utf-8")
    with open_admin(made.broker) as admin:
        create_topics(admin, plan_topics(made, dev=True))
    return made


@pytest.fixture
def config(settings: Settings, tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def publish(settings: Settings, topic: str, messages: Sequence[Any]) -> None:
    producer = open_producer(settings.broker)
    for message in messages:
        post_id = message.post.id if isinstance(message, ScoredPost) else message.post_id
        producer.send(settings.topics.prefix + topic, key=post_id.encode(), value=encode(message)).get(
            timeout=30
        )
    producer.close()


def labels(settings: Settings) -> list[Label]:
    records = read_topic_to_end(settings.broker, settings.topics.prefix + "labels")
    return sorted((decode(record.value, Label) for record in records), key=lambda label: label.labelled_at_ms)


def invoke(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["labels", *arguments, "--config", str(config)])


def request(post_id: str, text: str = "Shares fall", **more: Any) -> LabelRequest:
    return LabelRequest(
        post_id=post_id, channel="chat", text=text, verdict=VERDICT, **{"drawn": "uncertain", **more}
    )


def scored(post_id: str, text: str) -> ScoredPost:
    post = Post(id=post_id, channel="news", text=text, event_time_ms=1, source="wire")
    return ScoredPost(
        post=post,
        verdict=VERDICT,
        model_version="m-1",
        source_offset=SourceOffset("u", 0, 0),
        story_fingerprint="0" * 16,
    )


def test_good_lines_go_in_and_bad_ones_are_said_with_their_line(
    settings: Settings, config: Path, tmp_path: Path
) -> None:
    file = tmp_path / "reviewed.csv"
    file.write_text(
        "id,text,channel,sentiment,topic\n"
        "n-1,Shares fall,news,negative,macro\n"
        "n-2,Shares rise,news,marvellous,\n"
        "n-3,Shares rise,news,,weather\n"
        "never-seen,,,positive,\n",
        encoding="utf-8",
    )
    done = invoke(config, "import", str(file), "--json", "-")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["format"], report["sent"]) == (1, "csv", 1)
    assert [each["where"] for each in report["refused"]] == ["line 3", "line 4", "line 5"]
    assert "unknown topic 'weather'" in done.stderr
    assert "neither a text nor a known post" in done.stderr
    assert [(each.post_id, each.author, each.origin) for each in labels(settings)] == [
        ("n-1", "reviewed.csv", "import")
    ]


def test_a_post_that_was_asked_about_or_scored_needs_no_text_in_the_file(
    settings: Settings, config: Path, tmp_path: Path
) -> None:
    publish(
        settings, "label-requests", [request("asked"), request("linked", text="A headline", drawn="alert")]
    )
    publish(
        settings, "scored-posts", [scored("scored", "The whole text"), scored("linked", "The whole story")]
    )
    file = tmp_path / "reviewed.jsonl"
    file.write_text(
        "".join(f'{{"id": "{each}", "sentiment": "negative"}}\n' for each in ("asked", "scored", "linked"))
    )
    assert invoke(config, "import", str(file)).exit_code == 0
    assert {each.post_id: (each.text, each.channel, each.source) for each in labels(settings)} == {
        "asked": ("Shares fall", "chat", None),
        "scored": ("The whole text", "news", "wire"),
        "linked": ("The whole story", "news", "wire"),
    }


def test_the_same_file_twice_is_the_same_labels(settings: Settings, config: Path, tmp_path: Path) -> None:
    file = tmp_path / "reviewed.csv"
    file.write_text("text,sentiment\nShares fall,negative\nShares fall,positive\n", encoding="utf-8")
    for _ in range(2):
        assert invoke(config, "import", str(file), "--channel", "news").exit_code == 0
    sent = labels(settings)
    assert (len(sent), len(set(sent))) == (4, 2)
    assert sent[-1].sentiment == "positive"


def test_exit_codes_tell_scripts_what_happened(config: Path, settings: Settings, tmp_path: Path) -> None:
    del settings
    empty, broken = tmp_path / "empty.csv", tmp_path / "broken.csv"
    empty.write_text("text,sentiment\n", encoding="utf-8")
    broken.write_text("nothing of use\n", encoding="utf-8")
    assert invoke(config, "import", str(empty)).exit_code == 4
    assert invoke(config, "import", str(broken)).exit_code == 2
    assert invoke(config, "import", str(tmp_path / "absent.csv")).exit_code == 2
    assert invoke(config, "import", str(empty), "--map", "bullish").exit_code == 2
    file = tmp_path / "good.csv"
    file.write_text("text,sentiment,channel\nx,bullish,news\n", encoding="utf-8")
    assert invoke(config, "import", str(file), "--map", "bullish=positive", "--dry-run").exit_code == 0
    unreachable = ["--broker", "127.0.0.1:9", "--map", "bullish=positive"]
    assert invoke(config, "import", str(file), *unreachable).exit_code == 3


# What a shell does: it owns the terminal, waits for the program, and finds the terminal as the program left it.
SHELL = """
import fcntl, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, lambda *_: None)
code = subprocess.call([sys.executable, *sys.argv[1:]])
print("left with", code, "echo", bool(termios.tcgetattr(0)[3] & termios.ECHO), flush=True)
"""
LEFT = re.compile(rb"left with (\d+) echo (True|False)")


class Terminal:
    """A pseudo terminal with the review in it, as a person would sit before one."""

    def __init__(self, config: Path) -> None:
        self._screen, inner = pty.openpty()
        command = ["-m", "streamapp", "labels", "review", "--author", "ana", "--config", str(config)]
        self._shell = subprocess.Popen(
            [sys.executable, "-c", SHELL, *command],
            cwd=REPOSITORY, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )  # fmt: skip
        os.close(inner)
        self.shown = b""

    def press(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def wait_for(self, text: str) -> None:
        self._read_until(lambda: text.encode() in self.shown)
        assert text.encode() in self.shown, self.shown.decode(errors="replace")

    def leave(self) -> tuple[int, bool]:
        """The program's exit code, and whether the terminal echoes again what is typed."""
        self._read_until(lambda: LEFT.search(self.shown) is not None)
        left = LEFT.search(self.shown)
        self._shell.kill()
        self._shell.wait()
        os.close(self._screen)
        assert left is not None, self.shown.decode(errors="replace")
        return int(left[1]), left[2] == b"True"

    def _read_until(self, seen: Callable[[], bool]) -> None:
        deadline = time.monotonic() + EXIT_SECONDS
        while not seen() and time.monotonic() < deadline:
            if select.select([self._screen], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._screen, 65_536)
                except OSError:  # so Linux says that nobody has the terminal any more
                    return


def test_a_person_labels_the_queue_with_one_key_a_label(settings: Settings, config: Path) -> None:
    hostile = "Look \x1b]0;owned\x07\x1b[2J here"
    publish(settings, "label-requests", [request(f"p-{number}") for number in range(3)])
    publish(settings, "label-requests", [request("audited", text=hostile, drawn="audit")])
    terminal = Terminal(config)
    terminal.wait_for("1 of 4")
    terminal.press("1")
    terminal.wait_for("2 of 4")
    terminal.press("2\x1b[As3")  # typed ahead, an arrow among them
    assert terminal.leave() == (0, True)
    assert b"\x1b]0;owned" not in terminal.shown
    assert b"\x1b[2J" not in terminal.shown
    assert b"3 labels of 3 posts sent, 1 posts wait." in terminal.shown
    sent = labels(settings)
    assert [(each.post_id, each.sentiment, each.drawn) for each in sent] == [
        ("audited", "negative", "audit"),
        ("p-2", "neutral", "uncertain"),
        ("p-0", "positive", "uncertain"),
    ]
    assert {(each.author, each.origin) for each in sent} == {("ana", "person")}
    again = Terminal(config)
    again.wait_for("1 of 1")
    again.press("q")
    assert again.leave() == (0, True)


def test_ctrl_c_leaves_a_usable_terminal_and_keeps_what_was_sent(settings: Settings, config: Path) -> None:
    publish(settings, "label-requests", [request("a"), request("b")])
    terminal = Terminal(config)
    terminal.wait_for("1 of 2")
    terminal.press("3")
    terminal.wait_for("2 of 2")
    terminal.press("\x03")
    assert terminal.leave() == (130, True)
    assert len(labels(settings)) == 1


def test_an_empty_queue_and_no_terminal_are_said(settings: Settings, config: Path) -> None:
    del settings
    terminal = Terminal(config)
    terminal.wait_for("No post waits for a label.")
    assert terminal.leave() == (4, True)
    refused = invoke(config, "review")
    assert (refused.exit_code, "needs a terminal" in refused.stderr) == (2, True)
