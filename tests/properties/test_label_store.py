"""Any sequence of labels, in any batches, again and again, from any point: the same labels hold, the same history."""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.core.labels import StoredRecord
from retrain.label_store import LabelStore
from streamapp.contracts.messages import Label, SourceOffset

UUID = "kZ3yQn0hT1mJ7w2bXc9LrA"

labels = st.builds(
    Label,
    post_id=st.sampled_from(["n-1", "n-2", "n-3"]),
    text=st.sampled_from(["Shares fall", "Shares rise", None]),
    channel=st.just("news"),
    sentiment=st.sampled_from(["negative", "positive", None]),
    topic=st.sampled_from(["macro", "earnings", None]),
    author=st.sampled_from(["ana", "bo"]),
    labelled_at_ms=st.integers(0, 5),
    origin=st.sampled_from(["person", "import", "rule"]),
    drawn=st.sampled_from(["audit", "none"]),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Label], list[list[int]]]:
    """Labels, and batches of their numbers: whole deliveries, each from some point on and cut somewhere."""
    made = draw(st.lists(labels, min_size=1, max_size=12))
    batches: list[list[int]] = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(made) - 1))
        stop = draw(st.integers(start, len(made)))
        batches += cut(list(range(start, stop)), draw)
    batches += cut(draw(st.permutations(range(len(made)))), draw)  # in the end everything was delivered
    return made, batches


def cut(numbers: Sequence[int], draw: st.DrawFn) -> list[list[int]]:
    batches = []
    while numbers:
        size = draw(st.integers(1, len(numbers)))
        batches.append(list(numbers[:size]))
        numbers = numbers[size:]
    return batches


def expected(made: list[Label]) -> dict[str, tuple[Any, ...]]:
    """What holds for each post, worked out anew: people over rules, then the newest that says something."""
    by_post: dict[str, list[Label]] = defaultdict(list)
    for each in made:
        by_post[each.post_id].append(each)
    held = {}
    for post_id, said in by_post.items():
        people = [each for each in said if each.origin != "rule"] or said
        held[post_id] = tuple(
            {
                getattr(each, part)
                for each in people
                if moment is not None and each.labelled_at_ms == moment and getattr(each, part)
            }
            for part in ("sentiment", "topic")
            for moment in [max((each.labelled_at_ms for each in people if getattr(each, part)), default=None)]
        )
    return held


@settings(max_examples=60, deadline=None)
@given(deliveries())
def test_redelivery_in_any_batches_changes_neither_labels_nor_history(
    delivered: tuple[list[Label], list[list[int]]],
) -> None:
    made, batches = delivered
    records = [
        StoredRecord(position=SourceOffset(UUID, 0, offset), received_at_ms=10, label=each)
        for offset, each in enumerate(made)
    ]
    with tempfile.TemporaryDirectory() as folder:
        with LabelStore(Path(folder) / "once.sqlite") as once:
            once.add(records)
            current, history = once.current(), once.history()
            positions = once.positions()
        # Under the same key authors have the same hash.
        (Path(folder) / "often.sqlite.key").write_bytes((Path(folder) / "once.sqlite.key").read_bytes())
        (Path(folder) / "often.sqlite.key").chmod(0o600)
        with LabelStore(Path(folder) / "often.sqlite") as often:
            stored = sum(
                sum(often.add([records[number] for number in batch]).stored.values()) for batch in batches
            )
            assert (often.current(), often.history(), often.positions()) == (current, history, positions)
        assert stored == len(history) == len({encoded(each) for each in made})
        held = expected(made)
        for label in current:
            sentiments, topics = held[label.post_id]
            assert label.sentiment in (sentiments or {None})
            assert label.topic in (topics or {None})


def encoded(label: Label) -> tuple[Any, ...]:
    return (
        label.post_id,
        label.text,
        label.sentiment,
        label.topic,
        label.author,
        label.labelled_at_ms,
        label.origin,
        label.drawn,
    )
