"""Records that an earlier release wrote are read, and say the same."""

from streamapp.contracts.messages import TrendMinute
from streamapp.core.event_time import MINUTE_MS
from streamapp.core.trend_state import FRONTIERS_KEY, PartitionWatch, WatchRules
from tests.surge_streams import START_MS, tick

# A subject with open and closed minutes and a past, and its partition's frontiers, before counts were kept by version.
SUBJECT_V1 = bytes.fromhex(
    "9d0107ce01b05578ce01b05515ce0007349f91a14e919300000591a36d2d319298ce01b055780100009600cfdaa66d2c7ddf"
    "743f0000020191009195000002cfdaa66d2c7ddf743f93a168a27032a46e657773910098ce01b0557a0100009600cf171560"
    "9f7c746c690000040191009195000004cf1715609f7c746c6993a168a27034a46e6577739100929ace01b0556f0001000000"
    "cb3f9d90661d978e39010191009ace01b055770000010100cb3f9d90661d978e39010091009396cf9e3779b97f4a7c15cf00"
    "00018bcfe519e0cf0000018bcfe519e001c393a168a27030a46e65777396cf3c6ef372fe94f82acf0000018bcfe519e0cf00"
    "00018bcfe519e001c2c096cf78dde6e5fd29f054cf0000018bd03ed2a0cf0000018bd03ed2a001c2c094ce01b0553ccb4043"
    "52a01c60713ccb3fff6b84e2a5c531cb3fef6b84e2a5c531c0"
)
FRONTIERS_V1 = bytes.fromhex(
    "960107ce01b05515cf0000018bd04191c0cf0000018bd04191c09196a14e0003cf0000018bd04191c0c3cf0000018bd04191c0"
)


def test_state_from_before_counts_were_kept_by_version_goes_on() -> None:
    watch = PartitionWatch(WatchRules())
    watch.load(FRONTIERS_KEY, FRONTIERS_V1)
    watch.load(b"company:A", SUBJECT_V1)
    watch.finish_loading()
    told = [
        message
        for message in watch.apply(8, tick({("N", 0): 5}, START_MS + 200 * MINUTE_MS))
        if isinstance(message, TrendMinute)
    ]
    assert [(message.posts.negative, message.model_versions) for message in told] == [(1, ("m-1",))] * 2
    again = PartitionWatch(WatchRules())
    for key, value in watch.take_changes():
        again.load(key, value)
    again.finish_loading()
    assert again.subjects == 1
