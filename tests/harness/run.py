"""One run of the load stream under faults: publisher, workers, what was killed when, and the verdict at the end."""

import time
from pathlib import Path
from typing import Any

from tests.harness.cluster import TestCluster, wait_until
from tests.harness.load import POSTS_PER_SECOND, LoadPublisher, Stream
from tests.harness.progress import GroupProgress
from tests.harness.verdict import Outcome, check_run, read_outcome
from tests.harness.worker_process import WorkerProcess

# The model is slowed to a known pace, so that the load is half of what one worker can do on any machine.
CAPACITY = f"model-posts-per-second:{2 * POSTS_PER_SECOND}"
SETTLE_SECONDS = 180


class FaultRun:
    """Workers, load and book-keeping of one fault test. `begin` starts the load; `check` ends and judges it."""

    def __init__(self, cluster: TestCluster, stream: Stream, folder: Path) -> None:
        self.cluster = cluster
        self.stream = stream
        self.workers: dict[str, WorkerProcess] = {}
        self.kills = 0
        self.kills_with_work = 0
        self.recovery_seconds: list[float] = []
        self.outcome: Outcome | None = None
        self.notes: dict[str, Any] = {}
        self._folder = folder
        self._publisher: LoadPublisher | None = None
        self._closed = False
        self.progress = GroupProgress(cluster)

    def worker(self, name: str = "worker-0", settings: Any = None) -> WorkerProcess:
        """The worker of that name, made at first sight; at the known pace."""
        if name not in self.workers:
            self.workers[name] = WorkerProcess(
                settings or self.cluster.settings, self._folder, name, faults=(CAPACITY,)
            )
        return self.workers[name]

    def begin(self, posts_per_second: float = POSTS_PER_SECOND) -> None:
        """Publish the stream from now on."""
        self._publisher = LoadPublisher(self.cluster, self.stream.records, posts_per_second).start()

    def publishing(self) -> bool:
        return self._publisher is not None and self._publisher.running()

    def kill(self, worker: WorkerProcess) -> None:
        """SIGKILL, and whether records were un-acked at that moment."""
        self.note_kill()
        worker.kill()

    def note_kill(self, *topics: str) -> None:
        """Count a kill, and whether records of the topics (default: the inputs) were un-acked then."""
        self.kills += 1
        self.kills_with_work += self.progress.in_flight(*topics) > 0

    def revive(self, worker: WorkerProcess, *faults: str, since: float | None = None) -> None:
        """Start again and wait until something new was scored; the time since `since` is kept."""
        since = time.monotonic() if since is None else since
        scored = self.progress.written("scored-posts")
        worker.start(*faults)
        wait_until(lambda: self.progress.written("scored-posts") > scored or not self.progress.in_flight(), 60,
                   f"{worker.name} scored again")  # fmt: skip
        self.recovery_seconds.append(time.monotonic() - since)

    def drain(self) -> None:
        """Wait until everything but the closing posts was published and acknowledged."""
        assert self._publisher is not None, "the load was not begun"
        self._publisher.finish(SETTLE_SECONDS + self.stream.size / POSTS_PER_SECOND)
        wait_until(lambda: self.progress.in_flight() == 0, SETTLE_SECONDS + self.stream.size / POSTS_PER_SECOND,
                   "the load acknowledged")  # fmt: skip

    def close_minutes(self) -> None:
        """Publish the posts that close every minute; does nothing the second time."""
        if not self._closed:
            LoadPublisher(self.cluster, self.stream.closing).start().finish(SETTLE_SECONDS)
        self._closed = True

    def finish(self) -> None:
        """Wait until everything was published and acknowledged."""
        self.drain()
        self.close_minutes()
        self.progress.settle(SETTLE_SECONDS)

    def check(self, undisturbed: Outcome | None = None) -> Outcome:
        """`finish`, then the verdict."""
        self.finish()
        self.outcome = read_outcome(self.cluster)
        check_run(self.stream, self.outcome, undisturbed)
        return self.outcome

    def figures(self) -> str:
        """One line for people."""
        words = []
        if self.outcome is not None:
            books = self.outcome.books
            words += [f"in {books.taken_in}", f"scored {books.scored}", f"dead {books.dead}",
                      f"missing {self.outcome.missing}", f"repeats {books.scored_repeats}",
                      f"alert revisions {len(set(self.outcome.alerts))} (+{self.outcome.repeated_alerts} repeated)",
                      f"late {self.outcome.late_posts}"]  # fmt: skip
        if self.kills:
            words.append(f"kills {self.kills}, with work in flight {self.kills_with_work}")
        if self.recovery_seconds:
            ordered = sorted(self.recovery_seconds)
            words.append(
                f"fresh again after {ordered[0]:.1f}-{ordered[-1]:.1f} s (median {ordered[len(ordered) // 2]:.1f})"
            )
        return ", ".join([*words, *(f"{name} {value}" for name, value in self.notes.items())])

    def end(self) -> None:
        """No worker outlives the test."""
        for worker in self.workers.values():
            worker.kill()
        if self._publisher is not None:
            self._publisher.abandon()
        self.progress.close()


def undisturbed_run(cluster: TestCluster, stream: Stream, folder: Path) -> Outcome:
    """The stream through one worker to which nothing happens."""
    run = FaultRun(cluster, stream, folder)
    try:
        worker = run.worker().start().wait_ready()
        run.begin()
        outcome = run.check()
        assert worker.stop() == 0
        return outcome
    finally:
        run.end()
