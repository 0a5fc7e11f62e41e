"""The review in the terminal: what a key does, what is shown, and that strangers' text is not obeyed."""

import io

from rich.console import Console

from streamapp.contracts.messages import (
    DrawnBy,
    Label,
    LabelRequest,
    SentimentVerdict,
    TopicVerdict,
    Verdict,
)
from streamapp.local.label_queue import LabelQueue
from streamapp.local.label_review import Review, ReviewOptions

VERDICT = Verdict(sentiment=SentimentVerdict("neutral", 0.3, 0.4, 0.3), topic=TopicVerdict("macro", 0.7))


def request(post_id: str, drawn: DrawnBy = "uncertain", text: str = "Shares fall") -> LabelRequest:
    return LabelRequest(
        post_id=post_id,
        channel="chat",
        text=text,
        drawn=drawn,
        verdict=VERDICT,
        model_version="m-1",
        source="forum",
    )


def queue(*requests: LabelRequest, labelled: set[str] | None = None) -> LabelQueue:
    """A queue whose newest post is the first one given."""
    return LabelQueue([(-number, each) for number, each in enumerate(requests)], labelled or set())


def review(keys: str, waiting: LabelQueue) -> tuple[list[Label], str]:
    sent: list[Label] = []
    shown = io.StringIO()
    console = Console(file=shown, width=80, markup=False, highlight=False, force_terminal=False)
    options = ReviewOptions("ana", ["earnings", "macro"], 100)
    Review(console, iter(keys), sent.append, options).run(waiting)
    return sent, shown.getvalue()


def said(labels: list[Label]) -> list[tuple[str, str | None, str | None]]:
    return [(label.post_id, label.sentiment, label.topic) for label in labels]


def test_one_key_is_one_label_and_goes_on_to_the_next_post() -> None:
    waiting = queue(request("a"), request("b"), request("c"), request("d"))
    sent, _ = review("1n2z", waiting)
    assert said(sent) == [("a", "negative", None), ("b", "negative", None), ("c", "neutral", None)]
    assert waiting.left == 1
    label = sent[0]
    assert (label.author, label.origin, label.drawn, label.text, label.source) == (
        "ana", "person", "uncertain", "Shares fall", "forum",
    )  # fmt: skip


def test_skip_back_and_leave() -> None:
    sent, _ = review("s1u3q1", queue(request("a"), request("b"), request("c")))
    assert said(sent) == [("b", "negative", None), ("b", "positive", None)]


def test_a_topic_is_one_more_key_and_the_post_stays() -> None:
    sent, _ = review("tb3", queue(request("a")))
    assert said(sent) == [("a", None, "macro"), ("a", "positive", None)]
    nothing, _ = review("tz", queue(request("a")))
    assert nothing == []


def test_y_agrees_with_the_verdict_that_is_shown() -> None:
    sent, shown = review("y", queue(request("a")))
    assert said(sent) == [("a", "neutral", "macro")]
    assert "the model says: neutral 0.40, macro 0.70" in shown


def test_of_an_audited_post_the_verdict_is_hidden_and_cannot_be_agreed_with() -> None:
    sent, shown = review("y1", queue(request("a", "audit")))
    assert said(sent) == [("a", "negative", None)]
    assert "the model says" not in shown


def test_nothing_in_a_post_steers_the_terminal() -> None:
    hostile = "up \x1b[2J\x1b]0;title\x07 [bold red]markup[/] \u202eright to left"
    _, shown = review("q", queue(request("a\x1b[1m", text=hostile)))
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "[bold red]markup[/]" in shown


def test_the_queue_is_newest_first_and_leaves_out_what_people_labelled() -> None:
    waiting = LabelQueue([(1, request("old")), (2, request("new")), (3, request("done"))], {"done"})
    assert [each.post_id for each in waiting.waiting] == ["new", "old"]


def test_an_audited_post_that_an_alert_brings_up_again_stays_audited_blind_and_whole() -> None:
    headline = request("twice", "alert", text="Shares")
    waiting = LabelQueue([(1, request("twice", "audit", text="Shares fall")), (2, headline)], set()).waiting
    assert [(each.drawn, each.text, each.verdict) for each in waiting] == [("audit", "Shares fall", None)]
