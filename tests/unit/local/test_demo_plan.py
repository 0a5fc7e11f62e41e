"""The demo's speed, the settings that fit it, and the records it replays."""

import json
from collections import Counter
from pathlib import Path

from streamapp.local.demo_plan import (
    PARTITIONS,
    DemoFiles,
    demo_records,
    demo_settings,
    plan_demo,
    shift_ms,
)
from streamapp.local.demo_scene import DAY_START_MS
from streamapp.local.sample import DAY_SECONDS, load_sample

NOW_MS = 1_800_000_012_345
PLAN = plan_demo(75.0, "demo-1-")


def test_the_lateness_is_ten_real_seconds_and_backfill_begins_above_the_streams_length() -> None:
    assert PLAN.speed == 312.0
    assert PLAN.lateness_seconds == 3120.0
    assert PLAN.backfill_after_seconds > PLAN.closing_seconds + PLAN.stream_seconds


def test_a_slow_demo_keeps_the_default_lateness() -> None:
    assert plan_demo(23_400.0, "x-").lateness_seconds == 120.0


def test_no_post_is_dated_after_the_replay_began_and_minutes_stay_whole() -> None:
    shift = shift_ms(PLAN, NOW_MS)
    newest = DAY_START_MS + int(PLAN.closing_seconds * 1000) + shift
    assert NOW_MS - 60_000 < newest <= NOW_MS
    assert shift % 60_000 == 0


def test_the_day_ends_with_a_neutral_post_on_every_input_partition_beyond_the_lateness() -> None:
    records = demo_records(PLAN, load_sample(), shift_ms(PLAN, NOW_MS))
    closing = [record for record in records if record.partition is not None]
    assert Counter(record.channel for record in closing) == {"news": PARTITIONS, "chat": PARTITIONS}
    assert {record.partition for record in closing if record.channel == "chat"} == set(range(PARTITIONS))
    assert records[-len(closing) :] == closing
    assert min(record.due_ms for record in closing) > DAY_SECONDS * 1000
    assert (
        json.loads(closing[0].value or b"")["published_at"]
        > json.loads(records[0].value or b"")["published_at"]
    )


def test_records_are_in_the_order_in_which_they_are_due() -> None:
    dues = [record.due_ms for record in demo_records(PLAN, load_sample(), 0)]
    assert dues == sorted(dues)


def test_only_what_the_speed_asks_for_differs_from_a_users_settings(tmp_path: Path) -> None:
    settings = demo_settings(PLAN, DemoFiles(tmp_path), "localhost:1", 0, None)
    assert settings.event_time.lateness_seconds == PLAN.lateness_seconds
    assert settings.model.bundle == ""
    assert {each.topic for each in settings.inputs} == {"demo-1-news", "demo-1-chat"}
    assert settings.topics.prefix == "demo-1-"
