"""A record's value as plain JSON objects, and fields of it by dotted path.

Must not know posts, settings or Kafka. Bad input is a `PayloadFault`, never an exception.
"""

import json
from typing import Any

import msgspec
from msgspec import Struct

from streamapp.contracts.messages import DeadLetterReason

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder().decode


class PayloadFault(Struct, frozen=True):
    """Why a value is no JSON object; `detail` never quotes the payload."""

    reason: DeadLetterReason
    detail: str


def parse_object(value: bytes) -> dict[str, Any] | PayloadFault:
    """The JSON object in `value`.

    Accepted beyond strict JSON: a byte order mark, and escaped lone surrogates (half an emoji, as feeds that
    cut text in UTF-16 write it), which become U+FFFD. Numbers out of range, nesting too deep for the
    interpreter and everything else that is no JSON: `not_json`; bytes that are not UTF-8: `bad_utf8`; JSON,
    but no object: `wrong_type`.
    """
    try:
        tree = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        tree = _second_look(value, error)
    if isinstance(tree, dict | PayloadFault):
        return tree
    return PayloadFault("wrong_type", f"the value is {json_type(tree)}, not an object")


def find_field(tree: dict[str, Any], path: str) -> Any:
    """What stands at dotted `path`, or None (also for null). A key with the dots in it wins over nesting."""
    found = tree.get(path)
    if found is not None or "." not in path:
        return found
    dot = path.find(".")
    while dot != -1:
        branch = tree.get(path[:dot])
        if isinstance(branch, dict):
            found = find_field(branch, path[dot + 1 :])
            if found is not None:
                return found
        dot = path.find(".", dot + 1)
    return None


def json_type(value: Any) -> str:
    """What JSON calls the type of `value`, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def _second_look(value: bytes, error: Exception) -> Any:
    try:
        text = value.decode()
    except UnicodeDecodeError as bad:
        return PayloadFault("bad_utf8", f"{bad.reason} at byte {bad.start}")
    if value.startswith(_BYTE_ORDER_MARK):
        return parse_object(value.removeprefix(_BYTE_ORDER_MARK))
    if isinstance(error, RecursionError):
        return PayloadFault("not_json", "nested too deeply")
    if "\\ud" in text or "\\uD" in text:
        return _with_replaced_surrogates(text, error)
    return PayloadFault("not_json", str(error))


def _with_replaced_surrogates(text: str, error: Exception) -> Any:
    # The standard parser takes lone surrogates; the second pass by msgspec keeps its strictness (NaN, big
    # numbers).
    try:
        lenient = json.dumps(json.loads(text), ensure_ascii=False)
        whole = lenient.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return _decode(whole)
    except (ValueError, RecursionError):
        return PayloadFault("not_json", str(error))
