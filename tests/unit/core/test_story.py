"""Fingerprints keep copies together and other stories apart; leaders remember what was told."""

import gzip
import json
import random
import re
from pathlib import Path
from statistics import quantiles

import pytest

from streamapp.core.story import (
    MAX_LEADERS,
    Evidence,
    StoryLeaders,
    distance,
    fingerprint,
    format_fingerprint,
    parse_fingerprint,
)

TEXT = "Regulator fines northern lender over late reports on failed property loans"
LINK = re.compile(r"https?://\S+")


def test_the_fingerprint_is_the_same_on_every_machine() -> None:
    assert format_fingerprint(fingerprint(TEXT)) == "68563e543464d2fb"


@pytest.mark.parametrize("copy", [f"RT @wire: {TEXT}", f"{TEXT} - Reuters", TEXT.upper(), f"{TEXT}!"])
def test_a_repost_and_an_added_source_stay_within_the_same_story(copy: str) -> None:
    assert distance(fingerprint(TEXT), fingerprint(copy)) <= 10


@pytest.mark.parametrize("text", ["", "!!! ???", "@only @names", "one", "x " * 20_000, "\ud800"])
def test_any_text_has_a_fingerprint_of_64_bits(text: str) -> None:
    value = fingerprint(text)
    assert parse_fingerprint(format_fingerprint(value)) == value < 2**64


@pytest.mark.parametrize("text", ["", "12", "g" * 16, "0" * 17])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hex|literal"):
        parse_fingerprint(text)


def test_copies_join_the_first_leader_within_ten_bits() -> None:
    leaders = StoryLeaders()
    first, is_new = leaders.join(0, 1_000, 1)
    near, near_is_new = leaders.join(0b11_1111_1111, 2_000, 3)
    _, far_is_new = leaders.join(0b111_1111_1111, 3_000, 1)
    assert (is_new, near_is_new, far_is_new) == (True, False, True)
    assert near is first
    assert (first.copies, first.first_ms, first.last_ms) == (4, 1_000, 2_000)


def test_the_leader_whose_last_copy_is_oldest_makes_room() -> None:
    chance = random.Random(1)
    prints = [chance.getrandbits(64) for _ in range(MAX_LEADERS)]
    leaders = StoryLeaders()
    for at, value in enumerate(prints):
        leaders.join(value, at, 1)
    leaders.join(prints[0], 1_000, 1)
    leaders.join(chance.getrandbits(64), 1_001, 1)
    assert len(leaders.leaders) == MAX_LEADERS
    assert leaders.find(prints[0]) is not None
    assert leaders.find(prints[1]) is None


def test_a_story_is_forgotten_when_its_last_copy_is_too_old() -> None:
    leaders = StoryLeaders()
    leaders.join(0, 1_000, 1)
    leaders.forget_before(1_000)
    assert leaders.find(0) is not None
    leaders.forget_before(1_001)
    assert leaders.find(0) is None


def test_evidence_is_cut_in_bytes_and_between_characters() -> None:
    evidence = Evidence.of("é" * 120, "x" * 500, "chat")
    assert (evidence.headline, evidence.post_id) == ("é" * 80, "x" * 80)


def test_real_reposts_move_few_bits_and_unrelated_posts_many(shared_datasets: Path) -> None:
    texts = _texts(shared_datasets / "stream_chat_2015_china.jsonl.gz", reposts=False)
    moved = [distance(fingerprint(text), fingerprint(f"{text} - Reuters")) for text in texts]
    shares = quantiles(moved, n=100)
    assert shares[49] <= 6
    assert shares[89] <= 10
    chance = random.Random(1)
    pairs = [chance.sample(texts, 2) for _ in range(5_000)]
    apart = sorted(distance(fingerprint(one), fingerprint(other)) for one, other in pairs)
    assert apart[len(apart) // 100] >= 14


def test_real_posts_flagged_as_reposts_meet_their_original(shared_datasets: Path) -> None:
    file = shared_datasets / "stream_chat_2015_china.jsonl.gz"
    originals = {_body(text): fingerprint(text) for text in _texts(file, reposts=False)}
    reposts = [text for text in _texts(file, reposts=True) if _body(text) in originals]
    assert len(reposts) >= 20
    met = sum(distance(fingerprint(text), originals[_body(text)]) <= 10 for text in reposts)
    assert met / len(reposts) >= 0.95


def _texts(file: Path, *, reposts: bool) -> list[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [LINK.sub("", row["text"]).strip() for row in rows if bool(row.get("repost")) is reposts]
    return [text for text in texts if len(text.split()) >= 6]


def _body(text: str) -> str:
    return re.sub(r"^RT @\w+:?\s*", "", text).strip().lower()
