"""A real Kafka with listeners as a bank has them: TLS with and without certificates of clients, and TLS with a user
and password (PLAIN, SCRAM).
"""

import contextlib
import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion
from msgspec import Struct

from streamapp.local import kafka_settings
from streamapp.local.broker import BrokerSettings, LocalBroker
from streamapp.settings import BrokerAccess

USER: Final = "desk"
PASSWORD: Final = "correct-horse-battery"
SCRAM_ITERATIONS: Final = 4096
Mechanism = Literal["PLAIN", "SCRAM-SHA-512"]


class Authority(Struct, frozen=True):
    """One that vouches for others: what they trust, and a holder's key with its certificate for 127.0.0.1."""

    trusted: Path
    holder: Path


class SecureBroker(Struct, frozen=True):
    """Addresses by what they ask for, and who vouches for everyone."""

    authority: Authority
    plain: str
    tls: str
    certificate: str
    user: str

    def access(self, mechanism: Mechanism | None = None, password: str = PASSWORD) -> BrokerAccess:
        """Over TLS: as the user, or with a mechanism of None as anyone."""
        trusted = str(self.authority.trusted)
        if mechanism is None:
            return BrokerAccess(bootstrap=self.tls, security_protocol="SSL", ssl_ca_file=trusted)
        return BrokerAccess(
            bootstrap=self.user,
            security_protocol="SASL_SSL",
            sasl_mechanism=mechanism,
            sasl_username=USER,
            sasl_password=password,
            ssl_ca_file=trusted,
        )

    def access_with_certificate(self) -> BrokerAccess:
        """As one that shows a certificate."""
        return BrokerAccess(
            bootstrap=self.certificate,
            security_protocol="SSL",
            ssl_ca_file=str(self.authority.trusted),
            ssl_cert_file=str(self.authority.holder),
        )


@contextlib.contextmanager
def secure_broker(folder: Path) -> Iterator[SecureBroker]:
    """Running, with the user known to both mechanisms."""
    authority = authority_in(folder)
    controller = _free_address(set())
    names = ("BROKER", "TLS", "CERTIFICATE", "USER")
    addresses: dict[str, str] = {}
    for name in names:
        addresses[name] = _free_address({controller, *addresses.values()})
    listeners = ",".join(f"{name}://{address}" for name, address in addresses.items())
    login = "org.apache.kafka.common.security"
    settings = BrokerSettings(
        data_dir=folder / "broker",
        port=int(addresses["BROKER"].rpartition(":")[2]),
        properties={
            "listeners": f"{listeners},CONTROLLER://{controller}",
            "advertised.listeners": listeners,
            "controller.quorum.voters": f"1@{controller}",
            "listener.security.protocol.map": (
                "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,CERTIFICATE:SSL,USER:SASL_SSL"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(authority.holder),
            "listener.name.certificate.ssl.client.auth": "required",
            "listener.name.certificate.ssl.truststore.type": "PEM",
            "listener.name.certificate.ssl.truststore.location": str(authority.trusted),
            "listener.name.user.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.user.plain.sasl.jaas.config": (
                f'{login}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            ),
            "listener.name.user.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        },
    )
    with LocalBroker.start(settings, die_with_parent=True) as broker:
        with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
            credential = UserScramCredentialUpsertion(
                USER, ScramMechanism.SCRAM_SHA_512, PASSWORD, iterations=SCRAM_ITERATIONS
            )
            assert admin.alter_user_scram_credentials([credential]) == {USER: None}
        plain, tls, certificate, user = (addresses[name] for name in names)
        yield SecureBroker(authority, plain, tls, certificate, user)


def authority_in(folder: Path, name: str = "authority") -> Authority:
    """A new one with its files in `folder`."""
    key, holder_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    itself = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    holder = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "holder")])
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject: x509.Name, its_key: ec.EllipticCurvePrivateKey, signs: bool) -> x509.Certificate:
        address = x509.IPAddress(ipaddress.ip_address(kafka_settings.HOST))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(itself)
            .public_key(its_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(key, hashes.SHA256())
        )

    made = Authority(folder / f"{name}.pem", folder / f"{name}-holder.pem")
    made.trusted.write_bytes(_pem(certificate(itself, key, signs=True)))
    private = holder_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made.holder.write_bytes(private + _pem(certificate(holder, holder_key, signs=False)))
    return made


def _pem(certificate: x509.Certificate) -> bytes:
    return bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _free_address(taken: set[str]) -> str:
    while True:
        address = f"{kafka_settings.HOST}:{kafka_settings.free_port()}"
        if address not in taken:
            return address
