from streamapp.agents.labelling import Labelling, LabelTopics, alert_messages
from streamapp.contracts.codec import decode
from streamapp.contracts.messages import Label, LabelRequest, ScoredPost
from streamapp.contracts.raw_record import RawRecord
from streamapp.core.intake import Rejected
from streamapp.metrics import LABEL_REQUESTS
from streamapp.settings import LabelSettings
from tests.label_posts import DOUBTFUL, PLACES, SURE, alert, scored_post

TOPICS = LabelTopics("ask", "say")
POSTS = [scored_post(0, verdict=SURE), scored_post(1, verdict=DOUBTFUL)]
RESULTS: list[ScoredPost | Rejected] = [POSTS[0], Rejected("not_json", "no"), POSTS[1]]
RECORDS = [
    RawRecord(
        topic="news", topic_uuid="N", partition=0, offset=n, timestamp_ms=0, headers=((f"trace{n}", b"1"),)
    )
    for n in range(3)
]


def test_a_request_is_keyed_by_the_post_and_carries_the_headers_of_its_own_record() -> None:
    before = LABEL_REQUESTS.labels("uncertain")._value.get()
    settings = LabelSettings(audit_share=0.0, requests_per_hour=800, requests_per_source_and_hour=800)
    (message,) = Labelling.of(settings, PLACES, TOPICS).messages(RECORDS, RESULTS)
    assert (message.topic, message.key) == ("ask", POSTS[1].post.id.encode())
    assert message.headers == (("trace2", b"1"),)
    assert decode(message.value or b"", LabelRequest).drawn == "uncertain"
    assert LABEL_REQUESTS.labels("uncertain")._value.get() == before + 1


def test_self_labels_come_only_where_they_are_switched_on() -> None:
    off, on = (
        LabelSettings(
            enabled=False, self_labels=self_labels, self_labels_per_hour=80, self_label_confidence=0.9
        )
        for self_labels in (False, True)
    )
    assert Labelling.of(off, PLACES, TOPICS).messages(RECORDS, RESULTS) == []
    (message,) = Labelling.of(on, PLACES, TOPICS).messages(RECORDS, RESULTS)
    assert (message.topic, message.key) == ("say", POSTS[0].post.id.encode())
    assert decode(message.value or b"", Label).origin == "rule"


def test_an_opening_alert_gives_the_same_messages_every_time() -> None:
    opened = alert("opened", "p1", "p2")
    messages = alert_messages("ask", [opened])
    assert [message.key for message in messages] == [b"p1", b"p2"]
    assert alert_messages("ask", [opened]) == messages
