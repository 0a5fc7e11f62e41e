"""When the retrain service begins a run: by hand, by new labels, by estimated quality, by cron expression.

Pure: rules and facts in, the trigger out; must not know where facts come from. Cron expressions are APScheduler's
(`CronTrigger`), asked for one moment after another and never scheduled, so that a firing missed while the service was
away still counts.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from apscheduler.triggers.cron import CronTrigger
from msgspec import Struct

from retrain.core.quality import QualityAlarm

TriggerKind = Literal["hand", "labels", "quality", "cron"]
MOST_DOUBLINGS: Final = 6
_WEEKDAY_DIGIT: Final = re.compile(r"\d")


class ScheduleError(ValueError):
    """A cron expression or time zone that cannot be used; the text says which and what would do."""


class TriggerRules(Struct, frozen=True, kw_only=True):
    """When to begin a run by itself. Zero or empty switches a rule off.

    `new_labels` begin one; no rule but a hand begins one with fewer than `fewest_new_labels`, since it would learn
    nothing new. `rest_seconds` is the least pause after the end of the last run; a failed run waits twice as long for
    every failure in a row, up to 64 times.
    """

    cron: str = ""
    timezone: str = "UTC"
    new_labels: int = 0
    fewest_new_labels: int = 1
    rest_seconds: float = 0.0


class RunFacts(Struct, frozen=True, kw_only=True):
    """What is so now. Times are wall clock in ms since the epoch.

    `new_labels` are those since the labels of the last decided run were taken; a run is decided when its gate promoted
    or refused and the answer stood. `decided_at_ms` is when that run began (None: never), `ended_at_ms` when the last
    run of any result ended, `watched_since_ms` when the service first ran here.
    """

    asked_by_hand: bool = False
    running: bool = False
    pinned: bool = False
    new_labels: int = 0
    watched_since_ms: int = 0
    decided_at_ms: int | None = None
    ended_at_ms: int | None = None
    failures_in_a_row: int = 0
    alarms: Sequence[QualityAlarm] = ()


class Trigger(Struct, frozen=True, kw_only=True):
    """Why a run begins: a kind for programs, a sentence for people."""

    kind: TriggerKind
    reason: str


def check_rules(rules: TriggerRules) -> None:
    """Raises ScheduleError for a cron expression or time zone that cannot be used."""
    if rules.cron:
        _cron(rules.cron, rules.timezone)


def due(now_ms: int, rules: TriggerRules, facts: RunFacts) -> Trigger | None:
    """What asks for a run that may begin now; None while one runs, rests, or nothing asks.

    A hand asks first and waits for nothing but a run that is under way. Nothing else begins a run while a person pins
    the champion: what it found could not be announced.
    """
    if facts.running:
        return None
    if facts.asked_by_hand:
        return Trigger(kind="hand", reason="a person asked for it")
    if facts.pinned or now_ms < rest_ends_ms(rules, facts):
        return None
    return wanted(now_ms, rules, facts)


def wanted(now_ms: int, rules: TriggerRules, facts: RunFacts) -> Trigger | None:
    """What asks for a run, whether or not one may begin: the measure of a run that is overdue."""
    if facts.new_labels < max(rules.fewest_new_labels, 0):
        return None
    if rules.new_labels and facts.new_labels >= rules.new_labels:
        return Trigger(
            kind="labels", reason=f"{facts.new_labels} new labels, {rules.new_labels} were waited for"
        )
    if facts.alarms:
        return Trigger(kind="quality", reason="; ".join(alarm.reason for alarm in facts.alarms))
    fired = fires_at_ms(rules, facts)
    if fired is not None and fired <= now_ms:
        at = datetime.fromtimestamp(fired / 1000, UTC).isoformat(timespec="minutes")
        return Trigger(kind="cron", reason=f"'{rules.cron}' ({rules.timezone}) was due at {at}")
    return None


def begins_by_alarm(now_ms: int, rules: TriggerRules, facts: RunFacts) -> bool:
    """Whether an alarm of quality, if there were one, would begin a run now."""
    alarm = QualityAlarm(kind="accuracy", channel="news", head="sentiment", reason="if there were one")
    supposed = due(now_ms, rules, msgspec.structs.replace(facts, alarms=(alarm,)))
    return supposed is not None and supposed.kind == "quality"


def rest_ends_ms(rules: TriggerRules, facts: RunFacts) -> int:
    """From when a run may begin by itself again."""
    if facts.ended_at_ms is None:
        return 0
    doublings = min(max(facts.failures_in_a_row, 0), MOST_DOUBLINGS)
    return facts.ended_at_ms + int(rules.rest_seconds * 1000) * (1 << doublings)


def fires_at_ms(rules: TriggerRules, facts: RunFacts) -> int | None:
    """The first firing of the cron expression after the last decided run began (or the service first ran); None
    without an expression, or where it never fires (30 February).
    """
    if not rules.cron:
        return None
    since_ms = facts.watched_since_ms if facts.decided_at_ms is None else facts.decided_at_ms
    since = datetime.fromtimestamp((since_ms + 1) / 1000, UTC)
    fires: datetime | None = _cron(rules.cron, rules.timezone).get_next_fire_time(None, since)
    return None if fires is None else int(fires.timestamp() * 1000)


def _cron(expression: str, timezone: str) -> CronTrigger:
    fields = expression.split()
    # cron's 0 is Sunday and APScheduler's is Monday: only names mean the same to everybody.
    if len(fields) == 5 and _WEEKDAY_DIGIT.search(fields[4].partition("/")[0]):
        raise ScheduleError(
            f"cron expression {expression!r}: write days of the week as names, such as mon-fri"
        )
    try:
        return CronTrigger.from_crontab(expression, timezone=ZoneInfo(timezone))
    except (ValueError, KeyError, OSError) as error:
        raise ScheduleError(f"cron expression {expression!r} in time zone {timezone!r}: {error}") from error
