"""The symbol table from a TOML file: the default one that ships, or the user's own instead of it."""

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Final

from streamapp.core.companies import Company, SymbolTable

MAX_NAME_CHARS: Final = 100
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._=/:-]{0,11}")
_FIELDS = frozenset({"name", "aliases", "names"})


class SymbolTableError(ValueError):
    """A symbols file that cannot be used; the text names the file and the line or key."""


def load_symbol_table(path: Path | None) -> SymbolTable:
    """The table in the file at `path`, or the default one where it is None."""
    origin = f"symbols file {path}" if path is not None else "the default symbols"
    try:
        text = _read(path)
        tree = tomllib.loads(text)
    except OSError as error:
        raise SymbolTableError(f"{origin}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SymbolTableError(f"{origin}: {error}") from error
    try:
        return SymbolTable(_companies(tree))
    except ValueError as error:
        raise SymbolTableError(f"{origin}: {error}") from error


def _read(path: Path | None) -> str:
    if path is None:
        return resources.files(__package__).joinpath("default.toml").read_text(encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _companies(tree: dict[str, Any]) -> list[Company]:
    unknown = tree.keys() - {"companies"}
    if unknown:
        raise SymbolTableError(f"unknown key {min(unknown)}; every company is a table [companies.SYMBOL]")
    companies = tree.get("companies")
    if not isinstance(companies, dict) or not companies:
        raise SymbolTableError("no table [companies.SYMBOL]")
    return [_company(symbol, entry) for symbol, entry in companies.items()]


def _company(symbol: str, entry: Any) -> Company:
    where = f"companies.{symbol}"
    if not isinstance(entry, dict):
        raise SymbolTableError(f"{where} is not a table")
    if nested := [key for key, value in entry.items() if isinstance(value, dict)]:
        raise SymbolTableError(
            f'{where}.{nested[0]}: a symbol with a dot needs quotes: [companies."{symbol}.{nested[0]}"]'
        )
    unknown = entry.keys() - _FIELDS
    if unknown:
        raise SymbolTableError(
            f"{where}: unknown key {min(unknown)}; there are: {', '.join(sorted(_FIELDS))}"
        )
    name, aliases = entry.get("name"), entry.get("aliases", [])
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME_CHARS:
        raise SymbolTableError(f"{where}.name is not a text of 1 to {MAX_NAME_CHARS} characters")
    if not isinstance(aliases, list):
        raise SymbolTableError(f"{where}.aliases is not a list of symbols")
    for known in (symbol, *aliases):
        if not isinstance(known, str) or not _SYMBOL.fullmatch(known):
            raise SymbolTableError(f"{where}: {known!r} is no symbol (upper case, at most 12 characters)")
    return Company(
        symbol=symbol, name=name, aliases=tuple(aliases), names=_names(where, entry.get("names", []))
    )


def _names(where: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name.strip() and len(name) <= MAX_NAME_CHARS for name in names
    ):
        raise SymbolTableError(f"{where}.names is not a list of texts of 1 to {MAX_NAME_CHARS} characters")
    return tuple(names)
