"""From one version's counts to another's: what pairs say, how far they are believed, forwards, backwards, in steps."""

from math import sqrt

import pytest

from streamapp.contracts.messages import Channel, Sentiment, SwapPair, SwapPairs
from streamapp.core.swap_pairs import SwapLinks
from streamapp.core.version_scale import UNKNOWN_SPREAD, Counted, VersionScale

PAST = Counted(100.0, 300.0, 0.0, 100.0)


def pair(
    old: Sentiment,
    new: Sentiment,
    posts: int,
    topic: str = "x",
    new_topic: str | None = None,
    channel: Channel = "news",
) -> SwapPair:
    return SwapPair(channel=channel, topic=topic, old=old, new=new, posts=posts, new_topic=new_topic)


def scale_of(
    *pairs: SwapPair, gate: tuple[SwapPair, ...] = (), versions: tuple[str, str] = ("m-1", "m-2")
) -> VersionScale:
    links = SwapLinks()
    links.add(
        SwapPairs(
            worker="w", old_model_version=versions[0], new_model_version=versions[1], pairs=pairs, gate=gate
        ),
        None,
    )
    return VersionScale(links)


def agreeing(posts: int) -> tuple[SwapPair, ...]:
    return (pair("negative", "negative", posts // 4), pair("neutral", "neutral", posts - posts // 4))


def harsher(posts: int) -> tuple[SwapPair, ...]:
    """A tenth of the others turns negative: 30 % more of them."""
    turned = posts * 3 // 40
    return (
        pair("negative", "negative", posts // 4),
        pair("neutral", "negative", turned),
        pair("neutral", "neutral", posts - posts // 4 - turned),
    )


def forwards(scale: VersionScale, topic: str | None = "x", channel: str = "news") -> Counted:
    return scale.convert(PAST, ("m-1", "m-2"), channel, topic)


def test_models_that_agree_leave_the_past_as_it_is() -> None:
    found = forwards(scale_of(*agreeing(2_000)))
    assert found.negative == pytest.approx(100, rel=0.03)
    assert found.other == pytest.approx(300, rel=0.03)
    assert sqrt(found.variance) < 5


def test_a_harsher_model_raises_what_the_past_leads_to_expect_and_more_pairs_are_believed_more() -> None:
    few, many = forwards(scale_of(*harsher(200))), forwards(scale_of(*harsher(4_000)))
    assert many.negative == pytest.approx(130, rel=0.02)
    assert few.negative == pytest.approx(130, rel=0.06)
    assert sqrt(many.variance) < 0.5 * sqrt(few.variance)
    assert 0.03 < sqrt(few.variance) / few.negative < 0.15


def test_a_topic_without_pairs_of_its_own_goes_with_its_channel_and_a_company_too() -> None:
    pairs = (*harsher(2_000), *(pair("neutral", "neutral", 2_000, channel="chat"),))
    scale = scale_of(*pairs)
    assert forwards(scale, topic="unseen").negative == pytest.approx(130, rel=0.03)
    assert forwards(scale, topic=None).negative == pytest.approx(130, rel=0.03)
    assert forwards(scale, topic=None, channel="chat").negative < 105


def test_with_few_pairs_the_gates_matrix_is_believed() -> None:
    few = agreeing(8)
    alone, with_gate = forwards(scale_of(*few)), forwards(scale_of(*few, gate=harsher(2_000)))
    assert with_gate.negative > alone.negative + 5
    assert with_gate.negative == pytest.approx(130, rel=0.08)


def test_posts_that_move_leave_one_topic_and_enlarge_the_other() -> None:
    scale = scale_of(
        *agreeing(1_400),
        pair("negative", "negative", 150, "x", "y"),
        pair("neutral", "neutral", 450, "x", "y"),
        pair("negative", "negative", 50, "y"),
        pair("neutral", "neutral", 150, "y"),
    )
    source, target = forwards(scale, "x"), forwards(scale, "y")
    assert source.negative == pytest.approx(70, rel=0.03)
    assert source.other == pytest.approx(210, rel=0.03)
    # 600 posts come to 200: a quarter of them negative.
    assert target.negative == pytest.approx(400, rel=0.05)
    assert target.other == pytest.approx(1_200, rel=0.05)


def test_a_rollback_needs_no_pairs_of_its_own() -> None:
    scale = scale_of(*harsher(4_000))
    there = forwards(scale)
    back = scale.convert(there._replace(variance=0.0), ("m-2", "m-1"), "news", "x")
    assert back.negative == pytest.approx(PAST.negative, rel=0.03)


def test_versions_are_reached_over_others() -> None:
    links = SwapLinks()
    for old, new in (("m-1", "m-2"), ("m-2", "m-3")):
        links.add(
            SwapPairs(worker="w", old_model_version=old, new_model_version=new, pairs=harsher(4_000)), None
        )
    found = VersionScale(links).convert(PAST, ("m-1", "m-3"), "news", "x")
    assert found.negative == pytest.approx(130 + 27, rel=0.03)
    assert found.variance > forwards(VersionScale(links)).variance


def test_without_a_way_between_versions_the_past_stays_and_is_doubted() -> None:
    found = VersionScale(SwapLinks()).convert(PAST, ("m-1", "m-9"), "news", "x")
    assert (found.negative, found.other) == (PAST.negative, PAST.other)
    assert sqrt(found.variance) == pytest.approx(UNKNOWN_SPREAD * PAST.negative)


def test_pairs_that_come_later_count_at_once() -> None:
    links = SwapLinks()
    scale = VersionScale(links)
    before = scale.convert(PAST, ("m-1", "m-2"), "news", "x")
    links.add(
        SwapPairs(worker="w", old_model_version="m-1", new_model_version="m-2", pairs=harsher(4_000)), None
    )
    assert before.negative == PAST.negative
    assert scale.convert(PAST, ("m-1", "m-2"), "news", "x").negative > 125
