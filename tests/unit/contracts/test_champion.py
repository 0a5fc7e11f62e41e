"""Which announcements count, what a rollback brings back, and that every reader of one log agrees."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamapp.contracts.champion import (
    Announcer,
    Champion,
    announcement,
    before,
    champions,
    rollback,
    succeed,
)
from streamapp.contracts.messages import ModelAnnounced

BY = Announcer(by="retrain", reason="better", at_ms=1)


def champion(version: str, sequence: int = 0) -> Champion:
    return Champion(
        sequence=sequence, model_name="m", model_version=version, bundle_digest=f"d-{version}", bundle_url=""
    )


def promoted(*versions: str) -> tuple[Champion, ...]:
    """The line of champions after these versions were announced one after the other."""
    log: list[ModelAnnounced] = []
    for version in versions[1:]:
        present = champions(champion(versions[0]), log)[-1]
        log.append(announcement(present, champion(version), BY, pinned=False))
    return champions(champion(versions[0]), log)


def versions_of(line: Sequence[Champion]) -> list[str]:
    return [each.model_version for each in line]


def test_a_record_counts_only_if_it_follows_and_replaces_the_champion() -> None:
    present = promoted("a", "b")[-1]
    fits = announcement(present, champion("c"), BY, pinned=False)
    assert succeed(present, fits).model_version == "c"
    for changes in ({"sequence": 1}, {"sequence": 3}, {"replaces": "d-a"}, {"replaces": None}):
        assert succeed(present, msgspec.structs.replace(fits, **changes)) is present


def test_the_first_record_counts_whatever_bundle_a_release_ships() -> None:
    first = announcement(champion("starter-of-the-last-release"), champion("b"), BY, pinned=False)
    assert versions_of(champions(champion("starter-of-this-release"), [first])) == [
        "starter-of-this-release", "b",
    ]  # fmt: skip


def test_an_empty_log_means_the_bundle_of_the_settings() -> None:
    assert champions(champion("a"), []) == (champion("a"),)


def test_a_rollback_brings_back_the_bundle_before_and_never_the_one_that_was_rolled_back() -> None:
    assert before(promoted("a")) is None
    line = promoted("a", "b", "c")
    back = before(line)
    assert back is not None
    assert back.model_version == "b"
    line = champions(line[-1], [rollback(line[-1], back, BY)])
    assert versions_of(line) == ["c", "b"]
    back = before(promoted("a", "b", "c", "b"))
    assert back is not None
    assert back.model_version == "a"
    assert before(promoted("a", "b", "a")) is None


def test_a_rollback_keeps_the_pin_and_a_promotion_says_it_anew() -> None:
    line = promoted("a", "b")
    pinned = succeed(line[-1], announcement(line[-1], champion("c"), BY, pinned=True))
    assert pinned.pinned
    assert succeed(pinned, rollback(pinned, line[-1], BY)).pinned
    assert not succeed(pinned, announcement(pinned, line[-1], BY, pinned=False)).pinned


WRITERS = 3
STEPS = st.lists(st.tuples(st.integers(0, WRITERS - 1), st.sampled_from(("read", "write"))), max_size=40)


def race(steps: Sequence[tuple[int, str]]) -> list[ModelAnnounced]:
    """What writers leave in the log that read it and write to it in this order, each from what it read last."""
    log: list[ModelAnnounced] = []
    seen = [champion("a")] * WRITERS
    for number, (writer, step) in enumerate(steps):
        if step == "read":
            seen[writer] = champions(champion("a"), log)[-1]
        else:
            by = Announcer(by=f"writer-{writer}", reason="", at_ms=number)
            log.append(announcement(seen[writer], champion(f"v{number}"), by, pinned=False))
    return log


@given(STEPS)
def test_of_racing_writers_one_wins_each_sequence_and_its_view_was_the_present_one(
    steps: list[tuple[int, str]],
) -> None:
    log = race(steps)
    line = champions(champion("a"), log)
    assert [each.sequence for each in line] == list(range(len(line)))
    counted = [
        record for record in log if any(each.announced_at_ms == record.announced_at_ms for each in line[1:])
    ]
    assert len(counted) == len(line) - 1
    for past, record in zip(line, counted, strict=False):
        assert record.replaces == past.bundle_digest
        assert record.sequence == past.sequence + 1
        rivals = [other for other in log if other.sequence == record.sequence]
        assert record is rivals[0], "the first of those with this sequence that knew the champion wins"


@given(STEPS, st.integers(0, 40))
def test_readers_that_begin_or_stop_anywhere_agree_on_what_they_both_read(
    steps: list[tuple[int, str]], cut: int
) -> None:
    log = race(steps)
    whole = champions(champion("a"), log)
    half = champions(champion("a"), log[:cut])
    assert whole[: len(half)] == half
    assert champions(half[-1], log[cut:])[-1] == whole[-1]
    other_release = champions(champion("another starter"), log)
    assert other_release[1:] == whole[1:]


@given(STEPS)
def test_a_record_that_is_written_twice_counts_once(steps: list[tuple[int, str]]) -> None:
    log = race(steps)
    doubled = [record for record in log for _ in range(2)]
    assert champions(champion("a"), doubled) == champions(champion("a"), log)
