"""A model that has begun to serve is held to its limits, and a quiet or short time says nothing."""

from streamapp.core.admission import Refuse
from streamapp.core.probation import Pace, Probation, ProbationRules

RULES = ProbationRules(least_posts=100, window_batches=20, most_error_share=0.05, most_slowdown=3.0)
BEFORE = 0.001


def run(
    batches: int,
    *,
    errors: int = 0,
    seconds_a_token: float = BEFORE,
    before: float | None = BEFORE,
    posts: int = 10,
) -> list[Refuse | None]:
    """What each of so many equal batches of 200 tokens brings."""
    probation = Probation(RULES, before)
    return [
        probation.observe(posts, errors, Pace(200 * number * seconds_a_token, 200 * number))
        for number in range(1, batches + 1)
    ]


def test_a_model_as_good_as_the_one_before_stays() -> None:
    assert set(run(100)) == {None}


def test_errors_above_the_share_end_it_as_soon_as_there_are_enough_posts() -> None:
    verdicts = run(10, errors=1)
    assert verdicts[:9] == [None] * 9
    assert verdicts[9] == Refuse("it cannot read 10 of its last 100 posts", "errors")


def test_a_pace_beyond_the_limit_ends_it() -> None:
    verdict = run(10, seconds_a_token=4 * BEFORE)[-1]
    assert verdict is not None
    assert verdict.cause == "latency"
    assert "4.0 times as long" in verdict.reason
    assert run(10, seconds_a_token=2.9 * BEFORE)[-1] is None


def test_without_a_known_pace_before_only_errors_count() -> None:
    assert set(run(50, seconds_a_token=99.0, before=None)) == {None}


def test_only_the_last_batches_count() -> None:
    probation = Probation(RULES, None)
    for number in range(5):
        assert probation.observe(10, 3, Pace()) is None, number
    assert [probation.observe(100, 0, Pace()) for _ in range(25)][-1] is None


def test_a_pace_needs_enough_tokens() -> None:
    assert Pace(1.0, 999).seconds_a_token() is None
    assert Pace(1.0, 1000).seconds_a_token() == 0.001
    assert Pace(5.0, 50).since(Pace(2.0, 20)) == Pace(3.0, 30)
