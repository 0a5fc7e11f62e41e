"""Files of the TLS settings that cannot be used are named, and nobody is asked for a password."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from streamapp.cluster.access import tls_context
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
