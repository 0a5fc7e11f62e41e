"""Of a post's labels the newest person's holds, part by part; rules give way; order and repeats change nothing."""

from typing import Any

from retrain.core.labels import KnownPost, LabelEntry, StoredRecord, make_entry, settle
from streamapp.contracts.messages import CompanyMention, Label, SourceOffset


def entry(at: int, **said: Any) -> LabelEntry:
    defaults: dict[str, Any] = {
        "post_id": "n-1",
        "author": "a",
        "origin": "person",
        "text": "Shares fall",
        "channel": "news",
    }
    return LabelEntry(labelled_at_ms=at, **{**defaults, **said})


def test_the_newest_person_wins_over_an_older_one() -> None:
    older, newer = entry(1, sentiment="negative"), entry(2, sentiment="positive", author="b")
    for order in ([older, newer], [newer, older], [newer, older, newer]):
        settled = settle(order)
        assert settled is not None
        assert (settled.sentiment, settled.labelled_at_ms) == ("positive", 2)


def test_a_person_wins_over_a_younger_rule_and_no_part_of_the_rule_is_left() -> None:
    settled = settle(
        [entry(1, sentiment="negative"), entry(9, origin="rule", sentiment="positive", topic="macro")]
    )
    assert settled is not None
    assert (settled.sentiment, settled.topic, settled.origin) == ("negative", None, "person")


def test_an_import_is_a_person_elsewhere_and_counts_by_its_own_time() -> None:
    settled = settle([entry(5, origin="import", sentiment="neutral"), entry(3, sentiment="negative")])
    assert settled is not None
    assert (settled.sentiment, settled.origin) == ("neutral", "import")


def test_what_a_label_does_not_say_leaves_standing_what_an_older_one_said() -> None:
    settled = settle(
        [entry(1, sentiment="negative", topic="macro"), entry(2, topic="earnings"), entry(3, companies=())]
    )
    assert settled is not None
    assert (settled.sentiment, settled.topic, settled.companies) == ("negative", "earnings", ())


def test_a_rule_holds_where_no_person_spoke() -> None:
    settled = settle(
        [entry(1, origin="rule", sentiment="negative"), entry(2, origin="rule", sentiment="neutral")]
    )
    assert settled is not None
    assert (settled.sentiment, settled.origin) == ("neutral", "rule")


def test_text_and_channel_come_from_the_request_where_no_label_brought_them() -> None:
    label = entry(1, sentiment="negative", text=None, channel=None)
    assert settle([label]) is None
    known = KnownPost(text="From the queue", channel="chat", source="forum", drawn="novel")
    settled = settle([label], known)
    assert settled is not None
    assert (settled.text, settled.channel, settled.source, settled.drawn) == (
        "From the queue",
        "chat",
        "forum",
        "novel",
    )


def test_a_post_that_was_drawn_uniformly_stays_so_whatever_else_brought_it_up() -> None:
    settled = settle(
        [entry(1, sentiment="negative", drawn="audit"), entry(2, sentiment="neutral", drawn="uncertain")]
    )
    assert settled is not None
    assert settled.drawn == "audit"


def test_companies_marked_in_another_text_lose_their_spans() -> None:
    marked = entry(1, text="$NVDA falls", companies=(CompanyMention(symbol="NVDA", span=(0, 5)),))
    kept, corrected = (
        settle([marked]),
        settle([marked, entry(2, text="Correction: it rose", sentiment="positive")]),
    )
    assert kept is not None
    assert corrected is not None
    assert kept.companies == (CompanyMention(symbol="NVDA", span=(0, 5)),)
    assert corrected.companies == (CompanyMention(symbol="NVDA"),)


def test_a_label_that_says_nothing_makes_no_training_label() -> None:
    assert settle([entry(1)]) is None
    assert settle([]) is None


def test_a_label_from_the_future_is_as_old_as_its_record() -> None:
    def made(labelled_at_ms: int) -> int:
        label = Label(
            post_id="n-1", sentiment="negative", author="ana", labelled_at_ms=labelled_at_ms, origin="person"
        )
        position = SourceOffset("uuid", 0, 1)
        record = StoredRecord(position=position, received_at_ms=1_000_000, label=label)
        return make_entry(record, "hash").labelled_at_ms

    assert made(1_500_000) == 1_500_000
    assert made(4_000_000_000_000) == 1_000_000
