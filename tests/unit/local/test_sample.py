"""The sample stream is what its README says: a day on which two subjects turn bad and no other does."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

import msgspec
import pytest

from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import InputRules, Rejected, decode_post
from streamapp.local.sample import (
    CHANNELS,
    DAY_SECONDS,
    DAY_START,
    BrokenRecord,
    SamplePost,
    SampleRecord,
    closing_posts,
    load_companies,
    load_sample,
    time_of,
    value_of,
)

TOPICS = {
    *("company_product", "stock_commentary", "macro", "general_opinion", "earnings", "politics"),
    *("stock_movement", "central_banks", "financials", "personnel", "markets", "energy_oil", "ma_investment"),
    *("legal_regulation", "dividend", "analyst_update", "treasuries_debt", "currencies"),
    *("metals_materials", "ipo"),
}
SOURCES = {
    "news": {"wire-a", "wire-b", "regulator-feed", "business-daily"},
    "chat": {"chatter", "forum"},
}
OIL_TURNS_BAD = (2.75 * 3600, 4 * 3600)
CALDERON_TURNS_BAD = (3.5 * 3600, 5 * 3600)

RECORDS = load_sample()
POSTS = [record for record in RECORDS if isinstance(record, SamplePost)]
BROKEN = [record for record in RECORDS if isinstance(record, BrokenRecord)]


def first_of_each_story(posts: Iterable[SamplePost]) -> list[SamplePost]:
    first: dict[str, SamplePost] = {}
    for post in posts:
        first.setdefault(post.intended.story, post)
    return list(first.values())


def companies_of(post: SamplePost) -> set[str]:
    return {*post.symbols, *re.findall(r"\$([A-Z]{2,5})\b", post.text)}


def negative_offsets() -> dict[str, list[float]]:
    """When each subject's negative stories were first told, in seconds."""
    offsets: dict[str, list[float]] = defaultdict(list)
    for post in first_of_each_story(POSTS):
        if post.intended.sentiment == "negative":
            offsets[f"topic:{post.intended.topic}"].append(post.offset_seconds)
            for ticker in companies_of(post):
                offsets[f"company:{ticker}"].append(post.offset_seconds)
    return offsets


def most_within(offsets: Sequence[float], seconds: float) -> int:
    return max((sum(start <= offset < start + seconds for offset in offsets) for start in offsets), default=0)


def within(offsets: Iterable[float], span: tuple[float, float]) -> int:
    return sum(span[0] <= offset < span[1] for offset in offsets)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {*pairwise(words)} or {(word,) for word in words}


def closest(texts: Sequence[str]) -> tuple[float, str, str]:
    """The two texts with the greatest share of the shorter one's word pairs in common, and that share."""
    known = [(shingles(text), text) for text in texts]
    return max(
        (len(left & right) / min(len(left), len(right)), first, second)
        for (left, first), (right, second) in combinations(known, 2)
    )


def decode(record: SampleRecord) -> object:
    raw = RawRecord(
        topic=record.channel,
        topic_uuid="sample",
        partition=0,
        offset=0,
        timestamp_ms=int(time_of(record).timestamp() * 1000),
        value=value_of(record),
    )
    return decode_post(raw, InputRules(channel=record.channel))


NEGATIVES = negative_offsets()


def test_the_stream_has_the_size_and_the_length_of_a_trading_day() -> None:
    counts = Counter(post.channel for post in POSTS)
    assert all(280 <= counts[channel] <= 360 for channel in CHANNELS)
    assert 10 <= len(BROKEN) <= 16
    offsets = [record.offset_seconds for record in RECORDS]
    assert offsets == sorted(offsets)
    assert 0 <= offsets[0] < 60
    assert DAY_SECONDS - 60 <= offsets[-1] < DAY_SECONDS
    assert max(later - earlier for earlier, later in pairwise(offsets)) < 240


def test_ids_are_unique_and_a_few_posts_have_none() -> None:
    ids = [post.id for post in POSTS if post.id is not None]
    assert len(ids) == len(set(ids))
    assert 3 <= len(POSTS) - len(ids) <= 10


def test_labels_sources_and_symbols_are_known() -> None:
    companies = load_companies()
    assert len(companies) == 14
    assert {post.intended.topic for post in POSTS} == TOPICS
    for post in POSTS:
        assert post.source in SOURCES[post.channel]
        assert companies_of(post) <= companies.keys(), post.text
    assert set().union(*map(companies_of, POSTS)) == companies.keys()


def test_news_that_names_a_company_carries_its_symbol() -> None:
    names = {name.split()[0]: ticker for ticker, name in load_companies().items() if ticker != "HPKE"}
    names["Pike"] = "HPKE"
    for post in POSTS:
        named = {ticker for name, ticker in names.items() if re.search(rf"\b{name}\b", post.text)}
        assert named <= companies_of(post), post.text
        assert post.channel == "chat" or companies_of(post) <= named, post.text


def test_texts_have_no_control_characters_and_only_links_that_lead_nowhere() -> None:
    for post in POSTS:
        assert post.text == post.text.strip() != ""
        assert not [char for char in post.text if unicodedata.category(char) == "Cc"], post.text
        for host in re.findall(r"https?://([^/\s]+)", post.text):
            assert host == "example.com" or host.endswith(".example.com")


def test_headlines_have_the_length_of_headlines() -> None:
    lengths = [len(post.text.split()) for post in first_of_each_story(POSTS) if post.channel == "news"]
    assert min(lengths) >= 6
    assert max(lengths) <= 19


def test_calderon_turns_bad_after_a_quiet_morning() -> None:
    offsets = NEGATIVES["company:CLDB"]
    assert 42 <= within(offsets, CALDERON_TURNS_BAD) <= 50
    before = [offset for offset in offsets if offset < CALDERON_TURNS_BAD[0]]
    assert 1 <= len(before) <= 6
    assert most_within(before, 3600) <= 2
    mentions = [p for p in POSTS if "CLDB" in companies_of(p) and p.offset_seconds < CALDERON_TURNS_BAD[0]]
    assert len(mentions) >= 20


def test_oil_turns_bad_while_no_company_carries_it() -> None:
    offsets = NEGATIVES["topic:energy_oil"]
    assert 38 <= within(offsets, OIL_TURNS_BAD) <= 44
    assert most_within([offset for offset in offsets if offset < OIL_TURNS_BAD[0]], 3600) <= 2
    stories = [
        post
        for post in first_of_each_story(POSTS)
        if post.intended.topic == "energy_oil" and post.intended.sentiment == "negative"
    ]
    carried = Counter(ticker for post in stories for ticker in companies_of(post))
    assert max(carried.values()) <= 2
    assert "CLDB" not in carried


def test_calderon_stories_are_spread_over_topics() -> None:
    stories = [
        post
        for post in first_of_each_story(POSTS)
        if "CLDB" in companies_of(post) and post.intended.sentiment == "negative"
    ]
    by_topic = Counter(post.intended.topic for post in stories)
    assert len(by_topic) >= 12
    assert max(by_topic.values()) <= 4


@pytest.mark.parametrize("ticker", sorted(load_companies().keys() - {"CLDB"}))
def test_bad_news_about_any_other_company_never_clusters(ticker: str) -> None:
    offsets = NEGATIVES[f"company:{ticker}"]
    assert offsets
    assert most_within(offsets, 3600) <= 2
    assert most_within(offsets, 40 * 60) <= 1


@pytest.mark.parametrize("topic", sorted(TOPICS - {"energy_oil"}))
def test_bad_news_on_any_other_topic_is_steady(topic: str) -> None:
    offsets = NEGATIVES[f"topic:{topic}"]
    assert len(offsets) >= 3
    assert most_within(offsets, 3600) <= 6
    assert any(offset < CALDERON_TURNS_BAD[0] for offset in offsets), "a topic without a past"


def test_neutral_and_positive_posts_are_told_in_every_half_hour() -> None:
    for start in range(0, DAY_SECONDS, 1800):
        span = [post for post in first_of_each_story(POSTS) if start <= post.offset_seconds < start + 1800]
        told = Counter(post.intended.sentiment for post in span)
        assert told["neutral"] >= 8
        assert told["positive"] >= 6


def test_different_stories_do_not_share_their_wording() -> None:
    share, first, second = closest([post.text for post in first_of_each_story(POSTS)])
    assert share <= 0.45, (first, second)


@pytest.mark.parametrize("subject", ["company:CLDB", "topic:energy_oil"])
def test_the_stories_of_a_surge_are_distinct(subject: str) -> None:
    kind, name = subject.split(":")
    texts = [
        post.text
        for post in first_of_each_story(POSTS)
        if post.intended.sentiment == "negative"
        and (name in companies_of(post) if kind == "company" else post.intended.topic == name)
    ]
    assert len(texts) >= 40
    share, first, second = closest(texts)
    assert share <= 0.25, (first, second)


def test_copies_tell_the_story_they_belong_to() -> None:
    originals = {post.intended.story: post for post in first_of_each_story(POSTS)}
    copies = [post for post in POSTS if originals[post.intended.story] is not post]
    assert 55 <= len(copies) <= 75
    for copy in copies:
        original = originals[copy.intended.story]
        assert copy.offset_seconds > original.offset_seconds
        assert original.text in copy.text
        assert copy.intended == original.intended
    assert sum(copy.text == originals[copy.intended.story].text for copy in copies) >= 5
    assert sum(copy.text.startswith("RT @") for copy in copies) >= 20


def test_one_bad_story_about_an_airline_is_copied_more_than_twenty_times() -> None:
    copies = [post for post in POSTS if post.intended.story == "tlan"]
    assert len(copies) > 20
    assert all(companies_of(post) == {"TLAN"} for post in copies)
    assert copies[-1].offset_seconds < OIL_TURNS_BAD[0]


def test_the_last_posts_are_neutral_on_both_channels() -> None:
    last: Mapping[str, SamplePost] = {post.channel: post for post in POSTS}
    assert {channel: post.intended.sentiment for channel, post in last.items()} == dict.fromkeys(
        CHANNELS, "neutral"
    )
    assert min(post.offset_seconds for post in last.values()) >= DAY_SECONDS - 60


def test_every_post_passes_intake_with_nothing_to_complain_about() -> None:
    for record in POSTS:
        post = decode(record)
        assert not isinstance(post, Rejected), record.text
        assert getattr(post, "flags", None) == ()
        assert getattr(post, "symbols", None) == record.symbols


@pytest.mark.parametrize("record", BROKEN, ids=lambda record: record.why.replace(" ", "-"))
def test_a_broken_record_is_rejected_for_its_reason(record: BrokenRecord) -> None:
    rejected = decode(record)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == record.reason


def test_broken_records_break_in_every_way_that_bytes_can() -> None:
    assert {record.reason for record in BROKEN} >= {
        "not_json", "wrong_type", "text_missing", "text_empty", "null_value", "bad_utf8", "bad_time",
    }  # fmt: skip


def test_what_the_author_meant_is_never_sent() -> None:
    sent = [msgspec.json.decode(value_of(post) or b"") for post in POSTS]
    assert set().union(*sent) == {"id", "source", "published_at", "text", "symbols"}


def test_a_replay_shifts_every_time_alike() -> None:
    later = datetime(2031, 7, 1, 9, 0, tzinfo=UTC)
    first = POSTS[0]
    assert time_of(first, later) - time_of(first) == later - DAY_START
    sent = msgspec.json.decode(value_of(first, later) or b"")
    assert sent["published_at"].endswith("Z")
    assert abs(datetime.fromisoformat(sent["published_at"]) - time_of(first, later)) < timedelta(
        milliseconds=1
    )


def test_closing_posts_are_neutral_distinct_and_on_both_channels() -> None:
    closing = closing_posts(per_channel=4, offset_seconds=DAY_SECONDS + 200)
    assert Counter(post.channel for post in closing) == {"news": 4, "chat": 4}
    assert len({post.id for post in closing}) == 8
    assert {(post.intended.sentiment, post.offset_seconds) for post in closing} == {
        ("neutral", DAY_SECONDS + 200)
    }
