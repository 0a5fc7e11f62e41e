"""Decides which companies a post is about: the feed's symbols, the cashtags in its text, and what a model found there.

Only companies of a symbol table become subjects of their own, so that no feed can make subjects without end.
Must not know files, feeds or models.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from streamapp.contracts.messages import CompanyMention
from streamapp.core.company_names import plain_name, short_name
from streamapp.core.company_spans import Span

UNLISTED_SUBJECT = "company:unlisted"
# Stands for a ticker where a model found a company that the table does not know; its span says which.
UNLISTED_SYMBOL = "UNLISTED"
MAX_COMPANY_SUBJECTS = 5
# As many as intake takes from a feed, so that a post full of cashtags stays small on every topic.
MAX_MENTIONS = 20
# A ticker of one to six letters, perhaps with a share class; not $100, US$, A$AP or the middle of a word.
_CASHTAG = re.compile(r"(?<![\w$&])\$([A-Za-z]{1,6}(?:[.\-/][A-Za-z]{1,2})?)(?!\w)")


class Company(Struct, frozen=True, kw_only=True):
    """A listed company. `aliases` are other symbols that mean it, `names` other names."""

    symbol: str
    name: str
    aliases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class SymbolTable:
    """The companies that can be subjects, found by any of their symbols in any case, and by their names."""

    def __init__(self, companies: Iterable[Company]) -> None:
        """Raises ValueError where two companies claim one symbol, with both their names."""
        self._by_symbol: dict[str, Company] = {}
        for company in companies:
            for symbol in dict.fromkeys(map(_normal, (company.symbol, *company.aliases))):
                other = self._by_symbol.setdefault(symbol, company)
                if other is not company:
                    raise ValueError(f"{company.symbol} and {other.symbol} both claim the symbol {symbol}")
        self._by_name = _by_name(dict.fromkeys(self._by_symbol.values()))

    def find(self, symbol: str) -> Company | None:
        """The company that `symbol` means: as it is, or without the exchange before a colon."""
        normal = _normal(symbol)
        found = self._by_symbol.get(normal)
        if found is None and ":" in normal:
            found = self._by_symbol.get(normal.rpartition(":")[2])
        return found

    def find_named(self, written: str) -> Company | None:
        """The company that is called what a text says: by name, whatever the case, accents and legal form, or by a
        ticker of two and more capitals. A name that several companies share is nobody's.
        """
        plain = plain_name(written)
        found = self._by_name.get(plain) or self._by_name.get(short_name(plain))
        ticker = written.lstrip("$#")
        if found is None and len(ticker) > 1 and ticker == ticker.upper():
            found = self.find(ticker)
        return found

    def __len__(self) -> int:
        return len({company.symbol for company in self._by_symbol.values()})


def find_companies(
    text: str, symbols: Sequence[str], table: SymbolTable, model_spans: Sequence[Span] = ()
) -> tuple[CompanyMention, ...]:
    """The companies of a post, each once: the feed's first, then cashtags in the order of the text, then what a
    model found (`model_spans`, ascending); at most 20.

    A symbol that the table does not know is a mention without a name; so is a name that it does not know, under the
    symbol UNLISTED. `span` ([start, end) in characters of `text`) is that of the first cashtag, the dollar sign
    included, or else of the first name that a model found; None for a company that only the feed named.
    """
    spans: dict[str, Span] = {}
    named: dict[str, Company | None] = {}
    for symbol in symbols:
        company = table.find(symbol)
        named.setdefault(company.symbol if company else symbol, company)
    if "$" in text:
        for tag in _CASHTAG.finditer(text):
            symbol, company, end = _read_cashtag(tag, table)
            named.setdefault(symbol, company)
            spans.setdefault(symbol, (tag.start(), end))
    unlisted = _add_found(text, model_spans, table, named, spans) if model_spans else {}
    mentions = [
        CompanyMention(symbol=symbol, name=company.name if company else None, span=spans.get(symbol))
        for symbol, company in named.items()
    ]
    mentions += [CompanyMention(symbol=UNLISTED_SYMBOL, span=span) for span in unlisted.values()]
    return tuple(mentions[:MAX_MENTIONS])


def company_subjects(mentions: Sequence[CompanyMention]) -> tuple[str, ...]:
    """The subjects of the first five companies that the table knows; `company:unlisted` stands for all
    others.
    """
    known = [f"company:{mention.symbol}" for mention in mentions if mention.name is not None]
    subjects = tuple(dict.fromkeys(known))[:MAX_COMPANY_SUBJECTS]
    rest = len(mentions) > len(known) or len(set(known)) > MAX_COMPANY_SUBJECTS
    return (*subjects, UNLISTED_SUBJECT) if rest else subjects


def _add_found(
    text: str,
    model_spans: Sequence[Span],
    table: SymbolTable,
    named: dict[str, Company | None],
    spans: dict[str, Span],
) -> dict[str, Span]:
    """Adds the listed ones to `named` and `spans`; the unlisted ones by plain name, each at its first place."""
    cashtags = list(spans.values())
    unlisted: dict[str, Span] = {}
    for start, end in model_spans:
        if any(start < other_end and other_start < end for other_start, other_end in cashtags):
            continue
        company = table.find_named(text[start:end])
        if company is None:
            unlisted.setdefault(plain_name(text[start:end]), (start, end))
        else:
            named.setdefault(company.symbol, company)
            spans.setdefault(company.symbol, (start, end))
    return unlisted


def _by_name(companies: Iterable[Company]) -> dict[str, Company | None]:
    """Companies by plain name; a short name counts where no company has it in full, None where several share it."""
    full: dict[str, Company | None] = {}
    short: dict[str, Company | None] = {}
    for company in companies:
        for name in dict.fromkeys(map(plain_name, (company.name, *company.names))):
            full[name] = company if full.get(name, company) is company else None
        for name in dict.fromkeys(short_name(plain_name(name)) for name in (company.name, *company.names)):
            short[name] = company if short.get(name, company) is company else None
    return {**short, **full}


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
