from streamapp.contracts.messages import SourceOffset
from streamapp.core.event_time import HOUR_MS
from streamapp.core.label_caps import (
    KEPT_HOURS,
    MAX_STORIES,
    HourlyCounts,
    StoriesTold,
    allowed_by_now,
    share_of,
    source_places,
)
from streamapp.core.story import LEADER_AGE_MS, scatter


def test_the_shares_of_an_hour_add_up_to_the_cap_whatever_the_number_of_partitions() -> None:
    for cap in (0, 1, 7, 48, 1_000):
        for partitions in (1, 3, 8, 64):
            for hour in (0, 5, 497_222):
                shares = [share_of(cap, place, partitions, hour) for place in range(partitions)]
                assert sum(shares) == cap
                assert max(shares) - min(shares) <= 1


def test_a_cap_below_the_number_of_partitions_reaches_every_one_in_turn() -> None:
    asked = {place for hour in range(8) for place in range(8) if share_of(1, place, 8, hour)}
    assert asked == set(range(8))


def test_a_share_opens_as_its_hour_goes_on() -> None:
    minutes = [allowed_by_now(6, 7 * HOUR_MS + minute * 60_000) for minute in (0, 9, 10, 30, 59)]
    assert minutes == [1, 1, 2, 4, 6]
    assert allowed_by_now(0, 0) == 0


def test_places_stand_in_a_row_and_a_topic_without_any_has_none() -> None:
    places = source_places({"N": 4, "C": 2})
    found = [
        places.of(SourceOffset(uuid, partition, 0)) for uuid, partition in (("N", 3), ("C", 0), ("R", 0))
    ]
    assert found == [3, 4, None]
    assert places.partitions == 6


def test_counts_are_kept_for_the_newest_hours_only() -> None:
    counts = HourlyCounts()
    for hour in range(100):
        kept = counts.at(hour)
        assert kept is not None
        kept["a"] += 1
    assert counts.at(99 - KEPT_HOURS) is None
    assert [tally["a"] for hour in (97, 98, 99) if (tally := counts.at(hour)) is not None] == [1, 1, 1]
    assert len(counts._hours) == KEPT_HOURS


def test_a_near_copy_of_a_story_is_known_for_six_hours() -> None:
    stories = StoriesTold()
    stories.note(0b1111, 1_000)
    assert stories.knows(0b0111, 1_000 + LEADER_AGE_MS)
    assert not stories.knows(0b0111, 1_001 + LEADER_AGE_MS)
    assert not stories.knows(scatter(5), 1_000)


def test_the_oldest_story_makes_room() -> None:
    stories = StoriesTold()
    for number in range(MAX_STORIES + 1):
        stories.note(scatter(number), 0)
    assert not stories.knows(scatter(0), 0)
    assert stories.knows(scatter(1), 0)
    assert stories.knows(scatter(MAX_STORIES), 0)
