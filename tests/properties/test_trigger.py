"""Whatever the facts are: no two runs at once, no run without cause, no cause forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from retrain.core.quality import QualityAlarm
from retrain.core.trigger import RunFacts, TriggerRules, due, fires_at_ms, rest_ends_ms, wanted

DAY_MS = 86_400_000
BEGIN_MS = 1_790_000_000_000
moments = st.integers(BEGIN_MS, BEGIN_MS + 400 * DAY_MS)
rules = st.builds(
    TriggerRules,
    cron=st.sampled_from(["", "*/5 * * * *", "0 3 * * *", "30 2 * * mon-fri", "0 0 1 1 *"]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    new_labels=st.integers(0, 500),
    fewest_new_labels=st.integers(0, 50),
    rest_seconds=st.floats(0, 1e5),
)
alarms = st.lists(
    st.just(QualityAlarm(kind="drift", channel="news", head="topic", reason="drifted")), max_size=2
).map(tuple)
facts = st.builds(
    RunFacts,
    asked_by_hand=st.booleans(),
    running=st.booleans(),
    pinned=st.booleans(),
    new_labels=st.integers(0, 1000),
    watched_since_ms=moments,
    decided_at_ms=st.none() | moments,
    ended_at_ms=st.none() | moments,
    failures_in_a_row=st.integers(0, 20),
    alarms=alarms,
)


@given(moments, rules, facts)
def test_a_run_begins_only_where_one_may_and_something_asks(
    now: int, rule: TriggerRules, fact: RunFacts
) -> None:
    found = due(now, rule, fact)
    if found is None:
        return
    assert not fact.running
    assert found.reason
    if found.kind == "hand":
        assert fact.asked_by_hand
    else:
        assert not fact.pinned
        assert fact.new_labels >= rule.fewest_new_labels
        assert now >= rest_ends_ms(rule, fact)
        assert wanted(now, rule, fact) == found


@given(moments, rules, facts)
def test_what_is_wanted_begins_as_soon_as_nothing_is_in_its_way(
    now: int, rule: TriggerRules, fact: RunFacts
) -> None:
    asked = wanted(now, rule, fact)
    free = not fact.running and not fact.pinned and not fact.asked_by_hand
    if asked is not None and free:
        later = max(now, rest_ends_ms(rule, fact))
        assert due(later, rule, fact) is not None


@given(rules, facts)
def test_a_firing_comes_after_what_it_is_counted_from(rule: TriggerRules, fact: RunFacts) -> None:
    fires = fires_at_ms(rule, fact)
    assert (fires is not None) == bool(rule.cron)
    if fires is not None:
        assert fires > (fact.watched_since_ms if fact.decided_at_ms is None else fact.decided_at_ms)
