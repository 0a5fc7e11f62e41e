"""What the audit log says of an announcement."""

import msgspec
import pytest

from retrain.core.announcement_audit import announcing_action, announcing_actor, announcing_detail
from streamapp.contracts.champion import Announcer, Champion, announcement, rollback
from streamapp.contracts.messages import ModelAnnounced

FIRST = Champion(sequence=0, model_name="m", model_version="m-0", bundle_digest="d0", bundle_url="")
NEXT = Champion(sequence=1, model_name="m", model_version="m-1", bundle_digest="d1", bundle_url="/b")
BY = Announcer(by="cli/ann", reason="by hand", at_ms=1)


def announced(present: Champion, heir: Champion, *, pinned: bool = False) -> ModelAnnounced:
    return announcement(present, heir, BY, pinned=pinned)


@pytest.mark.parametrize(
    ("record", "action"),
    [
        (announced(FIRST, NEXT), "promoted"),
        (announced(FIRST, NEXT, pinned=True), "promoted and pinned"),
        (announced(NEXT, NEXT, pinned=True), "pinned"),
        (announced(NEXT, NEXT), "unpinned"),
        (rollback(NEXT, FIRST, BY), "rolled back"),
        (rollback(msgspec.structs.replace(NEXT, pinned=True), FIRST, BY), "rolled back"),
    ],
)
def test_what_was_done_is_named(record: ModelAnnounced, action: str) -> None:
    assert announcing_action(record) == action
    assert announcing_detail(record).endswith(f"as number {record.sequence}: by hand")


@pytest.mark.parametrize(
    ("by", "actor"),
    [
        ("cli/ann", "ann"),
        ("ann", "ann"),
        ("score/worker-1", "service:score/worker-1"),
        ("service:retrain", "service:retrain"),
        ("cli/service:retrain", "cli/service:retrain"),
    ],
)
def test_people_go_by_the_name_that_their_labels_have_and_parts_of_ours_by_their_own(
    by: str, actor: str
) -> None:
    assert announcing_actor(by) == actor
