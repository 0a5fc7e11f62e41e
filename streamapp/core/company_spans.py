"""Where a text names companies, from what a model says of each of its words: IOB2 labels to character spans.

Must not know tokenizers, models or which companies there are (core/companies.py joins spans to those).
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from streamapp.contracts.encoding import WordPlace
from streamapp.contracts.manifest import FIRST_OF_COMPANY, OUTSIDE, REST_OF_COMPANY

Span = tuple[int, int]

# A company's words must on average be its words with at least this probability.
LEAST_PROBABILITY = 0.5
# No name is longer, and what a hostile text is called must stay small.
MAX_SPAN_CHARS = 100


class WordLabels(Struct, frozen=True):
    """The calibrated probabilities of each word's label, in label order: those of the word's first token, as BERT's
    authors do (Devlin et al. 2019).
    """

    words: tuple[WordPlace, ...] = ()
    probabilities: tuple[tuple[float, ...], ...] = ()


def company_spans(
    text: str, said: WordLabels, labels: Sequence[str], least_probability: float = LEAST_PROBABILITY
) -> tuple[Span, ...]:
    """[start, end) of each company in characters of `text`: ascending, apart, not empty, without blanks at the ends.

    An I- without a B- before it begins a company too, as in the CoNLL evaluation.
    """
    first, rest = labels.index(FIRST_OF_COMPANY), labels.index(REST_OF_COMPANY)
    spans: list[Span] = []
    end = 0
    for run in _runs(said.probabilities, labels.index(OUTSIDE), (first, rest)):
        sure = sum(said.probabilities[word][first] + said.probabilities[word][rest] for word in run) / len(
            run
        )
        found = _trimmed(text, max(end, said.words[run[0]].start), said.words[run[-1]].end)
        if found is not None and sure >= least_probability:
            spans.append(found)
            end = found[1]
    return tuple(spans)


def _runs(
    probabilities: Sequence[Sequence[float]], outside: int, inside: tuple[int, int]
) -> Iterator[list[int]]:
    """The places of the words of each company."""
    run: list[int] = []
    for word, row in enumerate(probabilities):
        # Most words are outside; ties go to the earlier label.
        label = outside if row[outside] > LEAST_PROBABILITY else max(range(len(row)), key=row.__getitem__)
        if label not in inside or label == inside[0]:
            if run:
                yield run
            run = []
        if label in inside:
            run.append(word)
    if run:
        yield run


def _trimmed(text: str, start: int, end: int) -> Span | None:
    named = text[start:end]
    start += len(named) - len(named.lstrip())
    end = start + len(named.strip())
    return (start, end) if start < end <= start + MAX_SPAN_CHARS else None
