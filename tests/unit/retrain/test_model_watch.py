"""What the log of announcements says of rollbacks."""

from retrain.model_watch import rolled_back_at_ms
from streamapp.contracts.champion import Announcer, Champion, announcement, champions, rollback

FIRST = Champion(sequence=0, model_name="m", model_version="m-0", bundle_digest="d0", bundle_url="")
NEXT = Champion(sequence=0, model_name="m", model_version="m-1", bundle_digest="d1", bundle_url="/b")


def test_a_rollback_is_told_with_its_moment_and_a_promotion_is_none() -> None:
    promoted = announcement(
        FIRST, NEXT, Announcer(by="service:retrain", reason="better", at_ms=5), pinned=False
    )
    line = champions(FIRST, [promoted])
    assert rolled_back_at_ms(line) == 0
    back = rollback(line[-1], FIRST, Announcer(by="score/w-1", reason="latency", at_ms=9))
    line = champions(FIRST, [promoted, back])
    assert line[-1].bundle_digest == "d0"
    assert rolled_back_at_ms(line) == 9
