"""The record of runs: durable, whole, and locked by the kernel."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from retrain.core.trigger import Trigger
from retrain.run_book import RUN_LOCK, BusyError, RunBook, RunBookError, RunRecord

TRIGGER = Trigger(kind="hand", reason="a person asked for it")
HOLDER = (
    "import sys, time\nfrom pathlib import Path\nfrom retrain.run_book import RUN_LOCK, RunBook\n"
    "with RunBook(Path(sys.argv[1])).locked(RUN_LOCK):\n    print('held', flush=True)\n    time.sleep(60)"
)


def ended(run: RunRecord) -> RunRecord:
    return msgspec.structs.replace(run, stage="ended", result="refused")


def test_a_run_is_found_again_as_it_was_left(tmp_path: Path) -> None:
    run = RunBook(tmp_path).new_run(TRIGGER, 1_790_000_000_000)
    assert RunBook(tmp_path).open_run() == run
    RunBook(tmp_path).save(ended(run))
    assert RunBook(tmp_path).open_run() is None
    assert RunBook(tmp_path).runs() == [ended(run)]


def test_runs_are_told_oldest_first(tmp_path: Path) -> None:
    book = RunBook(tmp_path)
    made = [book.new_run(TRIGGER, 1_790_000_000_000 + second * 1000) for second in range(3)]
    assert book.runs() == made


def test_what_a_crash_left_half_written_is_no_run(tmp_path: Path) -> None:
    book = RunBook(tmp_path)
    run = book.new_run(TRIGGER, 1_790_000_000_000)
    (book.folder_of(run) / ".run.json-abc").write_text('{"run_id": "tor')
    (tmp_path / "20260101T000000-ffffff").mkdir()
    assert book.runs() == [run]


def test_a_damaged_record_is_named_and_not_passed_over(tmp_path: Path) -> None:
    book = RunBook(tmp_path)
    run = book.new_run(TRIGGER, 1_790_000_000_000)
    (book.folder_of(run) / "run.json").write_text("{}")
    with pytest.raises(RunBookError, match=run.run_id):
        book.runs()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunBookError, match="file"):
        RunBook(tmp_path / "file")


def test_a_write_that_fails_leaves_the_record_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = RunBook(tmp_path)
    run = book.new_run(TRIGGER, 1_790_000_000_000)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("retrain.whole_file.os.fsync", full)
    with pytest.raises(RunBookError, match="No space left on device"):
        book.save(ended(run))
    assert book.runs() == [run]
    monkeypatch.undo()
    book.save(ended(run))
    assert book.runs() == [ended(run)]


def test_files_of_old_runs_go_and_their_records_stay(tmp_path: Path) -> None:
    book = RunBook(tmp_path)
    for second in range(3):
        run = ended(book.new_run(TRIGGER, 1_790_000_000_000 + second * 1000))
        book.save(run)
        (book.folder_of(run) / "work").mkdir()
        (book.folder_of(run) / "child.log").write_text("much")
    book.tidy(keep=1)
    assert len(book.runs()) == 3
    assert [path.parent.name for path in sorted(tmp_path.glob("*/work"))] == [book.runs()[-1].run_id]
    assert len(list(tmp_path.glob("*/child.log"))) == 1


def test_of_very_many_runs_the_newest_records_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.run_book.MOST_RECORDS", 2)
    book = RunBook(tmp_path)
    for second in range(4):
        book.save(ended(book.new_run(TRIGGER, 1_790_000_000_000 + second * 1000)))
    newest = book.runs()[2:]
    book.tidy(keep=1)
    assert book.runs() == newest


def test_a_lock_is_refused_by_name_and_freed_by_kill_9(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    book = RunBook(tmp_path)
    with pytest.raises(BusyError, match=str(holder.pid)), book.locked(RUN_LOCK):
        pass
    holder.kill()
    holder.wait(10)
    with book.locked(RUN_LOCK):
        assert (tmp_path / "run.pid").read_text() != str(holder.pid)


def test_the_first_moment_is_kept(tmp_path: Path) -> None:
    assert RunBook(tmp_path).since(5).watched_since_ms == 5
    assert RunBook(tmp_path).since(9).watched_since_ms == 5
