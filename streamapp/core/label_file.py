"""A file of labels as entries: CSV, JSON (lines or a list), Label Studio's and Argilla's exports, told by content.

An entry that cannot be read is a value with its line and reason, and the rest goes on. What an entry means is
label_rows.py's and label_exports.py's business.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from streamapp.core.label_exports import argilla_rows, is_argilla, is_label_studio, label_studio_rows
from streamapp.core.label_rows import FIELD_NAMES, VERDICT_FIELDS, LabelRow, RefusedRow, our_names

LabelFormat = Literal["csv", "jsonl", "label-studio", "argilla"]

_NO_UTF8: Final = re.compile("[\udc80-\udcff]")  # how surrogateescape writes a byte that is not UTF-8
_ENTRY: Final = msgspec.json.Decoder(dict[str, Any])
_LIST: Final = msgspec.json.Decoder(list[Any])


class LabelFileError(ValueError):
    """A file that is none of the formats as a whole; the text says why."""


def read_label_file(
    content: bytes, format_: LabelFormat | None = None
) -> tuple[LabelFormat, Iterator[LabelRow | RefusedRow]]:
    """The format and the entries of a file, lazily, in its order. Without `format_` it is told by the content.

    Raises LabelFileError where the file as a whole is not of the format, before the first entry.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    found = format_ or _detect(content)
    if found == "csv":
        return found, _csv_rows(content)
    if found == "jsonl" and content.lstrip()[:1] != b"[":
        return found, _json_lines(content)
    if found == "jsonl":
        return found, _json_list(_entries(content))
    entries = _entries(content)
    return found, label_studio_rows(entries) if found == "label-studio" else argilla_rows(entries)


def _detect(content: bytes) -> LabelFormat:
    start = content.lstrip()[:1]
    if start == b"{":
        first = _first_object(content)
        return "argilla" if first is not None and is_argilla(first) else "jsonl"
    if start != b"[":
        return "csv"
    for entry in _entries(content):
        if isinstance(entry, dict) and is_argilla(entry):
            return "argilla"
        if isinstance(entry, dict) and is_label_studio(entry):
            return "label-studio"
    return "jsonl"


def _first_object(content: bytes) -> dict[str, Any] | None:
    try:
        return _ENTRY.decode(content.lstrip().partition(b"\n")[0])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _entries(content: bytes) -> list[Any]:
    """A JSON list, or JSON lines, as both tools write either."""
    try:
        if content.lstrip()[:1] == b"[":
            return _LIST.decode(content)
        return [_ENTRY.decode(line) for line in content.splitlines() if line.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LabelFileError(f"not JSON: {error}") from error


def _json_lines(content: bytes) -> Iterator[LabelRow | RefusedRow]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            yield LabelRow(where=where, values=our_names(_ENTRY.decode(line)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield RefusedRow(where=where, reason=f"not a JSON object: {error}")


def _json_list(entries: list[Any]) -> Iterator[LabelRow | RefusedRow]:
    for number, entry in enumerate(entries, start=1):
        where = f"entry {number}"
        if isinstance(entry, dict):
            yield LabelRow(where=where, values=our_names(entry))
        else:
            yield RefusedRow(where=where, reason="not a JSON object")


def _csv_rows(content: bytes) -> Iterator[LabelRow | RefusedRow]:
    # A byte that is not UTF-8 spoils its own row, not the file.
    text = io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")
    reader = csv.reader(text, dialect=_dialect(content), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise LabelFileError(f"no header row ({error or 'the file is empty'})") from error
    if not {FIELD_NAMES.get(name) for name in header} & set(VERDICT_FIELDS):
        raise LabelFileError(f"no column sentiment, topic or companies; there are: {', '.join(header)[:200]}")
    return _read_csv(reader, header)


def _dialect(content: bytes) -> type[csv.Dialect]:
    """Commas, or what the header has more of: spreadsheets write semicolons and tabs too."""
    header = content.partition(b"\n")[0].decode("utf-8", "replace")
    separator = max(",;\t", key=header.count)

    class Found(csv.excel):
        delimiter = separator

    return Found


def _read_csv(reader: Any, header: list[str]) -> Iterator[LabelRow | RefusedRow]:
    while True:
        where = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RefusedRow(where=where, reason=f"not CSV: {error}")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            yield RefusedRow(where=where, reason=f"{len(cells)} cells under {len(header)} column names")
        elif any(map(_NO_UTF8.search, cells)):
            yield RefusedRow(where=where, reason="not UTF-8")
        else:
            yield LabelRow(where=where, values=our_names(dict(zip(header, cells, strict=True))))
