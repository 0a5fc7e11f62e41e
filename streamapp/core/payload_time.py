"""What a time in a payload means, in milliseconds since the Unix epoch. Must not know records or posts."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

TimeFormat = Literal["auto", "rfc3339", "epoch_s", "epoch_ms"]

# At or above 1e11 a number means milliseconds: in seconds that would be the year 5138.
LEAST_EPOCH_MS = 100_000_000_000
# The first and the last moment that a datetime (and so every reader of ours) can express.
EARLIEST_MS = -62_135_596_800_000
LATEST_MS = 253_402_300_799_999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_LONGEST_TIME_CHARS = 64


def parse_time(value: Any, time_format: TimeFormat) -> int | None:
    """Milliseconds since the epoch, or None where `value` is no time in `time_format`.

    `auto` takes numbers and strings of digits as epoch seconds, from 1e11 on as milliseconds, and other
    strings as RFC 3339 (also ISO 8601 dates, and times without an offset, which are read as UTC). Never
    raises: infinite, NaN and booleans are None, a moment before year 1 is None, one after year 9999 is the
    last of it.
    """
    if isinstance(value, str):
        value = value.strip()
        if len(value) > _LONGEST_TIME_CHARS:
            return None
        if time_format == "rfc3339" or (time_format == "auto" and not _NUMBER.fullmatch(value)):
            return _parse_rfc3339(value)
        number = _parse_number(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and time_format != "rfc3339":
        number = value
    else:
        return None
    return None if number is None else _epoch_ms(number, time_format)


def _parse_rfc3339(text: str) -> int | None:
    if text[-1:] == "z":
        text = text[:-1] + "Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _within_years((moment - _EPOCH) // _MILLISECOND)


def _parse_number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _epoch_ms(number: float, time_format: TimeFormat) -> int | None:
    if isinstance(number, float) and not math.isfinite(number):
        return None
    in_seconds = time_format == "epoch_s" or (time_format == "auto" and abs(number) < LEAST_EPOCH_MS)
    if abs(number) > LATEST_MS:
        return LATEST_MS if number > 0 else None
    return _within_years(round(number * 1000) if in_seconds else round(number))


def _within_years(moment_ms: int) -> int | None:
    return None if moment_ms < EARLIEST_MS else min(moment_ms, LATEST_MS)
