"""The consumer in another language than Python reads what we publish: installed from its lock file, on a real Kafka."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streamapp.contracts.codec import decode, encode
from streamapp.contracts.messages import Alert
from tests.contracts.example_files import example_paths
from tests.harness.cluster import TestCluster

pytestmark = pytest.mark.broker

SOURCE = Path(__file__).parents[2] / "examples" / "consumer-node"
ALERTS = [decode(path.read_bytes(), Alert) for path in example_paths("alerts")]


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its dependencies, in a folder of its own."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are absent: the Node.js example cannot be run here")
    folder = tmp_path_factory.mktemp("node") / "consumer"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    installed = subprocess.run(
        [npm, "ci"], cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )
    assert installed.returncode == 0, installed.stderr
    return folder


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "alerts.js", *options], cwd=folder, capture_output=True, text=True, timeout=90, check=False
    )


def publish(test: TestCluster, *values: bytes | None, backfill: bool = False) -> None:
    headers = [("backfill", b"1"), ("traceparent", b"00-1")] if backfill else []
    with test.producer() as producer:
        for value in values:
            producer.send(test.name("alerts"), value, key=b"one-partition", headers=headers).get(30)


def options_for(test: TestCluster) -> tuple[str, ...]:
    return (
        "--broker",
        test.settings.broker.bootstrap,
        "--prefix",
        test.prefix,
        "--group",
        f"{test.prefix}node",
    )


def test_every_example_of_an_alert_is_printed_with_all_its_fields_and_then_the_program_ends(
    cluster: Callable[..., TestCluster], consumer: Path
) -> None:
    assert len(ALERTS) > 2
    test = cluster()
    lives = [msgspec.structs.replace(alert, alert_id=f"a{number}") for number, alert in enumerate(ALERTS)]
    publish(test, *map(encode, lives))
    ended = run(consumer, *options_for(test), "--json", "--max", str(len(lives)), "--timeout", "60")
    assert ended.returncode == 0, ended.stderr
    assert "not readable" not in ended.stderr
    printed = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [each.pop("backfill") for each in printed] == [False] * len(lives)
    assert [msgspec.convert(each, Alert) for each in printed] == lives


def test_repetitions_and_what_is_no_alert_are_left_out_and_the_program_ends_when_nothing_comes(
    cluster: Callable[..., TestCluster], consumer: Path
) -> None:
    test = cluster()
    first = msgspec.structs.replace(
        ALERTS[0], alert_id="a", revision=1, subject="company:AAPL", reason="a\x1b[2Jb"
    )
    second = msgspec.structs.replace(first, revision=2, state="resolved")
    newer = encode(second).replace(b'"contract_version":1', b'"contract_version":99')
    assert newer != encode(second)
    publish(test, encode(first), b"{", None, newer, encode(second), encode(first))
    publish(test, encode(msgspec.structs.replace(first, alert_id="past")), backfill=True)
    ended = run(consumer, *options_for(test), "--timeout", "8")
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stdout.splitlines() if not line.startswith("    ")]
    assert [("#1" in line, "resolved" in line, "(backfill)" in line) for line in lines] == [
        (True, False, False), (False, True, False), (True, False, True)
    ]  # fmt: skip
    assert all("company:AAPL" in line and "\x1b" not in line for line in lines)
    assert ended.stderr.count("is not readable") == 3
    assert "contract version 99 is newer" in ended.stderr


def test_wrong_options_and_an_absent_broker_end_in_words(consumer: Path) -> None:
    wrong = run(consumer, "--bokrer", "x")
    assert (wrong.returncode, "usage: node alerts.js" in wrong.stderr) == (2, True)
    assert run(consumer, "--max", "none").returncode == 2
    lost = run(consumer, "--broker", "127.0.0.1:1", "--max", "1")
    assert (lost.returncode, "Kafka at 127.0.0.1:1" in lost.stderr) == (3, True)


def test_the_lock_file_pins_versions_and_hashes_and_names_no_registry() -> None:
    lock = (SOURCE / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(lock)["packages"]
    assert "http" not in lock
    assert all(each["integrity"] for name, each in packages.items() if name)
    wanted = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert wanted == {"kafkajs": packages["node_modules/kafkajs"]["version"]}
