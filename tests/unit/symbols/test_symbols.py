"""The symbol table that ships, and a user's own in its place."""

from pathlib import Path

import pytest

from streamapp.symbols import SymbolTableError, load_symbol_table


def test_the_default_table_knows_hundreds_of_companies() -> None:
    table = load_symbol_table(None)
    assert len(table) >= 300
    names = {
        symbol: company.name
        for symbol in ("aapl", "BRK-B", "GOOG", "NYSE:IBM")
        if (company := table.find(symbol))
    }
    assert names == {"aapl": "Apple", "BRK-B": "Berkshire Hathaway", "GOOG": "Alphabet", "NYSE:IBM": "IBM"}


def test_a_users_table_replaces_the_default_one(tmp_path: Path) -> None:
    path = tmp_path / "symbols.toml"
    path.write_text('[companies.CLDB]\nname = "Calderon Bank"\naliases = ["CLDB.L"]\n')
    table = load_symbol_table(path)
    assert len(table) == 1
    assert table.find("AAPL") is None
    found = table.find("cldb-l")
    assert found is not None
    assert found.name == "Calderon Bank"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[companies.A]\nname = \n", "line 2"),
        ("", "no table"),
        ("[company.A]\nname = 'a'", "unknown key company"),
        ("[companies]\nA = 5", "companies.A is not a table"),
        ("[companies.A]\nnam = 'a'", "companies.A: unknown key nam"),
        ("[companies.A]\naliases = []", "companies.A.name"),
        ("[companies.A]\nname = 5", "companies.A.name"),
        ("[companies.A]\nname = 'a'\naliases = 'B'", "companies.A.aliases"),
        ("[companies.A]\nname = 'a'\naliases = [5]", "companies.A: 5"),
        ("[companies.A]\nname = 'a'\nnames = 'b'", "companies.A.names"),
        ("[companies.A]\nname = 'a'\nnames = ['']", "companies.A.names"),
        ("[companies.aapl]\nname = 'a'", "'aapl' is no symbol"),
        ("[companies.BRK.B]\nname = 'a'", r'\[companies."BRK.B"\]'),
        (
            "[companies.A]\nname = 'a'\n[companies.B]\nname = 'b'\naliases = ['A']",
            "B and A both claim the symbol A",
        ),
    ],
)
def test_a_table_that_cannot_be_used_names_file_and_place(
    tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(SymbolTableError, match=complaint) as caught:
        load_symbol_table(path)
    assert "mine.toml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SymbolTableError, match=r"absent\.toml"):
        load_symbol_table(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("Google", "GOOGL"),
        ("Facebook", "META"),
        ("Meta", "META"),
        ("JP Morgan", "JPM"),
        ("Merck", "MRK"),
        ("Lowe's", "LOW"),
        ("Nestlé", "NSRGY"),
        ("General", None),
        ("American", None),
        ("United", None),
    ],
)
def test_the_default_table_knows_companies_by_the_names_that_people_use(
    written: str, symbol: str | None
) -> None:
    found = load_symbol_table(None).find_named(written)
    assert (found.symbol if found else None) == symbol
