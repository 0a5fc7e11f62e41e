"""Paired counts of the workers: merged, repeated, bounded, kept."""

import itertools

from streamapp.contracts.messages import Sentiment, SwapPair, SwapPairs
from streamapp.core.event_time import HOUR_MS
from streamapp.core.swap_pairs import CAME, KEPT_MS, LEFT, MAX_CELLS, MAX_LINKS, STAYED, SwapLinks


def pair(
    topic: str | None, old: Sentiment, new: Sentiment, posts: int, new_topic: str | None = None
) -> SwapPair:
    return SwapPair(channel="news", topic=topic, old=old, new=new, posts=posts, new_topic=new_topic)


def report(worker: str, *pairs: SwapPair, versions: tuple[str, str] = ("m-1", "m-2")) -> SwapPairs:
    return SwapPairs(worker=worker, old_model_version=versions[0], new_model_version=versions[1], pairs=pairs)


REPORTS = (
    report("a", pair("x", "negative", "neutral", 3)),
    report("b", pair("x", "negative", "negative", 5), pair("y", "positive", "negative", 2, new_topic="x")),
    report("c", pair(None, "neutral", "negative", 1)),
)


def test_reports_of_several_workers_add_up_in_any_order() -> None:
    found = []
    for order in itertools.permutations(REPORTS):
        links = SwapLinks()
        for each in order:
            links.add(each, 0)
        found.append(links.saved())
    assert all(saved == found[0] for saved in found)
    assert len(found[0][0].workers) == 3


def test_a_report_that_comes_again_changes_nothing() -> None:
    links = SwapLinks()
    links.add(REPORTS[0], 0)
    before, revision = links.saved(), links.revision
    links.add(REPORTS[0], HOUR_MS)
    assert (links.saved(), links.revision) == (before, revision)


def test_a_post_that_changes_its_topic_leaves_one_and_comes_to_the_other() -> None:
    links = SwapLinks()
    links.add(
        report("a", pair("x", "negative", "neutral", 3, "y"), pair("x", "neutral", "neutral", 4, "")), 0
    )
    (link,) = links
    assert link.shadow["news", "x"][LEFT : LEFT + 4] == [0, 3, 0, 4]
    assert link.shadow["news", "y"][CAME : CAME + 4] == [0, 3, 0, 0]
    assert link.shadow["news", None][CAME : CAME + 4] == [0, 0, 0, 4]


def test_old_links_and_those_beyond_the_bound_are_dropped() -> None:
    links = SwapLinks()
    links.add(REPORTS[0], 0)
    links.add(report("a", versions=("m-2", "m-3")), KEPT_MS + 1)
    assert [link.new for link in links] == ["m-3"]
    for number in range(10):
        links.add(report("a", versions=(f"n-{number}", "m")), KEPT_MS + 1)
    assert [link.old for link in links] == [f"n-{number}" for number in range(10 - MAX_LINKS, 10)]


def test_topics_without_end_are_counted_as_no_topic_in_particular() -> None:
    links = SwapLinks()
    links.add(report("a", *(pair(f"t{number}", "negative", "negative", 1) for number in range(1_000))), 0)
    (link,) = links
    assert len(link.shadow) <= MAX_CELLS + 1
    assert sum(counts[STAYED] for counts in link.shadow.values()) == 1_000


def test_links_are_the_same_after_they_were_kept() -> None:
    links, again = SwapLinks(), SwapLinks()
    for each in REPORTS:
        links.add(each, 5)
    again.restore(links.saved())
    assert again.saved() == links.saved()
