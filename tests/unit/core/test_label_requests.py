from collections import Counter
from typing import get_args

import pytest

from streamapp.contracts.messages import (
    AlertState,
    DrawnBy,
    ScoredPost,
    TopicVerdict,
    Verdict,
)
from streamapp.core.event_time import HOUR_MS
from streamapp.core.label_caps import source_places
from streamapp.core.label_requests import (
    AuditDraw,
    LabelRules,
    RequestChooser,
    alert_requests,
    margin_of,
    request_of,
)
from streamapp.core.novelty import Vocabulary
from streamapp.core.story import Evidence
from tests.label_posts import BASE_MS, DOUBTFUL, PLACES, SURE, alert, scored_post, sentiment

NO_AUDIT = LabelRules(audit_share=0.0, requests_per_hour=100, requests_per_source_and_hour=100)
ONE = source_places({"N": 1})
END_MS = BASE_MS + HOUR_MS - 1


def chosen(
    posts: list[ScoredPost], rules: LabelRules = NO_AUDIT, chooser: RequestChooser | None = None
) -> list[DrawnBy | None]:
    return (chooser or RequestChooser(rules, ONE, Vocabulary(warm_up_posts=0))).choose(posts)


def test_the_rate_gives_the_audit_its_share_of_the_cap_at_the_expected_traffic() -> None:
    rules = LabelRules(requests_per_hour=50, audit_share=0.2, expected_posts_per_hour=5_000)
    assert rules.audit_rate * 5_000 == pytest.approx(10)
    assert rules.others_per_hour == 40
    draw = AuditDraw(rules.audit_rate)
    drawn = sum(draw.draws(scored_post(offset).source_offset) for offset in range(500_000))
    assert 900 < drawn < 1_100


def test_a_rate_of_one_draws_all_and_of_none_nothing() -> None:
    posts = [scored_post(offset, verdict=DOUBTFUL) for offset in range(50)]
    everything = LabelRules(requests_per_hour=100, audit_share=1.0, expected_posts_per_hour=1)
    assert set(chosen(posts, everything)) == {"audit"}
    assert set(chosen(posts, LabelRules(requests_per_hour=0))) == {None}


def test_a_lower_rate_draws_a_subset() -> None:
    low, high = AuditDraw(0.01), AuditDraw(0.1)
    offsets = [scored_post(offset).source_offset for offset in range(20_000)]
    assert {offset for offset in offsets if low.draws(offset)} < {
        offset for offset in offsets if high.draws(offset)
    }


def test_partitions_and_recreated_topics_are_drawn_apart() -> None:
    draw = AuditDraw(0.5)
    rows = {
        place: [draw.draws(scored_post(offset, source_partition=place).source_offset) for offset in range(64)]
        for place in (("N", 0), ("N", 1), ("N2", 0))
    }
    assert len({tuple(row) for row in rows.values()}) == 3


def test_an_audited_post_is_audited_whatever_it_says_and_however_full_the_caps_are() -> None:
    rules = LabelRules(requests_per_hour=1, audit_share=0.5, expected_posts_per_hour=10)
    plain = [scored_post(offset) for offset in range(2_000)]
    hard = [
        scored_post(
            offset,
            verdict=DOUBTFUL,
            story=1,
            source="x",
            flags=("other_language",),
            duplicate=offset % 2 == 1,
        )
        for offset in range(2_000)
    ]
    audits = [drawn == "audit" for drawn in chosen(plain, rules)]
    assert sum(audits) > 50
    assert [drawn == "audit" for drawn in chosen(hard, rules)] == audits


def test_a_doubtful_post_is_asked_about_and_a_sure_one_is_not() -> None:
    assert chosen([scored_post(0), scored_post(1, verdict=DOUBTFUL)]) == [None, "uncertain"]


def test_margin_is_the_lead_of_the_likeliest_sentiment() -> None:
    assert margin_of(Verdict(sentiment=sentiment(0.5, 0.3, 0.2))) == pytest.approx(0.2)
    assert margin_of(Verdict(topic=TopicVerdict("macro", 0.55))) == pytest.approx(0.1)
    assert margin_of(Verdict(topic=TopicVerdict("macro", 0.3))) == 0.0
    assert margin_of(Verdict()) == 1.0


def test_copies_and_posts_in_another_language_are_not_doubtful() -> None:
    posts = [
        scored_post(0, verdict=DOUBTFUL, duplicate=True),
        scored_post(1, verdict=DOUBTFUL, flags=("other_language",)),
    ]
    assert chosen(posts) == [None, None]


def test_a_story_is_asked_about_once() -> None:
    posts = [scored_post(offset, verdict=DOUBTFUL, story=7, event_time_ms=END_MS) for offset in range(3)]
    assert chosen(posts) == ["uncertain", None, None]


def test_a_story_that_the_audit_asks_about_is_not_asked_about_again() -> None:
    rules = LabelRules(audit_share=0.5, requests_per_hour=1_000, expected_posts_per_hour=10_000)
    draw = AuditDraw(rules.audit_rate)
    audited = next(n for n in range(1_000) if draw.draws(scored_post(n).source_offset))
    other = next(n for n in range(audited + 1, 2_000) if not draw.draws(scored_post(n).source_offset))
    posts = [scored_post(number, verdict=DOUBTFUL, story=7) for number in (audited, other)]
    assert chosen(posts, rules) == ["audit", None]


def test_the_bar_falls_where_many_are_doubtful_so_that_the_most_doubtful_are_asked_about() -> None:
    rules = LabelRules(
        audit_share=0.0, requests_per_hour=50, requests_per_source_and_hour=50, expected_posts_per_hour=20_000
    )
    chooser = RequestChooser(rules, ONE, Vocabulary())
    posts = []
    for offset in range(20_000):
        margin = (offset * 7919 % 1_000) / 5_000
        high = (1.0 + margin) / 2
        moment_ms = BASE_MS + offset * HOUR_MS // 20_000
        posts.append(
            scored_post(offset, verdict=sentiment(high, 1 - high, 0.0), event_time_ms=moment_ms, topic=None)
        )
    asked = [post for post, drawn in zip(posts, chosen(posts, chooser=chooser), strict=True) if drawn]
    late = [margin_of(post.verdict) for post in asked[len(asked) // 2 :]]
    assert len(asked) == 50
    assert sum(late) / len(late) < 0.01
    assert sum(margin_of(post.verdict) for post in posts) / len(posts) > 0.09


def test_sources_share_the_hour() -> None:
    rules = LabelRules(audit_share=0.0, requests_per_hour=100, requests_per_source_and_hour=3)
    posts = [
        scored_post(offset, verdict=DOUBTFUL, source=source, event_time_ms=END_MS)
        for offset, source in enumerate(["loud"] * 50 + ["quiet"] * 2 + [None] * 2)
    ]
    drawn = chosen(posts, rules)
    assert [
        drawn[:50].count("uncertain"),
        drawn[50:52].count("uncertain"),
        drawn[52:].count("uncertain"),
    ] == [3, 2, 2]


def test_a_subject_takes_a_quarter_of_the_hour_at_most() -> None:
    posts = [
        scored_post(offset, verdict=DOUBTFUL, topic=topic, event_time_ms=END_MS)
        for offset, topic in enumerate(["macro"] * 60 + ["ipo"] * 3)
    ]
    drawn = chosen(posts)
    assert drawn[:60].count("uncertain") == 25
    assert drawn[60:].count("uncertain") == 3


def test_a_flood_of_novel_posts_leaves_room_for_the_doubtful_ones() -> None:
    vocabulary = Vocabulary(warm_up_posts=0)
    flood = [
        scored_post(
            offset,
            text=" ".join(
                f"{letter}{chr(97 + offset // 26)}{chr(97 + offset % 26)}q" for letter in "abcdefgh"
            ),
            topic="macro",
            event_time_ms=END_MS,
        )
        for offset in range(400)
    ]
    doubtful = [
        scored_post(1_000 + n, verdict=DOUBTFUL, topic="macro", event_time_ms=END_MS) for n in range(40)
    ]
    drawn = chosen([*flood, *doubtful], chooser=RequestChooser(NO_AUDIT, ONE, vocabulary))
    assert Counter(drawn) == {None: 390, "novel": 25, "uncertain": 25}


def test_novel_posts_take_half_of_the_hour_at_most() -> None:
    posts = [
        scored_post(offset, text=f"{chr(97 + offset // 26)}{chr(97 + offset % 26)}qua zeppelin{'x' * (offset % 9)} "
                    + " ".join(f"{chr(97 + offset // 26)}{chr(97 + offset % 26)}{chr(97 + k)}wor" for k in range(6)),
                    event_time_ms=END_MS)
        for offset in range(400)
    ]  # fmt: skip
    assert chosen(posts).count("novel") == 50


def test_a_redriven_post_is_audited_and_not_asked_about_otherwise() -> None:
    posts = [scored_post(offset, source_partition=("R", 0), verdict=DOUBTFUL) for offset in range(5_000)]
    drawn = chosen(posts, LabelRules(expected_posts_per_hour=1_000))
    assert set(drawn) == {None, "audit"}


def test_posts_of_hours_long_past_are_not_asked_about() -> None:
    posts = [
        scored_post(0, verdict=DOUBTFUL, event_time_ms=BASE_MS),
        scored_post(1, verdict=DOUBTFUL, event_time_ms=BASE_MS - 2 * HOUR_MS),
        scored_post(2, verdict=DOUBTFUL, event_time_ms=BASE_MS - 3 * HOUR_MS),
    ]
    assert chosen(posts) == ["uncertain", "uncertain", None]


def test_a_request_carries_the_post_and_what_the_model_said() -> None:
    post = scored_post(3, verdict=DOUBTFUL)
    request = request_of(post, "uncertain")
    assert (request.post_id, request.text, request.verdict) == (post.post.id, post.post.text, post.verdict)
    assert (request.drawn, request.model_version, request.source) == ("uncertain", "m-1", "wire")


def test_an_audit_request_is_blind_and_the_same_whichever_model_scored_the_post() -> None:
    requests = {request_of(scored_post(3, verdict=verdict), "audit") for verdict in (SURE, DOUBTFUL)}
    (request,) = requests
    assert (request.verdict, request.model_version) == (None, None)


def test_an_alert_that_opens_asks_about_its_top_stories_once_each() -> None:
    requests = alert_requests(alert("opened", "p1", "p2", "p1"))
    assert [(request.post_id, request.text, request.channel, request.drawn) for request in requests] == [
        ("p1", "headline p1", "chat", "alert"),
        ("p2", "headline p2", "chat", "alert"),
    ]


@pytest.mark.parametrize("state", [state for state in get_args(AlertState) if state != "opened"])
def test_later_revisions_of_an_alert_ask_nothing(state: AlertState) -> None:
    assert alert_requests(alert(state, "p1")) == []


@pytest.mark.parametrize("post_id", ["p" * 200, "é" * 100, "a" + "é" * 100, "aa" + "\N{MONEY BAG}" * 50])
def test_a_post_id_that_trend_state_cut_is_not_asked_about(post_id: str) -> None:
    cut = Evidence.of("headline", post_id, "news").post_id
    assert cut != post_id
    assert alert_requests(alert("opened", cut)) == []
    assert len(alert_requests(alert("opened", "p" * 76))) == 1


def test_the_memory_of_a_worker_stays_bounded() -> None:
    chooser = RequestChooser(
        LabelRules(requests_per_hour=10_000, requests_per_source_and_hour=10_000), PLACES
    )
    for hour in range(200):
        chooser.choose(
            scored_post(hour * 40 + step, verdict=DOUBTFUL, source=f"s{step}-{hour}", topic=f"t{step}",
                        event_time_ms=BASE_MS + hour * HOUR_MS + step * 60_000)
            for step in range(40)
        )  # fmt: skip
    assert sum(len(counts._hours) for counts in chooser._counts.values()) <= 3
    assert len(chooser._stories._told) <= 256
