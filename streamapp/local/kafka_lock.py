"""Writes kafka_jars.txt: the exact files that KAFKA and LOG_BINDING need, found by jgo's Maven resolver.

Run it by hand after a version below changes: `python -m streamapp.local.kafka_lock`. Nothing else resolves
dependencies, so a start fetches exactly what was reviewed, and checks every byte of it.
"""

from __future__ import annotations

import hashlib
import tempfile
from importlib import resources
from pathlib import Path

import msgspec

KAFKA_VERSION = "4.1.0"
KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# Kafka brings log4j-core and the SLF4J 1.7 interface but nothing between them; the version is log4j-core's.
LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"
LOCK_FILE = "kafka_jars.txt"


class LockedJar(msgspec.Struct, frozen=True):
    """One file of the broker's class path, as it was when the lock was written."""

    coordinate: str
    size_bytes: int
    sha256: str

    @property
    def filename(self) -> str:
        """The name of the file in a Maven repository: artifact-version.jar."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock() -> tuple[LockedJar, ...]:
    """The files of the lock that ships with the package, in the order of the class path."""
    text = resources.files(__package__).joinpath(LOCK_FILE).read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(LockedJar(coordinate, int(size), sha256) for coordinate, size, sha256 in rows)


def _resolve(repository_cache: Path) -> list[LockedJar]:
    from jgo.maven import MavenContext  # noqa: PLC0415 - slow to import, and only this tool resolves

    context = MavenContext(repo_cache=repository_cache, timeout=30)
    kafka, binding = context.create_dependency(KAFKA), context.create_dependency(LOG_BINDING)
    inputs, transitive = context.resolver.resolve([kafka])
    needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime")), binding]
    jars = []
    for dependency in needed:
        artifact = dependency.artifact
        content = Path(artifact.resolve()).read_bytes()
        coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        jars.append(LockedJar(coordinate, len(content), hashlib.sha256(content).hexdigest()))
    return sorted(jars, key=lambda jar: jar.coordinate)


def main() -> None:
    """Resolve the two coordinates afresh and rewrite the lock beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        jars = _resolve(Path(folder))
    header = (
        "# Every file of the local broker: Maven coordinate, size in bytes, SHA-256."
        " Written by: python -m streamapp.local.kafka_lock\n"
    )
    lines = [f"{jar.coordinate} {jar.size_bytes} {jar.sha256}\n" for jar in jars]
    Path(__file__).with_name(LOCK_FILE).write_text(header + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
