"""What `streamapp bench swap` says of memory over many swaps."""

from streamapp.bench.swap import EARLY_SWAP, TREND_SWAPS, memory_trend

MB = 1 << 20
SETTLING = [900 * MB] * (EARLY_SWAP - 1)


def test_a_last_reading_that_is_off_hardly_moves_the_trend() -> None:
    readings = SETTLING + [300 * MB] * (2 * TREND_SWAPS - 1) + [330 * MB]
    assert memory_trend(readings) == (
        "+1.0% from the mean of 10 swaps to that of the last 10; all between 300 MB and 330 MB"
    )


def test_memory_that_grows_at_every_swap_shows() -> None:
    readings = SETTLING + [(300 + 3 * swap) * MB for swap in range(3 * TREND_SWAPS)]
    assert memory_trend(readings).startswith("+19.1%")


def test_few_swaps_tell_no_trend() -> None:
    assert memory_trend([300 * MB] * (EARLY_SWAP + 2 * TREND_SWAPS - 2)) == "not told by fewer than 24 swaps"
