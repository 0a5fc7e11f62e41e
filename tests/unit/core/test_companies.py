"""Which companies a post is about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamapp.contracts.messages import CompanyMention
from streamapp.core.companies import Company, SymbolTable, company_subjects, find_companies
from streamapp.core.company_spans import Span

TABLE = SymbolTable(
    [
        Company(symbol="AAPL", name="Apple"),
        Company(symbol="GOOGL", name="Alphabet", aliases=("GOOG",)),
        Company(symbol="BRK.B", name="Berkshire Hathaway", aliases=("BRK.A",)),
        Company(symbol="F", name="Ford", names=("Ford Motor",)),
        Company(symbol="DAL", name="Delta Air Lines", names=("Delta",)),
        Company(symbol="DLT", name="Delta Group"),
        Company(symbol="GE", name="General Electric"),
        Company(symbol="X", name="United States Steel"),
        *(Company(symbol=f"S{letter}", name=letter) for letter in "ABCDEFGH"),
    ]
)


def symbols_of(text: str, *symbols: str) -> list[tuple[str, str | None]]:
    return [(mention.symbol, mention.name) for mention in find_companies(text, symbols, TABLE)]


@pytest.mark.parametrize(
    ("text", "symbol", "span"),
    [
        ("$AAPL falls", "AAPL", (0, 5)),
        ("why $aapl, why", "AAPL", (4, 9)),
        ("sold $AAPL.", "AAPL", (5, 10)),
        ("($AAPL)", "AAPL", (1, 6)),
        ("$AAPL's day", "AAPL", (0, 5)),
        ("$AAPL.is up", "AAPL", (0, 5)),
        ("$BRK.B rises", "BRK.B", (0, 6)),
        ("$brk-b rises", "BRK.B", (0, 6)),
        ("long $GOOG", "GOOGL", (5, 10)),
        ("$F: cheap", "F", (0, 2)),
    ],
)
def test_a_cashtag_is_a_company_and_says_where_it_stands(
    text: str, symbol: str, span: tuple[int, int]
) -> None:
    [mention] = find_companies(text, (), TABLE)
    assert (mention.symbol, mention.span) == (symbol, span)
    assert mention.name is not None


@pytest.mark.parametrize(
    "text",
    ["$100", "$5m", "US$AAPL", "A$AP", "$$AAPL", "$ AAPL", "$AAPLTOOLONG", "$AAPL_x", "AAPL", "$", "100$"],
)
def test_money_and_the_middle_of_words_are_no_cashtags(text: str) -> None:
    assert find_companies(text, (), TABLE) == ()


def test_the_feeds_symbols_come_first_and_each_company_once() -> None:
    found = find_companies("$AAPL and $GOOG and $AAPL again", ("F", "NASDAQ:GOOGL", "GOOG"), TABLE)
    assert found == (
        CompanyMention(symbol="F", name="Ford"),
        CompanyMention(symbol="GOOGL", name="Alphabet", span=(10, 15)),
        CompanyMention(symbol="AAPL", name="Apple", span=(0, 5)),
    )


def test_unknown_symbols_are_mentions_without_a_name() -> None:
    assert symbols_of("$doge to the moon", "XYZ.L") == [("XYZ.L", None), ("DOGE", None)]
    assert company_subjects(find_companies("$doge", ("XYZ.L",), TABLE)) == ("company:unlisted",)


def test_at_most_five_companies_are_subjects_and_the_rest_is_unlisted() -> None:
    six = find_companies("", ("SA", "SB", "SC", "SD", "SE", "SF"), TABLE)
    assert company_subjects(six) == (*(f"company:S{letter}" for letter in "ABCDE"), "company:unlisted")
    assert company_subjects(six[:5]) == tuple(f"company:S{letter}" for letter in "ABCDE")
    assert company_subjects(find_companies("", ("NONE", "SA"), TABLE)) == ("company:SA", "company:unlisted")
    assert company_subjects(()) == ()


def test_two_companies_cannot_claim_one_symbol() -> None:
    with pytest.raises(ValueError, match="BB and AA both claim the symbol"):
        SymbolTable(
            [
                Company(symbol="AA", name="a", aliases=("X.Y",)),
                Company(symbol="BB", name="b", aliases=("x-y",)),
            ]
        )


@given(st.text(), st.lists(st.text(max_size=12), max_size=30))
def test_any_text_gives_bounded_mentions_whose_spans_stand_in_it(text: str, symbols: list[str]) -> None:
    mentions = find_companies(text, symbols, TABLE)
    assert len(mentions) <= 20
    assert len({mention.symbol for mention in mentions}) == len(mentions)
    assert len(company_subjects(mentions)) <= 6
    assert all(text[mention.span[0]] == "$" for mention in mentions if mention.span)


def spans_in(text: str, *names: str) -> tuple[Span, ...]:
    """As a model gives them: ascending, the same name at its next place."""
    spans: list[Span] = []
    for name in names:
        start = text.index(name, spans[-1][1] if spans else 0)
        spans.append((start, start + len(name)))
    return tuple(spans)


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("Apple", "AAPL"),
        ("APPLE INC.", "AAPL"),
        ("the Apple Corporation", "AAPL"),
        ("Apple's", "AAPL"),
        ("Ford Motor Co", "F"),
        ("Delta", "DAL"),
        ("GOOG", "GOOGL"),
        ("$brk-b", None),
        ("ge", None),
        ("Delta Group", "DLT"),
        ("delta holdings", "DAL"),
        ("X", None),
        ("Apple Records", None),
        ("", None),
        ("\u202e", None),
    ],
)
def test_a_name_in_a_text_is_that_of_the_table_or_of_nobody(written: str, symbol: str | None) -> None:
    found = TABLE.find_named(written)
    assert (found.symbol if found else None) == symbol


def test_a_name_that_two_companies_share_is_nobodys() -> None:
    twins = SymbolTable([Company(symbol="AA", name="Ajax Inc"), Company(symbol="BB", name="Ajax plc")])
    assert twins.find_named("Ajax") is None
    assert twins.find_named("Ajax Inc") == Company(symbol="AA", name="Ajax Inc")


def test_companies_that_a_model_found_come_last_once_and_with_their_place() -> None:
    text = "Acme and Apple sue Acme; Ford Motor, $GOOG watch. Apple"
    spans = spans_in(text, "Acme", "Apple", "Acme", "Ford Motor", "Apple")
    assert find_companies(text, ("F",), TABLE, spans) == (
        CompanyMention(symbol="F", name="Ford", span=spans[3]),
        CompanyMention(symbol="GOOGL", name="Alphabet", span=(37, 42)),
        CompanyMention(symbol="AAPL", name="Apple", span=spans[1]),
        CompanyMention(symbol="UNLISTED", span=spans[0]),
    )


def test_unlisted_names_are_one_subject_together() -> None:
    text = "Acme, Globex, Apple"
    found = find_companies(text, (), TABLE, spans_in(text, "Acme", "Globex", "Apple"))
    assert [mention.symbol for mention in found] == ["AAPL", "UNLISTED", "UNLISTED"]
    assert company_subjects(found) == ("company:AAPL", "company:unlisted")


def test_a_cashtag_that_a_model_found_too_is_one_mention() -> None:
    assert find_companies("$DOGE $AAPL", (), TABLE, ((1, 5), (6, 11))) == (
        CompanyMention(symbol="DOGE", span=(0, 5)),
        CompanyMention(symbol="AAPL", name="Apple", span=(6, 11)),
    )


def test_however_many_a_model_finds_a_post_has_at_most_twenty() -> None:
    text = " ".join(f"Name{number}" for number in range(60))
    spans = spans_in(text, *text.split())
    mentions = find_companies(text, ("AAPL",), TABLE, spans)
    assert len(mentions) == 20
    assert mentions[0].symbol == "AAPL"
    assert company_subjects(mentions) == ("company:AAPL", "company:unlisted")
