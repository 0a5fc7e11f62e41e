"""One stream and one undisturbed run of it for all fault tests, and a table of what they saw."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import TestCluster
from tests.harness.load import EVENT_TIME, MINUTE_MS, SURGE, Stream, make_stream
from tests.harness.run import FaultRun, undisturbed_run
from tests.harness.verdict import Outcome

POSTS = 20_000


@pytest.fixture(scope="session")
def stream() -> Stream:
    """20,000 posts over 8 partitions; the last of them two hours ago."""
    begin_ms = int(time.time() * 1000) - 3 * 3_600_000
    return make_stream(POSTS, begin_ms // MINUTE_MS * MINUTE_MS)


@pytest.fixture(scope="session")
def undisturbed(
    broker: str, tiny_bundle: Path, stream: Stream, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    """What a run of the stream gives when nothing goes wrong."""
    test = TestCluster(broker, f"t{uuid.uuid4().hex[:8]}-", tiny_bundle, event_time=EVENT_TIME, surge=SURGE)
    return undisturbed_run(test, stream, tmp_path_factory.mktemp("undisturbed"))


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
