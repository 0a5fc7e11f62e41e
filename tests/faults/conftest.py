"""One stream and one undisturbed run of it for all fault tests, in whichever process, and a table of what they saw."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock

from tests.harness.cluster import TestCluster
from tests.harness.load import EVENT_TIME, MINUTE_MS, SURGE, Stream, make_stream
from tests.harness.run import FaultRun, undisturbed_run
from tests.harness.verdict import Outcome

POSTS = 20_000


@pytest.fixture(scope="session")
def of_all_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes of a test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def stream(of_all_processes: Path) -> Stream:
    """20,000 posts over 8 partitions; the last of them two hours ago."""
    begin = of_all_processes / "begin-ms"
    with FileLock(of_all_processes / "begin-ms.lock"):
        if not begin.exists():
            begin_ms = int(time.time() * 1000) - 3 * 3_600_000
            begin.write_text(str(begin_ms // MINUTE_MS * MINUTE_MS))
    return make_stream(POSTS, int(begin.read_text()))


@pytest.fixture(scope="session")
def undisturbed(
    broker: str,
    tiny_bundle: Path,
    stream: Stream,
    of_all_processes: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcome:
    """What a run of the stream gives when nothing goes wrong. The process that comes first makes it for all."""
    outcome = of_all_processes / "undisturbed"
    with FileLock(of_all_processes / "undisturbed.lock"):
        if not outcome.exists():
            test = TestCluster(
                broker, f"t{uuid.uuid4().hex[:8]}-", tiny_bundle, event_time=EVENT_TIME, surge=SURGE
            )
            made = undisturbed_run(test, stream, tmp_path_factory.mktemp("undisturbed"))
            outcome.write_bytes(msgspec.msgpack.encode(made))
    return msgspec.msgpack.decode(outcome.read_bytes(), type=Outcome)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines for the table at the end of the test run (tests/conftest.py prints it)."""
    lines: list[str] = []
    yield lines
    request.node.user_properties.extend(("figures", line) for line in lines)


@pytest.fixture
def fault_run(
    cluster: Callable[..., TestCluster],
    stream: Stream,
    tmp_path: Path,
    figures: list[str],
    request: pytest.FixtureRequest,
) -> Iterator[FaultRun]:
    """A cluster of the test's own with the stream being published; its figures go into the table."""
    run = FaultRun(cluster(event_time=EVENT_TIME, surge=SURGE), stream, tmp_path)
    yield run
    run.end()
    figures.append(f"{request.node.name}: {run.figures()}")
