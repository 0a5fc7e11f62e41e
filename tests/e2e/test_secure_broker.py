"""A broker that asks for TLS, a certificate or a password: all works through it, and a refusal is said in words."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from streamapp.cluster.first_contact import why_no_contact
from streamapp.settings import BrokerAccess, Settings, dump_settings
from tests.harness.accounting import balance
from tests.harness.cluster import TestCluster, wait_until
from tests.harness.secure_broker import PASSWORD, USER, SecureBroker, authority_in, secure_broker
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.broker

POSTS = 200
PUBLISHED_MS = 1_790_000_000_000
WRONG = "not-the-password"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    with secure_broker(tmp_path_factory.mktemp("secure")) as running:
        yield running


@pytest.fixture
def access(request: pytest.FixtureRequest, secure: SecureBroker) -> BrokerAccess:
    if request.param == "tls":
        return secure.access()
    return (
        secure.access_with_certificate() if request.param == "certificate" else secure.access(request.param)
    )


def command(folder: Path, settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    config = folder / "command.json"
    config.write_text(dump_settings(settings), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "streamapp", *words, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("access", ["tls", "certificate", "PLAIN", "SCRAM-SHA-512"], indirect=True)
def test_posts_are_scored_over_tls_whoever_vouches_for_the_worker(
    access: BrokerAccess,
    workers: Callable[..., WorkerProcess],
    topic_prefix: str,
    tiny_bundle: Path,
    tmp_path: Path,
) -> None:
    test = TestCluster(access.bootstrap, topic_prefix, tiny_bundle, broker=access)
    worker = workers(test.settings, name="worker-0").start().wait_ready()
    test.publish(
        {"id": f"p{number}", "text": f"Lender {number} plunges on fraud", "published_at": PUBLISHED_MS}
        for number in range(POSTS)
    )
    wait_until(lambda: balance(test).balanced, 60, "every post scored")
    assert len(test.scored()) == POSTS
    examined = command(tmp_path, test.settings, "doctor", "--dev")
    assert worker.stop() == 0
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert PASSWORD not in worker.log() + examined.stdout + examined.stderr


def test_a_wrong_password_ends_worker_and_doctor_in_words_that_keep_it(
    secure: SecureBroker,
    workers: Callable[..., WorkerProcess],
    topic_prefix: str,
    tiny_bundle: Path,
    tmp_path: Path,
) -> None:
    access = secure.access()
    test = TestCluster(access.bootstrap, topic_prefix, tiny_bundle, broker=access)
    wrong = msgspec.structs.replace(test.settings, broker=secure.access("SCRAM-SHA-512", WRONG))
    worker = workers(wrong, name="worker-0").start()
    examined = command(tmp_path, wrong, "doctor", "--dev")
    assert (worker.wait(60), examined.returncode) == (3, 1)
    for said in (worker.log(), examined.stdout):
        assert f"refuses the user '{USER}'" in said
        assert "broker.sasl_password" in said
        assert WRONG not in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ssl_ca_file": "STRANGER"}, "is not trusted: unable to get local issuer certificate (broker.ssl_ca_file"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "does not offer SCRAM-SHA-256 (broker.sasl_mechanism)"),
        ({"bootstrap": "CERTIFICATE", "security_protocol": "SSL", "sasl_mechanism": None}, "or a certificate (broker"),
        ({"security_protocol": "SASL_PLAINTEXT"}, "expects another protocol than SASL_PLAINTEXT"),
        ({"security_protocol": "SSL", "sasl_mechanism": None}, "or asks for a user where broker.security_protocol"),
        ({"bootstrap": "PLAIN"}, "expects another protocol than SASL_SSL"),
        ({"bootstrap": "TLS"}, "asks for no user (broker.security_protocol is SASL_SSL)"),
        ({"bootstrap": "127.0.0.1:1"}, "nothing listens there (broker.bootstrap)"),
        ({"bootstrap": "kafka.invalid:9092"}, "is no host that can be found (broker.bootstrap)"),
        ({"bootstrap": "127.0.0.1:1, kafka.invalid:9092"}, "(broker.bootstrap); kafka.invalid:9092 is no host"),
        ({"bootstrap": "127.0.0.1:port"}, "cannot be reached: invalid literal"),
    ],
)  # fmt: skip
def test_a_broker_that_cannot_be_reached_names_the_setting_to_change(
    changes: dict[str, str | None], said: str, secure: SecureBroker, tmp_path: Path
) -> None:
    made = {
        "STRANGER": str(authority_in(tmp_path, "stranger").trusted),
        "TLS": secure.tls,
        "CERTIFICATE": secure.certificate,
        "PLAIN": secure.plain,
    }
    access = msgspec.structs.replace(
        secure.access("PLAIN"), **{name: made.get(value or "", value) for name, value in changes.items()}
    )
    why = why_no_contact(access)
    assert said in why
    assert PASSWORD not in why
