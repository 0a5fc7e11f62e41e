"""TLS files that cannot be used are named, nobody is asked for a password, and addresses may be IPv6."""

import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from streamapp.cluster.access import tls_context
from streamapp.cluster.first_contact import why_no_contact
from streamapp.settings import BrokerAccess, SettingsError
from tests.harness.secure_broker import authority_in


def test_an_authority_that_is_no_pem_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate", encoding="ascii")
    with pytest.raises(SettingsError, match=r"broker\.ssl_ca_file .*ca\.pem"):
        tls_context(BrokerAccess(security_protocol="SSL", ssl_ca_file=str(path)))


def test_an_encrypted_key_is_refused_without_a_question(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    access = BrokerAccess(
        security_protocol="SSL",
        ssl_cert_file=str(authority_in(tmp_path).trusted),
        ssl_key_file=str(key),
    )
    with pytest.raises(SettingsError, match=r"broker\.ssl_cert_file .*authority\.pem"):
        tls_context(access)


def test_an_address_at_which_nothing_listens_is_named_as_that() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        said = why_no_contact(BrokerAccess(bootstrap=address))
    assert said == f"{address} refuses connections: nothing listens there (broker.bootstrap)"


def test_an_ipv6_address_in_brackets_is_not_looked_up_as_a_name() -> None:
    said = why_no_contact(BrokerAccess(bootstrap="[::1]:1"))
    assert said.startswith("[::1]:1 ")
    assert "no host that can be found" not in said
