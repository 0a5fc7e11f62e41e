"""Which texts share a forward pass."""

from hypothesis import given
from hypothesis import strategies as st

from streamapp.inference.token_budget import plan_batches

LENGTHS = st.lists(st.integers(0, 300), max_size=120)


@given(LENGTHS, st.integers(1, 600))
def test_every_text_is_in_exactly_one_batch(lengths: list[int], token_budget: int) -> None:
    batches = plan_batches(lengths, token_budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 600))
def test_no_batch_is_over_the_budget_with_its_padding_unless_one_text_is(
    lengths: list[int], token_budget: int
) -> None:
    for batch in plan_batches(lengths, token_budget):
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= token_budget


@given(LENGTHS, st.integers(1, 600))
def test_the_plan_is_the_same_every_time_and_longest_first(lengths: list[int], token_budget: int) -> None:
    batches = plan_batches(lengths, token_budget)
    assert batches == plan_batches(lengths, token_budget)
    longest = [max(lengths[index] for index in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_alone_means_one_text_a_batch() -> None:
    assert plan_batches([3, 9, 5], 10_000, alone=True) == [[1], [2], [0]]


def test_one_long_text_does_not_set_the_width_for_the_short_ones() -> None:
    assert plan_batches([200, 10, 10, 10], 256) == [[0], [1, 2, 3]]


def test_an_empty_backlog_is_an_empty_plan() -> None:
    assert plan_batches([], 256) == []
