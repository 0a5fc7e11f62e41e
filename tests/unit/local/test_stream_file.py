"""A recorded stream is read line by line, checked with line numbers, and dated anew."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from streamapp.local.stream_file import (
    LineError,
    StreamFileError,
    StreamPost,
    parse_line,
    read_stream,
    replay_record,
    scan_stream,
)


def line(**fields: Any) -> bytes:
    return (
        json.dumps({"text": "Acme files", "published_at": "2008-09-15T06:00:00Z", **fields}).encode() + b"\n"
    )


def write(folder: Path, *lines: bytes, name: str = "stream.jsonl") -> Path:
    path = folder / name
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(b"".join(lines))
    return path


@pytest.mark.parametrize("name", ["stream.jsonl", "stream.jsonl.gz"])
def test_posts_go_to_the_channel_they_name_or_else_to_the_given_one(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, line(), b"\n", line(channel="chat"), name=name)
    posts = [post for post in read_stream(path, "news") if isinstance(post, StreamPost)]
    assert [(post.line, post.channel) for post in posts] == [(1, "news"), (3, "chat")]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{oops", "not JSON"),
        (b"[1]", "object"),
        (b'{"published_at": 1}', "text"),
        (b'{"text": "  ", "published_at": 1}', "text"),
        (b'{"text": "x"}', "published_at"),
        (b'{"text": "x", "published_at": "soon"}', "published_at: 'soon'"),
        (b'{"text": "x", "published_at": 1, "channel": "radio"}', "channel: 'radio'"),
        (b'{"text": "\xff", "published_at": 1}', "not JSON"),
    ],
)
def test_a_line_that_cannot_be_replayed_says_its_number_and_why(raw: bytes, why: str) -> None:
    found = parse_line(17, raw, "news")
    assert isinstance(found, LineError)
    assert found.line == 17
    assert why in found.why


def test_a_line_earlier_than_one_before_it_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, line(), line(published_at="2008-09-15T05:59:59Z"), line())
    kinds = [type(each) for each in read_stream(path, "news")]
    assert kinds == [StreamPost, LineError, StreamPost]


def test_a_scan_counts_posts_and_keeps_the_first_errors(tmp_path: Path) -> None:
    path = write(
        tmp_path, line(), *[b"broken\n"] * 15, line(published_at="2008-09-15T07:00:00Z", channel="chat")
    )
    scan = scan_stream(read_stream(path, "news"))
    assert scan.posts == {"news": 1, "chat": 1}
    assert scan.last_ms - scan.first_ms == 3_600_000
    assert (len(scan.errors), scan.error_count) == (10, 15)
    assert scan.errors[0].line == 2


def test_the_limit_counts_lines(tmp_path: Path) -> None:
    path = write(tmp_path, line(), line(), line())
    assert len(list(read_stream(path, "news", limit=2))) == 2


def test_a_file_without_posts_and_a_file_that_is_no_gzip_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StreamFileError, match="no post"):
        scan_stream(read_stream(write(tmp_path, b"\n"), "news"))
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(b"not gzip")
    with pytest.raises(StreamFileError, match=r"broken\.jsonl\.gz"):
        list(read_stream(broken, "news"))
    cut = write(tmp_path, line() * 1000, name="cut.jsonl.gz")
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(StreamFileError, match=r"cut\.jsonl\.gz"):
        list(read_stream(cut, "news"))


def test_a_replayed_post_keeps_everything_but_its_time_and_gets_symbols_from_tickers() -> None:
    post = parse_line(1, line(id="a", tickers=["LEH"], body="more"), "news")
    assert isinstance(post, StreamPost)
    record = replay_record(post, shift_ms=60_000)
    assert record.key == b"a"
    assert json.loads(record.value or b"") == {
        "id": "a", "text": "Acme files", "body": "more", "symbols": ["LEH"],
        "published_at": "2008-09-15T06:01:00.000Z",
    }  # fmt: skip


def test_kept_dates_stay_as_they_were_written() -> None:
    post = parse_line(1, line(published_at=1_221_458_400), "news")
    assert isinstance(post, StreamPost)
    assert json.loads(replay_record(post, None).value or b"")["published_at"] == 1_221_458_400
