"""A part that fails is asked again, said by name, and given up after a bounded time; a stop is heard meanwhile."""

import pytest
from kafka.errors import KafkaConnectionError

from retrain.patience import BrokenPartError, StoppedError, patiently
from retrain.run_book import RunBookError
from streamapp.inference.model_store import StoreError


class Heard:
    def __init__(self) -> None:
        self.said: list[tuple[str, str | None]] = []

    def trouble(self, part: str, words: str | None) -> None:
        self.said.append((part, words))


def failing(times: int, error: Exception) -> "list[Exception]":
    return [error] * times


def ask_from(failures: list[Exception]) -> str:
    if failures:
        raise failures.pop()
    return "answer"


def test_an_answer_at_last_ends_the_trouble() -> None:
    heard, failures = Heard(), failing(2, StoreError("bucket s3://b: 503"))
    assert patiently(lambda: ask_from(failures), 60, lambda: False, heard) == "answer"
    assert heard.said == [("model store", "StoreError: bucket s3://b: 503")] * 2 + [("model store", None)]


@pytest.mark.parametrize(
    ("error", "part"),
    [(StoreError("x"), "model store"), (RunBookError("x"), "disk"), (KafkaConnectionError("x"), "broker")],
)
def test_a_part_that_stays_away_is_given_up_by_name(error: Exception, part: str) -> None:
    heard, failures = Heard(), failing(99, error)
    with pytest.raises(BrokenPartError, match=part) as raised:
        patiently(lambda: ask_from(failures), 0.0, lambda: False, heard)
    assert raised.value.part == part
    assert (part, None) not in heard.said


def test_what_is_no_broken_part_is_raised_at_once() -> None:
    failures = failing(1, ZeroDivisionError("a fault of ours"))
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: ask_from(failures), 60, lambda: False, Heard())


def test_a_stop_is_heard_between_two_attempts() -> None:
    failures = failing(99, StoreError("x"))
    with pytest.raises(StoppedError):
        patiently(lambda: ask_from(failures), 60, lambda: len(failures) < 98, Heard())
