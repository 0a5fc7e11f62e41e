"""The store keeps every label once, tells how far it read, and what was erased stays away."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrain.author_key import KeyFileError
from retrain.core.labels import KnownPost
from retrain.label_store import AuditRecord, LabelStore, LabelStoreError, NotedPost
from tests.unit.retrain.label_records import UUID, label, record

NOW_SECONDS = 2_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW_SECONDS

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "labels.sqlite", clock=clock) as opened:
        yield opened


def noted(post_id: str, text: str = "From the queue", **more: object) -> NotedPost:
    return NotedPost(post_id=post_id, post=KnownPost(text=text, channel="chat", **more))  # type: ignore[arg-type]


def test_what_was_added_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "labels.sqlite"
    with LabelStore(path) as first:
        added = first.add([record(0), record(1, label("n-2", topic="macro"))])
    assert (added.stored, added.repeated, added.erased) == ({"person": 2}, 0, 0)
    with LabelStore(path) as second:
        assert [(each.post_id, each.sentiment, each.topic) for each in second.current()] == [
            ("n-1", "negative", None),
            ("n-2", None, "macro"),
        ]
        assert second.positions() == {(UUID, 0): 2}


def test_the_same_record_again_and_the_same_label_in_another_record_are_stored_once(
    store: LabelStore,
) -> None:
    store.add([record(0)])
    again = store.add([record(0), record(7)])
    assert (again.stored, again.repeated) == ({}, 2)
    assert len(store.history()) == 1
    assert store.positions() == {(UUID, 0): 8}


def test_positions_never_go_back_and_may_pass_records_that_were_refused(store: LabelStore) -> None:
    store.add([], positions={(UUID, 0): 9, ("other", 3): 2})
    store.add([record(1)])
    assert store.positions() == {(UUID, 0): 9, ("other", 3): 2}


def test_the_history_keeps_what_lost(store: LabelStore) -> None:
    store.add(
        [record(0, label(at_ms=1, sentiment="negative")), record(1, label(at_ms=2, sentiment="positive"))]
    )
    assert [entry.sentiment for entry in store.history("n-1")] == ["negative", "positive"]
    assert [each.sentiment for each in store.current()] == ["positive"]


def test_no_name_of_an_author_is_in_the_file_and_the_same_name_has_the_same_hash(
    store: LabelStore, tmp_path: Path
) -> None:
    store.add([record(0, label(author="ana.the.author")), record(1, label("n-2", author="ana.the.author"))])
    authors = {entry.author for entry in store.history()}
    assert len(authors) == 1
    assert "ana" not in authors.pop()
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert not any(b"ana.the.author" in content for content in files)


def test_store_and_key_are_for_their_owner_alone(store: LabelStore, tmp_path: Path) -> None:
    store.add([record(0)])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"labels.sqlite", "labels.sqlite.key"} <= set(modes)


def test_another_key_than_the_one_that_was_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    LabelStore(path).close()
    key = tmp_path / "labels.sqlite.key"
    key.write_bytes(b"x" * 32)
    with pytest.raises(KeyFileError, match="put that back"):
        LabelStore(path)
    key.write_bytes(b"short")
    with pytest.raises(KeyFileError, match="holds 5 bytes"):
        LabelStore(path)
    key.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        LabelStore(path)


def test_an_erased_post_is_gone_from_the_file_and_refused_for_ever(store: LabelStore, tmp_path: Path) -> None:
    text = "A text that nobody may see again"
    store.add([record(0, label(text=text)), record(1, label("n-2"))], posts=[noted("n-1", text)])
    erased = store.erase_post("n-1")
    assert (erased.labels, erased.posts, erased.wiped) == (1, 1, True)
    again = store.add(
        [record(0, label(text=text)), record(2, label(at_ms=9_999_999_999))], posts=[noted("n-1", text)]
    )
    assert (again.stored, again.erased) == ({}, 2)
    assert [each.post_id for each in store.current()] == ["n-2"]
    assert store.known_posts(["n-1"]) == {}
    store.close()
    assert not any(text.encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_an_erased_author_loses_what_was_and_may_label_again(store: LabelStore) -> None:
    store.add([record(0), record(1, label("n-2", author="bo"))])
    assert store.erase_author("ana").labels == 1
    now_ms = int(NOW_SECONDS * 1000)
    again = store.add([record(0), record(2, label(at_ms=now_ms)), record(3, label(at_ms=now_ms + 1))])
    assert (again.stored, again.erased) == ({"person": 1}, 2)
    assert {each.post_id for each in store.current()} == {"n-1", "n-2"}


def test_known_posts_are_those_of_requests_and_of_labels_with_a_text(store: LabelStore) -> None:
    store.add([record(0, label("by-label"))], posts=[noted("by-request", source="forum")])
    known = store.known_posts(["by-label", "by-request", "neither"])
    assert {post_id: (post.text, post.channel) for post_id, post in known.items()} == {
        "by-label": ("Shares of the bank fall", "news"),
        "by-request": ("From the queue", "chat"),
    }


def test_a_post_once_drawn_uniformly_stays_so_when_another_request_names_it(store: LabelStore) -> None:
    store.add([record(0, label("p", text=None, channel=None))], posts=[noted("p", drawn="audit")])
    store.add([], posts=[noted("p", "The corrected text", drawn="novel")])
    store.add([], posts=[noted("p", "The corr", drawn="alert")])
    assert [(each.drawn, each.text) for each in store.current()] == [("audit", "The corrected text")]


def test_posts_that_nobody_labelled_are_forgotten_in_time(store: LabelStore, clock: Clock) -> None:
    store.add([record(0, label("kept", text=None, channel=None))], posts=[noted("kept"), noted("idle")])
    clock.now += 31 * 86_400
    store.add([])
    assert set(store.known_posts(["kept", "idle"])) == {"kept"}


def test_new_labels_are_counted_by_post_and_rules_do_not_count(store: LabelStore, clock: Clock) -> None:
    store.add([record(0)])
    clock.now += 10
    store.add(
        [record(1, label("n-2")), record(2, label("n-2", at_ms=5)), record(3, label("n-3", origin="rule"))]
    )
    assert store.training_label_count_since(int(NOW_SECONDS * 1000)) == 1
    assert store.training_label_count_since(0) == 2
    assert store.count_by_origin() == {"person": 3, "rule": 1}


def test_the_audit_log_tells_who_did_what_and_finds_a_person_by_name(store: LabelStore) -> None:
    store.add([record(0, label(at_ms=5))])
    store.write_audit("ana", "pinned", "starter-2", at_ms=9)
    announced = AuditRecord(
        at_ms=7, actor="service:retrain", action="announced", detail="starter-3", source=("u", 0, 1)
    )
    store.add([], audit=[announced, announced])
    everything = store.audit()
    assert [(each.at_ms, each.action, each.detail) for each in everything] == [
        (5, "labelled", "n-1"),
        (7, "announced", "starter-3"),
        (9, "pinned", "starter-2"),
    ]
    assert everything[1].actor == "service:retrain"
    assert [each.action for each in store.audit("ana")] == ["labelled", "pinned"]
    assert [each.action for each in store.audit(since_ms=6)] == ["announced", "pinned"]
    assert all("ana" not in each.actor for each in everything)


def test_a_batch_that_fails_leaves_nothing_behind(store: LabelStore) -> None:
    unfit = record(1, label("n-2", at_ms=2**70))
    with pytest.raises((LabelStoreError, OverflowError)):
        store.add([record(0), unfit])
    assert store.history() == []
    assert store.positions() == {}


def test_a_file_that_is_no_store_is_said_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(LabelStoreError, match=r"labels\.sqlite: file is not a database"):
        LabelStore(path)


def test_a_store_of_another_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    LabelStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(LabelStoreError, match="another release"):
        LabelStore(path)


def test_a_full_disk_is_said_and_what_came_before_stays(store: LabelStore) -> None:
    store.add([record(0)])
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    many = [record(number, label(f"n-{number}", text="x" * 5_000)) for number in range(1, 200)]
    with pytest.raises(LabelStoreError, match="full"):
        store.add(many)
    assert [each.post_id for each in store.current()] == ["n-1"]
    assert store.positions() == {(UUID, 0): 1}


def test_what_is_stored_after_others_came_and_went_is_there_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    look = (
        "import sys; from pathlib import Path; from retrain.label_store import LabelStore\n"
        "with LabelStore(Path(sys.argv[1])) as store: print(len(store.current()))"
    )

    def labels_for_another_process() -> str:
        return subprocess.run(
            [sys.executable, "-c", look, str(path)], check=True, capture_output=True, text=True
        ).stdout.strip()

    with LabelStore(path) as store:
        store.add([record(0, label("p1"))])
        with LabelStore(path) as another:  # of the same process, as when a run takes its snapshot
            assert len(another.current()) == 1
        assert labels_for_another_process() == "1"
        store.add([record(1, label("p2"))])
        assert labels_for_another_process() == "2"
    assert labels_for_another_process() == "2"
