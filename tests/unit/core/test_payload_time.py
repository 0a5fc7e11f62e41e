"""How times in a payload are read."""

from typing import Any

import pytest

from streamapp.core.payload_time import EARLIEST_MS, LATEST_MS, TimeFormat, parse_time

NOON_MS = 1_789_992_000_000


@pytest.mark.parametrize(
    ("value", "time_format", "moment_ms"),
    [
        ("2026-09-21T12:00:00Z", "auto", NOON_MS),
        ("2026-09-21T12:00:00z", "auto", NOON_MS),
        (" 2026-09-21 12:00:00.25+00:00 ", "auto", NOON_MS + 250),
        ("2026-09-21T12:00:00.123456789Z", "rfc3339", NOON_MS + 123),
        ("2026-09-21T17:30:00+05:30", "rfc3339", NOON_MS),
        ("2026-09-21T12:00:00", "auto", NOON_MS),
        ("2026-09-21", "auto", NOON_MS - 12 * 3_600_000),
        (NOON_MS, "auto", NOON_MS),
        (NOON_MS // 1000, "auto", NOON_MS),
        (NOON_MS / 1000 + 0.5, "auto", NOON_MS + 500),
        (str(NOON_MS), "auto", NOON_MS),
        (str(NOON_MS // 1000), "auto", NOON_MS),
        ("1789992000.5", "epoch_s", NOON_MS + 500),
        (99_999_999_999, "auto", 99_999_999_999_000),
        (100_000_000_000, "auto", 100_000_000_000),
        (5, "epoch_ms", 5),
        (-5, "epoch_s", -5_000),
        (1e300, "epoch_s", LATEST_MS),
        (10**400, "auto", LATEST_MS),
        ("9999-12-31T23:59:59-12:00", "auto", LATEST_MS),
        ("0001-01-01T00:00:00Z", "auto", EARLIEST_MS),
    ],
)
def test_a_time_is_read_in_its_format(value: Any, time_format: TimeFormat, moment_ms: int) -> None:
    assert parse_time(value, time_format) == moment_ms


@pytest.mark.parametrize(
    ("value", "time_format"),
    [
        ("", "auto"),
        ("soon", "auto"),
        ("2026-13-01", "auto"),
        ("1_000", "auto"),
        ("٣", "epoch_s"),
        ("1" * 65, "auto"),
        (NOON_MS, "rfc3339"),
        ("2026-09-21T12:00:00Z", "epoch_s"),
        (float("nan"), "auto"),
        (float("inf"), "epoch_ms"),
        ("1e999", "epoch_s"),
        (-1e300, "auto"),
        (-(10**400), "epoch_ms"),
        ("0001-01-01T00:00:00+12:00", "auto"),
        (True, "auto"),
        (None, "auto"),
        ([], "auto"),
    ],
)
def test_what_is_no_time_in_its_format_is_none(value: Any, time_format: TimeFormat) -> None:
    assert parse_time(value, time_format) is None
