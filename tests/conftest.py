"""Fixtures that every kind of test may use: the shared broker, a fresh topic prefix, the tiny bundle."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamapp.local.broker import BrokerSettings, LocalBroker
from streamapp.settings import Settings
from tests.harness.cluster import TestCluster
from tests.harness.worker_process import WorkerProcess
from tests.tiny_bundle import write_tiny_bundle

# A test run started in the background of a script inherits ignored signals, and so would every process that a test
# starts; the tests of Ctrl-C and of a closed terminal need them heard.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

REPOSITORY = Path(__file__).parent.parent
SHARED = REPOSITORY.parent / "shared" / "datasets"
CHAOS_SECONDS = 4 * 3600


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the one broker of this test session; STREAMAPP_TEST_BROKER names an existing one."""
    existing = os.environ.get("STREAMAPP_TEST_BROKER")
    if existing:
        yield existing
        return
    with LocalBroker.start(
        BrokerSettings(data_dir=tmp_path_factory.mktemp("broker")), die_with_parent=True
    ) as local:
        yield local.bootstrap


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test has."""
    return f"t{uuid.uuid4().hex[:8]}-"


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' model, whose verdicts can be told from the words of a text."""
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture
def cluster(broker: str, topic_prefix: str, tiny_bundle: Path) -> Callable[..., TestCluster]:
    """Makes a set of topics of the test's own; keyword arguments become settings groups."""

    def make(**changes: Any) -> TestCluster:
        return TestCluster(broker, topic_prefix, tiny_bundle, **changes)

    return make


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Makes worker processes that do not outlive the test."""
    made: list[WorkerProcess] = []

    def make(settings: Settings, **options: Any) -> WorkerProcess:
        worker = WorkerProcess(settings, tmp_path, **options)
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.kill()


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """The folder of the real data sets; skips loudly without it."""
    if not SHARED.is_dir():
        pytest.skip("../shared/datasets is absent: real data cannot be tested here")
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The chaos tests take longer than any other test may, whichever way they are started."""
    for item in items:
        if item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.timeout(CHAOS_SECONDS))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The figures of the fault tests, and what CI does not allow."""
    lines = sorted(
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, line in report.user_properties
        if name == "figures"
    )
    if lines:
        terminalreporter.section("what the faults did")
    for line in lines:
        terminalreporter.line(line)
    if os.environ.get("CI"):
        _refuse_skips(terminalreporter)


def _refuse_skips(terminalreporter: Any) -> None:
    """In CI only what cannot be there may be absent: the real data sets and a GPU. Any other skip is a failure."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "../shared" not in reason and "GPU" not in reason:
            terminalreporter.section("a skip that CI does not allow", red=True)
            terminalreporter.write_line(f"{report.nodeid}: {reason}")
            terminalreporter._session.exitstatus = 1
