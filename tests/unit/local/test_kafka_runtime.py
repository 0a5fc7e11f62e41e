"""Fetching against a real HTTP server on loopback, with small files in place of Kafka's."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamapp.local.kafka_lock import KAFKA, KAFKA_VERSION, LOG_BINDING, LockedJar, read_lock
from streamapp.local.kafka_runtime import BrokerError, default_cache_dir, ensure_jars, ensure_kafka_runtime

CONTENTS = {f"org.example:part{number}:1.0": bytes([number]) * 5_000 for number in range(6)}
LOCK = tuple(
    LockedJar(coordinate, len(content), hashlib.sha256(content).hexdigest())
    for coordinate, content in CONTENTS.items()
)
NOBODY_LISTENS = "http://127.0.0.1:1/maven"


class Repository(ThreadingHTTPServer):
    """A Maven repository of CONTENTS whose answers a test can damage."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.damage: dict[str, str] = {}
        self.requests: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/maven"


class _Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[1]
        content = next((CONTENTS[jar.coordinate] for jar in LOCK if jar.filename == name), None)
        if content is None:
            self.send_error(404)
            return
        self.server.requests[name] += 1
        damage = self.server.damage.get(name)
        if damage == "unavailable":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write({"cut": content[:100], "wrong": b"?" * len(content)}.get(damage or "", content))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Keep the test output clean."""


@pytest.fixture
def repository() -> Iterator[Repository]:
    server = Repository()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def quiet(line: str) -> None:
    """Progress that nobody reads."""


def test_a_fetch_leaves_exactly_the_locked_files(repository: Repository, tmp_path: Path) -> None:
    ensure_jars(tmp_path / "kafka", LOCK, repository.url, quiet)

    found = {path.name: path.read_bytes() for path in (tmp_path / "kafka").iterdir()}
    assert found == {jar.filename: CONTENTS[jar.coordinate] for jar in LOCK}


def test_a_second_start_fetches_nothing(repository: Repository, tmp_path: Path) -> None:
    ensure_jars(tmp_path / "kafka", LOCK, repository.url, quiet)
    ensure_jars(tmp_path / "kafka", LOCK, NOBODY_LISTENS, quiet)

    assert repository.requests.total() == len(LOCK)


@pytest.mark.parametrize("damage", ["cut", "wrong", "unavailable"])
def test_a_damaged_download_is_named_and_never_counts(
    repository: Repository, tmp_path: Path, damage: str
) -> None:
    repository.damage["part3-1.0.jar"] = damage

    with pytest.raises(BrokerError, match=r"org\.example:part3:1\.0") as caught:
        ensure_jars(tmp_path / "kafka", LOCK, repository.url, quiet)

    assert "--broker" in str(caught.value)
    assert not (tmp_path / "kafka").exists()
    assert repository.requests["part3-1.0.jar"] == 3


def test_the_next_attempt_fetches_only_what_is_missing(repository: Repository, tmp_path: Path) -> None:
    repository.damage["part5-1.0.jar"] = "cut"
    with pytest.raises(BrokerError):
        ensure_jars(tmp_path / "kafka", LOCK, repository.url, quiet)
    arrived = {path.name for path in (tmp_path / "kafka.partial").glob("*.jar")}
    repository.damage.clear()
    repository.requests.clear()

    ensure_jars(tmp_path / "kafka", LOCK, repository.url, quiet)

    assert arrived
    assert set(repository.requests) == {jar.filename for jar in LOCK} - arrived


def test_a_file_cut_in_the_cache_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    ensure_jars(tmp_path / "kafka", LOCK, repository.url, quiet)
    (tmp_path / "kafka" / "part1-1.0.jar").write_bytes(b"cut")

    ensure_jars(tmp_path / "kafka", LOCK, repository.url, quiet)

    assert (tmp_path / "kafka" / "part1-1.0.jar").read_bytes() == CONTENTS["org.example:part1:1.0"]


def test_two_starts_at_once_fetch_each_file_once(repository: Repository, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=ensure_jars, args=(tmp_path / "kafka", LOCK, repository.url, quiet))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert repository.requests == Counter(jar.filename for jar in LOCK)


def test_progress_says_how_much_is_fetched(repository: Repository, tmp_path: Path) -> None:
    lines: list[str] = []

    ensure_jars(tmp_path / "kafka", LOCK, repository.url, lines.append)

    assert f"{len(LOCK)} files" in lines[0]
    assert lines[-1].endswith("is complete")


def test_offline_the_error_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BrokerError) as caught:
        ensure_kafka_runtime(quiet, cache_dir=tmp_path, repository_url=NOBODY_LISTENS)

    for part in (f"Apache Kafka {KAFKA_VERSION}", "network", "again", "--broker"):
        assert part in str(caught.value)
    assert not list(tmp_path.rglob("*.jar"))


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(BrokerError, match="STREAMAPP_CACHE_DIR"):
        ensure_kafka_runtime(quiet, cache_dir=tmp_path / "file" / "cache", repository_url=NOBODY_LISTENS)


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STREAMAPP_CACHE_DIR", str(tmp_path))

    assert default_cache_dir() == tmp_path


def test_the_shipped_lock_names_the_pinned_versions_once_each() -> None:
    coordinates = [jar.coordinate for jar in read_lock()]

    assert {KAFKA, LOG_BINDING} <= set(coordinates)
    assert len({coordinate.rsplit(":", 1)[0] for coordinate in coordinates}) == len(coordinates)
