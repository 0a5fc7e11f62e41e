"""What the learning demo counts: verdicts by the model that gave them, and books that balance across the swap."""

import msgspec

from streamapp.contracts.messages import Channel, Label, ModelAnnounced, ModelEvent, ModelEventKind
from streamapp.contracts.raw_record import RawRecord
from streamapp.local.demo_learning_figures import LearningFigures, meanings
from streamapp.local.sample import Intended, SamplePost
from tests.unit.local.demo_records import INPUTS, PREFIX, dead, record, scored

MEANT: dict[tuple[Channel, str], Intended] = {
    ("news", "Acme files"): Intended("negative", "energy_oil", "s-1")
}


def by_model(version: str, given: RawRecord) -> RawRecord:
    message = msgspec.json.decode(given.value or b"")
    return msgspec.structs.replace(given, value=msgspec.json.encode({**message, "model_version": version}))


def figures(*records: RawRecord) -> LearningFigures:
    made = LearningFigures(PREFIX, INPUTS, MEANT)
    for each in records:
        made.apply(each)
    return made


def test_verdicts_are_counted_by_the_model_that_gave_them_and_compared_with_what_was_meant() -> None:
    made = figures(
        by_model("old", scored(0, "neutral")),
        by_model("new", scored(1, "negative")),
        by_model("new", scored(2, "negative", text="unknown")),
    )
    old, new = made.versions()
    assert (old.version, old.verdicts, old.as_meant) == ("old", 1, 0)
    assert (new.version, new.verdicts, new.as_meant, new.sentiments["negative"]) == ("new", 2, 1, 2)
    assert made.verdicts("new") == 2


def test_the_books_balance_only_when_every_record_has_its_fate_and_a_model_with_a_name() -> None:
    made = figures(by_model("old", scored(0)), dead(1), by_model("new", scored(2)))
    assert made.books(3).balanced
    assert not made.books(4).balanced
    nameless = figures(by_model("", scored(0))).books(1)
    assert (nameless.unversioned, nameless.balanced) == (1, False)


def test_a_post_that_two_versions_scored_is_counted_once_and_told() -> None:
    books = figures(by_model("old", scored(0)), by_model("new", scored(0))).books(1)
    assert (books.scored, books.by_two_versions, books.repeated_records) == (1, 1, 1)


def test_a_dead_letter_of_another_topic_is_no_post_and_a_record_of_an_input_says_nothing() -> None:
    made = figures(dead(0, "bad_label", topic="x-labels"), record("x-news"))
    assert made.books(0).balanced


def test_labels_are_counted_and_what_workers_say_of_an_announcement_is_news() -> None:
    made = LearningFigures(PREFIX, INPUTS, {})
    label = Label(post_id="p", text="t", author="a", labelled_at_ms=1, origin="import", sentiment="neutral")
    assert made.apply(record("x-labels", label)) is None
    assert made.labels == 1
    announced = ModelAnnounced(
        model_name="m",
        model_version="m-2",
        sequence=1,
        replaces="d",
        bundle_digest="e",
        bundle_url="u",
        announced_at_ms=1,
        announced_by="service:retrain",
        reason="better\x1b[31m",
    )
    told = made.apply(record("x-model-announcements", announced))
    assert told is not None
    assert "m-2" in told
    assert "\x1b" not in told
    assert made.apply(record("x-model-events", event("serving"))) == "worker-0 serving m-2: why"
    assert made.has("serving")
    assert not made.has("refused")


def event(kind: ModelEventKind) -> ModelEvent:
    return ModelEvent(
        model_name="m",
        model_version="m-2",
        sequence=1,
        worker="worker-0",
        event=kind,
        happened_at_ms=1,
        detail="why",
    )


def test_a_meaning_is_found_by_channel_and_cleaned_text() -> None:
    post = SamplePost(
        offset_seconds=1,
        channel="chat",
        source="s",
        text="Oil &amp; gas  up",
        intended=Intended("positive", "energy_oil", "s-2"),
    )
    assert list(meanings([post])) == [("chat", "Oil & gas up")]
