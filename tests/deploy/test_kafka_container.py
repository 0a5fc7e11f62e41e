"""What the Kafka image does at its start, with its own program from the same release: read our file, format, serve."""

import os
import subprocess
from pathlib import Path

import pytest

from streamapp.cluster.kafka_clients import open_admin
from streamapp.cluster.topic_admin import create_topics, plan_topics
from streamapp.local.kafka_ready import answers
from streamapp.local.kafka_runtime import KafkaRuntime, ensure_kafka_runtime
from streamapp.settings import BrokerAccess
from tests.deploy.compose import KAFKA_PROPERTIES, containers, kafka_properties, own_containers
from tests.harness.cluster import free_port, wait_until

pytestmark = pytest.mark.broker

KAFKA, TOPICS = containers()["kafka"], own_containers()["topics"]
# Any identity will do; the image brings this one.
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"


def prepared(folder: Path, runtime: KafkaRuntime) -> tuple[Path, int]:
    """The configuration as the image's setup writes it, and the port for programs on this machine.

    Ports, data folder and the name `kafka` are this test's own: all else stands as it is in the file.
    """
    ports = {each.rpartition(":")[2]: str(free_port()) for each in kafka_properties()["listeners"].split(",")}
    text = KAFKA_PROPERTIES.read_text(encoding="utf-8").replace(
        kafka_properties()["log.dirs"], str(folder / "data")
    )
    text = text.replace("@kafka:", "@localhost:").replace("//kafka:", "//localhost:")
    text = text.replace("HOST://127.0.0.1:9092", f"HOST://127.0.0.1:{ports['29092']}")
    for written, free in ports.items():
        text = text.replace(f":{written}", f":{free}")
    for name in ("image", "mounted", "written", "data"):
        (folder / name).mkdir()
    (folder / "mounted" / KAFKA_PROPERTIES.name).write_text(text, encoding="utf-8")
    setup = subprocess.run(
        [
            runtime.java, "-Xmx256m", "-cp", runtime.class_path, "kafka.docker.KafkaDockerWrapper", "setup",
            "--default-configs-dir", folder / "image",
            "--mounted-configs-dir", folder / "mounted",
            "--final-configs-dir", folder / "written",
        ],
        env={**os.environ, **KAFKA.environment, "CLUSTER_ID": CLUSTER_ID},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert setup.returncode == 0, setup.stdout + setup.stderr
    assert "Formatting" in setup.stdout
    return folder / "written" / KAFKA_PROPERTIES.name, int(ports["29092"])


def test_kafka_starts_from_our_file_as_its_image_starts_it_and_takes_our_topics(tmp_path: Path) -> None:
    runtime = ensure_kafka_runtime(print)
    properties, port = prepared(tmp_path, runtime)
    heap = KAFKA.environment["KAFKA_HEAP_OPTS"].split()
    log = tmp_path / "kafka.log"
    with log.open("wb") as out:
        flags = [*heap, "-XX:TieredStopAtLevel=1", "-cp", runtime.class_path]
        command = [str(runtime.java), *flags, "kafka.Kafka", str(properties)]
        kafka = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        address = f"127.0.0.1:{port}"
        wait_until(lambda: answers(address, CLUSTER_ID, 2), 60, f"Kafka answers on the listener HOST: {log}")
        with open_admin(BrokerAccess(bootstrap=address)) as admin:
            reports = create_topics(admin, plan_topics(TOPICS.settings(), "--dev" in TOPICS.command))
        assert {report.name for report in reports if report.created} >= {
            "news",
            "chat",
            "alerts",
            "scored-posts",
        }
        assert [report.differences for report in reports if report.differences] == []
    finally:
        kafka.terminate()
        kafka.wait(30)
