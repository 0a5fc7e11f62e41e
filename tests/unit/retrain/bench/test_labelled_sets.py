"""The sides of an experiment from labelled sets: no story judges and teaches."""

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from retrain.bench.labelled_sets import LabelledSetError, SetSizes, digest_of, read_set, sides_of
from retrain.core.dataset import story_of_each

SIZES = SetSizes(channel=60, old=20, old_topic=10)


def line(number: int, **fields: Any) -> dict[str, Any]:
    chance = random.Random(f"{fields} {number}")
    words = ("".join(chance.choices(string.ascii_lowercase, k=6)) for _ in range(14))
    sentiment = ("negative", "neutral", "positive")[number % 3]
    return {
        "id": f"p{number}",
        "channel": "chat",
        "text": " ".join(words),
        "split": "train",
        "sentiment": sentiment,
    } | fields


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    fresh = [line(number) for number in range(240)]
    # Every fifth post once more with a word after it: the same story under another id.
    copies = [row | {"id": f"c{row['id']}", "text": f"{row['text']} again"} for row in fresh[::5]]
    write(tmp_path, "talk", [*fresh, *copies])
    old = [line(number, channel="news", split="test" if number % 3 else "train") for number in range(150)]
    repeated = {"id": "told", "text": old[1]["text"], "split": "train"}
    write(tmp_path, "wire", [*old, old[1] | repeated | {"text": f"{old[1]['text']} update"}])
    topics = [
        line(number, channel="news", split="test", topic="macro", sentiment=None) for number in range(30)
    ]
    write(tmp_path, "desk", topics)
    return tmp_path


def test_no_story_that_judges_is_asked_about_or_replayed(data: Path) -> None:
    sides = sides_of(data, "talk", ("wire", "desk"), SIZES)
    judged = [post for each in sides.judged for post in each.posts]
    texts = [post.text for post in (*judged, *sides.pool, *sides.old)]
    stories = story_of_each(texts).tolist()
    assert not set(stories[: len(judged)]) & set(stories[len(judged) :])
    assert "wire/told" not in {post.post_id for post in sides.old}


def test_each_side_has_what_it_is_for(data: Path) -> None:
    sides = sides_of(data, "talk", ("wire", "desk"), SIZES)
    assert [(each.name, each.head, len(each.posts)) for each in sides.judged] == [
        ("talk", "sentiment", 60),
        ("wire", "sentiment", 20),
        ("desk", "topic", 10),
    ]
    assert len(sides.pool) == 288 - 60
    assert {post.post_id.partition("/")[0] for post in sides.old} == {"wire"}


def test_the_judging_posts_are_the_same_whatever_the_order_of_the_lines(data: Path) -> None:
    before = {post.post_id for post in sides_of(data, "talk", ("wire",), SIZES).judged[0].posts}
    path = data / "talk.jsonl"
    path.write_text(
        "".join(sorted(path.read_text(encoding="utf-8").splitlines(keepends=True))), encoding="utf-8"
    )
    assert {post.post_id for post in sides_of(data, "talk", ("wire",), SIZES).judged[0].posts} == before


def test_at_most_a_third_of_a_small_set_judges(data: Path) -> None:
    assert len(sides_of(data, "talk", ("wire",), SetSizes()).judged[0].posts) == 96


def test_an_absent_set_and_a_bad_line_are_named(data: Path) -> None:
    with pytest.raises(LabelledSetError, match=r"rumours\.jsonl: absent"):
        sides_of(data, "rumours", ("wire",), SIZES)
    with pytest.raises(LabelledSetError, match=r"rumours\.jsonl: absent"):
        digest_of(data, ("talk", "rumours"))
    write(data, "bad", [line(1), line(2) | {"sentiment": "bullish"}])
    with pytest.raises(LabelledSetError, match=r"bad\.jsonl: line 2: .*bullish"):
        read_set(data, "bad")


def test_a_set_of_one_chain_of_copies_is_refused(data: Path) -> None:
    write(
        data,
        "echo",
        [line(7) | {"id": f"e{number}"} | {"text": f"{line(7)['text']} {number}"} for number in range(40)],
    )
    with pytest.raises(LabelledSetError, match=r"echo\.jsonl: too few stories"):
        sides_of(data, "echo", ("wire",), SIZES)
