"""The learning demo's stream goes as far as it is let, is dated in the present, and stops at once."""

import json
import threading
from datetime import UTC, datetime

import pytest

from streamapp.local.demo_learning_stream import Tempo, paced
from streamapp.local.publisher import ReplayStoppedError
from streamapp.local.sample import load_sample

DAY = load_sample()


def test_it_goes_up_to_the_record_that_it_is_let_and_stops_when_told() -> None:
    tempo, stop = Tempo(), threading.Event()
    tempo.go(3, 1e6)
    stream = paced(DAY, tempo, stop)
    first = [next(stream) for _ in range(3)]
    assert [record.due_ms for record in first] == [0, 1, 2]
    stop.set()
    with pytest.raises(ReplayStoppedError, match="after 3 records"):
        next(stream)


def test_let_go_on_it_tells_the_whole_day_dated_now() -> None:
    tempo = Tempo()
    tempo.go(len(DAY), 1e6)
    began = datetime.now(UTC)
    records = list(paced(DAY, tempo, threading.Event()))
    assert len(records) == len(DAY)
    dated = datetime.fromisoformat(json.loads(records[0].value or b"")["published_at"])
    assert abs((dated - began).total_seconds()) < 5
