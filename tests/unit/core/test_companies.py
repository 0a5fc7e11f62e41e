"""Which companies a post is about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamapp.contracts.messages import CompanyMention
from streamapp.core.companies import Company, SymbolTable, company_subjects, find_companies

TABLE = SymbolTable(
    [
        Company(symbol="AAPL", name="Apple"),
        Company(symbol="GOOGL", name="Alphabet", aliases=("GOOG",)),
        Company(symbol="BRK.B", name="Berkshire Hathaway", aliases=("BRK.A",)),
        Company(symbol="F", name="Ford"),
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
