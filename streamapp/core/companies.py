"""Decides which companies a post is about, from the feed's symbols and the cashtags in its text.

Only companies of a symbol table become subjects of their own, so that no feed can make subjects without end.
Must not know files, feeds or models; when the model finds companies itself, it finds them for the same table.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from streamapp.contracts.messages import CompanyMention

UNLISTED_SUBJECT = "company:unlisted"
MAX_COMPANY_SUBJECTS = 5
# As many as intake takes from a feed, so that a post full of cashtags stays small on every topic.
MAX_MENTIONS = 20

# A ticker of one to six letters, perhaps with a share class; not $100, US$, A$AP or the middle of a word.
_CASHTAG = re.compile(r"(?<![\w$&])\$([A-Za-z]{1,6}(?:[.\-/][A-Za-z]{1,2})?)(?!\w)")


class Company(Struct, frozen=True, kw_only=True):
    """A listed company. `aliases` are other symbols that mean it."""

    symbol: str
    name: str
    aliases: tuple[str, ...] = ()


class SymbolTable:
    """The companies that can be subjects, found by any of their symbols in any case."""

    def __init__(self, companies: Iterable[Company]) -> None:
        """Raises ValueError where two companies claim one symbol, with both their names."""
        self._by_symbol: dict[str, Company] = {}
        for company in companies:
            for symbol in dict.fromkeys(map(_normal, (company.symbol, *company.aliases))):
                other = self._by_symbol.setdefault(symbol, company)
                if other is not company:
                    raise ValueError(f"{company.symbol} and {other.symbol} both claim the symbol {symbol}")

    def find(self, symbol: str) -> Company | None:
        """The company that `symbol` means: as it is, or without the exchange before a colon."""
        normal = _normal(symbol)
        found = self._by_symbol.get(normal)
        if found is None and ":" in normal:
            found = self._by_symbol.get(normal.rpartition(":")[2])
        return found

    def __len__(self) -> int:
        return len({company.symbol for company in self._by_symbol.values()})


def find_companies(text: str, symbols: Sequence[str], table: SymbolTable) -> tuple[CompanyMention, ...]:
    """The companies of a post, each once: the feed's first, then cashtags in the order of the text; at most
    20.

    A symbol that the table does not know is a mention without a name. `span` is that of the first cashtag
    ([start, end) in characters of `text`, the dollar sign included), None for a company that only the feed
    named.
    """
    spans: dict[str, tuple[int, int]] = {}
    named: dict[str, Company | None] = {}
    for symbol in symbols:
        company = table.find(symbol)
        named.setdefault(company.symbol if company else symbol, company)
    if "$" in text:
        for tag in _CASHTAG.finditer(text):
            symbol, company, end = _read_cashtag(tag, table)
            named.setdefault(symbol, company)
            spans.setdefault(symbol, (tag.start(), end))
    return tuple(
        CompanyMention(symbol=symbol, name=company.name if company else None, span=spans.get(symbol))
        for symbol, company in list(named.items())[:MAX_MENTIONS]
    )


def company_subjects(mentions: Sequence[CompanyMention]) -> tuple[str, ...]:
    """The subjects of the first five companies that the table knows; `company:unlisted` stands for all
    others.
    """
    known = [f"company:{mention.symbol}" for mention in mentions if mention.name is not None]
    subjects = tuple(dict.fromkeys(known))[:MAX_COMPANY_SUBJECTS]
    rest = len(mentions) > len(known) or len(set(known)) > MAX_COMPANY_SUBJECTS
    return (*subjects, UNLISTED_SUBJECT) if rest else subjects


def _read_cashtag(tag: re.Match[str], table: SymbolTable) -> tuple[str, Company | None, int]:
    company = table.find(tag[1])
    if company is not None:
        return company.symbol, company, tag.end()
    # "$AAPL.is" and "$TSLA-us" are a ticker and the next word more often than a share class.
    ticker = re.split(r"[.\-/]", tag[1])[0]
    if ticker != tag[1]:
        company = table.find(ticker)
        if company is not None:
            return company.symbol, company, tag.start(1) + len(ticker)
    return tag[1].upper(), None, tag.end()


def _normal(symbol: str) -> str:
    return symbol.upper().replace("-", ".").replace("/", ".")
