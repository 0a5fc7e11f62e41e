"""The retrain command as users run it, in a process of its own, with a stand-in for training."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import psutil

from retrain.label_store import LabelStore
from retrain.run_book import RunBook, RunRecord
from retrain.runs import MARK
from retrain.settings import HttpSettings as RetrainHttpSettings
from retrain.settings import (
    LabelSettings,
    ModelStoreSettings,
    QualitySettings,
    RetrainSettings,
    RunSettings,
    ScheduleSettings,
    StoreSettings,
    TrackingSettings,
)
from streamapp.cluster.announcements import announce, read_champions
from streamapp.contracts.bundle import read_bundle, write_bundle
from streamapp.contracts.champion import Announcer, Champion, announcement, first_champion
from streamapp.contracts.codec import encode
from streamapp.contracts.messages import Label, Post, ScoredPost, SentimentVerdict, SourceOffset, Verdict
from streamapp.inference.model_store import ModelStore, publish_bundle
from streamapp.settings import dump_settings
from tests.harness.cluster import TestCluster, free_port, wait_until

WITH_FAULTS = Path(__file__).with_name("retrain_with_faults.py")
REPOSITORY = Path(__file__).parents[2]


class RetrainHouse:
    """Everything that one retrain service keeps and is told, below one folder."""

    def __init__(self, cluster: TestCluster, bundle: Path, folder: Path, **groups: Any) -> None:
        self.cluster = cluster
        self.bundle = bundle
        self.folder = folder
        defaults: dict[str, Any] = {
            "labels": LabelSettings(bundle=str(bundle), patience_seconds=60.0),
            "schedule": ScheduleSettings(cron="", new_labels=3, fewest_new_labels=1, rest_minutes=0.0),
            "quality": QualitySettings(follow=False),
            "run": RunSettings(folder=str(folder / "runs"), grace_seconds=2.0, patience_seconds=60.0),
            "model_store": ModelStoreSettings(url=str(folder / "models")),
            "tracking": TrackingSettings(uri=""),  # seconds a process, where it is not what is shown
        }
        self.settings = RetrainSettings(
            broker=cluster.settings.broker,
            topics=cluster.settings.topics,
            store=StoreSettings(path=str(folder / "labels.sqlite")),
            http=RetrainHttpSettings(port=free_port()),
            **{**defaults, **groups},
        )
        self._config = folder / "retrain.json"
        self._config.write_text(dump_settings(self.settings), encoding="utf-8")
        self.log_path = folder / "retrain.log"

    def start(self, *arguments: str, mode: str = "promote", fault: str = "none") -> subprocess.Popen[bytes]:
        """The command with a stand-in for training; the real one where `mode` is `train`."""
        program = ("-m", "retrain") if mode == "train" else (str(WITH_FAULTS), mode, fault)
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *program, *arguments, "--config", str(self._config)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                start_new_session=True,
            )

    def once(self, *arguments: str, mode: str = "promote", fault: str = "none") -> int:
        """The exit code of `retrain once`."""
        return self.start("once", *arguments, mode=mode, fault=fault).wait(300)

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def label(self, count: int, first: int = 0) -> None:
        """Labels of a person for posts that bring their text."""
        self.publish_labels(
            Label(post_id=f"p{number}", text=f"bank number {number} plunges", channel="news", sentiment="negative",
                  author="ann", labelled_at_ms=1_790_000_000_000 + number, origin="person", drawn="audit")
            for number in range(first, first + count)
        )  # fmt: skip

    def publish_labels(self, labels: Iterable[Label]) -> None:
        topic = self.cluster.name("labels")
        with self.cluster.producer() as producer:
            sent = [producer.send(topic, key=label.post_id.encode(), value=encode(label)) for label in labels]
            for each in sent:
                each.get(timeout=30)

    def with_topic(self, topic: str) -> Path:
        """A bundle as the first one, with one more topic in its manifest: enough for who does not run it."""
        first = read_bundle(self.bundle)
        topics = (*(first.manifest.outputs.topic or ()), topic)
        outputs = msgspec.structs.replace(first.manifest.outputs, topic=topics)
        manifest = msgspec.structs.replace(first.manifest, version=topic, outputs=outputs, files={})
        files: dict[str, bytes | Path] = {name: first.path(name) for name in first.manifest.files}
        return write_bundle(self.folder / f"with-{topic}", manifest, files).folder

    def label_topic(self, post_id: str, topic: str) -> None:
        """A person says what a post is about."""
        label = Label(post_id=post_id, text="coins", channel="chat", topic=topic, author="ann",
                      labelled_at_ms=1_790_000_000_000, origin="person")  # fmt: skip
        self.publish_labels([label])

    def publish_scored(
        self, verdict: SentimentVerdict, posts: int, first: int = 0, version: str = "tiny-1"
    ) -> None:
        """Scored posts of the chat channel that all have this verdict."""
        with self.cluster.producer() as producer:
            for number in range(first, first + posts):
                scored = ScoredPost(
                    post=Post(id=f"p{number}", channel="chat", text="t", event_time_ms=0),
                    verdict=Verdict(sentiment=verdict),
                    model_version=version,
                    source_offset=SourceOffset("u", 0, number),
                    story_fingerprint="0" * 16,
                )
                topic = self.cluster.name("scored-posts")
                producer.send(topic, key=scored.post.id.encode(), value=encode(scored))

    def stored_labels(self) -> int:
        with LabelStore(Path(self.settings.store.path)) as store:
            assert len(store.current()) == len(store.history())  # none twice
            return len(store.current())

    def runs(self) -> list[RunRecord]:
        return RunBook(Path(self.settings.run.folder)).runs()

    def child_starts(self) -> int:
        """How often the child of the only run was started."""
        (run,) = self.runs()
        starts = Path(self.settings.run.folder) / run.run_id / "work" / "starts"
        return len(starts.read_text().splitlines()) if starts.exists() else 0

    @property
    def first(self) -> Champion:
        return first_champion(read_bundle(self.bundle).manifest)

    def line(self) -> tuple[Champion, ...]:
        return read_champions(self.settings.broker, self.cluster.name("model-announcements"), self.first)

    def announce_as_a_person(self, folder: Path, *, pinned: bool = False) -> Champion:
        """Another bundle takes the champion's place (or the same is pinned), by hand."""
        manifest, present = read_bundle(folder).manifest, self.line()[-1]
        url = publish_bundle(folder, self.settings.model_store.url)
        heir = Champion(sequence=0, model_name=manifest.name, model_version=manifest.model_version,
                        bundle_digest=manifest.digest, bundle_url=url)  # fmt: skip
        record = announcement(
            present, heir, Announcer(by="cli/ann", reason="by hand", at_ms=1), pinned=pinned
        )
        topic = self.cluster.name("model-announcements")
        told = announce(self.settings.broker, topic, record, self.first, despite_pin=True)
        assert told.won
        return told.champion

    def fetched_version(self, champion: Champion) -> str:
        """The version of the announced bundle, verified as every worker verifies it."""
        return ModelStore(self.folder / "another-machine").fetch(champion).manifest.model_version

    def leftovers(self) -> list[int]:
        """Processes that belong to a run, the child's descendants too."""
        found, runs = [], {run.run_id for run in self.runs()}
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) in runs:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    def page(self, name: str) -> tuple[int, str] | None:
        """Status and body of a page of `retrain serve`; None where nothing answers."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.settings.http.port}/{name}", timeout=5
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None

    def waiting_for(self) -> dict[str, str]:
        """What /readyz names."""
        answer = self.page("readyz")
        return dict(json.loads(answer[1])["waiting_for"]) if answer else {"service": "does not answer"}

    def wait_for(self, result: str, timeout_seconds: float = 60.0) -> RunRecord:
        """The newest run, once it ended so."""

        def ended() -> RunRecord | None:
            runs = self.runs() if Path(self.settings.run.folder).is_dir() else []
            return runs[-1] if runs and runs[-1].result == result else None

        return wait_until(ended, timeout_seconds, f"a run that ended {result}")  # type: ignore[return-value]

    def wait_for_child(self, timeout_seconds: float = 60.0) -> None:
        """Until the child of the newest run works."""
        checkpoints = Path(self.settings.run.folder)
        wait_until(lambda: list(checkpoints.glob("*/*/checkpoint")), timeout_seconds, "a child that works")


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> tuple[int, float]:
    """The exit code, and how many seconds it took."""
    began = time.monotonic()
    process.send_signal(number)
    return process.wait(60), time.monotonic() - began
