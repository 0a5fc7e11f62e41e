"""Old posts: an installation's own where there are enough, written ones without labels where there are few."""

from pathlib import Path

import msgspec

from retrain.core.labels import TrainingLabel
from retrain.old_posts import old_posts, written_posts


def own_posts(folder: Path, count: int) -> Path:
    path = folder / "old.jsonl"
    labels = [
        TrainingLabel(
            post_id=f"o{n}",
            text=f"old {n}",
            channel="news",
            sentiment="neutral",
            origin="person",
            labelled_at_ms=1,
        )
        for n in range(count)
    ]
    path.write_bytes(b"".join(msgspec.json.encode(label) + b"\n" for label in labels))
    return path


def test_written_posts_are_of_both_channels_have_no_label_and_no_text_twice() -> None:
    posts = written_posts()
    assert {post.channel for post in posts} == {"news", "chat"}
    assert {(post.sentiment, post.topic) for post in posts} == {(None, None)}
    assert len({post.text for post in posts}) == len(posts) > 500


def test_enough_posts_of_ones_own_are_not_diluted(tmp_path: Path) -> None:
    assert len(old_posts(own_posts(tmp_path, 30), wanted=30)) == 30


def test_few_posts_of_ones_own_are_filled_up(tmp_path: Path) -> None:
    found = old_posts(own_posts(tmp_path, 30), wanted=31)
    assert [post.post_id for post in found[:2]] == ["o0", "o1"]
    assert len(found) == 30 + len(written_posts())
    assert old_posts(None, wanted=1) == written_posts()
