"""Clients' options from the settings, one function a client library. Secrets go to the client and nowhere else."""

import ssl
from typing import TYPE_CHECKING, Any, Final

from streamapp.settings import BrokerAccess, SettingsError

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT

REQUEST_TIMEOUT_MS: Final = 30_000
# How long a command waits for a broker that does not answer before it says so.
BOOTSTRAP_TIMEOUT_MS: Final = 15_000


def tls_context(access: BrokerAccess) -> ssl.SSLContext | None:
    """The TLS context for SSL protocols, None for the others. Raises SettingsError for files that are no PEM."""
    if not access.speaks_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=access.ssl_ca_file)
    except OSError as error:  # which ssl.SSLError is too
        raise SettingsError(f"broker.ssl_ca_file {access.ssl_ca_file}: {error}") from error
    if access.ssl_cert_file is not None:
        try:
            context.load_cert_chain(access.ssl_cert_file, access.ssl_key_file, _no_password)
        except OSError as error:
            raise SettingsError(
                f"broker.ssl_cert_file {access.ssl_cert_file} with its key: {error}"
            ) from error
    return context


def _no_password() -> str:
    """Without this, OpenSSL asks the terminal of a daemon for the password of an encrypted key."""
    return ""


def aiokafka_options(access: BrokerAccess) -> dict[str, Any]:
    """Connection options of aiokafka's clients."""
    return {
        "bootstrap_servers": access.bootstrap,
        "security_protocol": access.security_protocol,
        "ssl_context": tls_context(access),
        **_user(access),
    }


def kafka_python_options(access: BrokerAccess) -> dict[str, Any]:
    """Connection options of kafka-python's clients."""
    return {
        "bootstrap_servers": [host.strip() for host in access.bootstrap.split(",")],
        "security_protocol": access.security_protocol,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
        "ssl_context": tls_context(access),
        **_user(access),
    }


def _user(access: BrokerAccess) -> dict[str, str | None]:
    """Named alike by both libraries."""
    if access.sasl_mechanism is None:
        return {}
    return {
        "sasl_mechanism": access.sasl_mechanism,
        "sasl_plain_username": access.sasl_username,
        "sasl_plain_password": access.sasl_password,
    }


def faust_broker(access: BrokerAccess) -> "tuple[str, CredentialsT | None]":
    """Faust's broker URL and credentials."""
    import faust  # noqa: PLC0415  # keeps commands that read a topic quick to start

    url = ";".join(f"kafka://{host.strip()}" for host in access.bootstrap.split(","))
    context = tls_context(access)
    if access.sasl_mechanism:
        credentials = faust.SASLCredentials(
            username=access.sasl_username,
            password=access.sasl_password,
            mechanism=access.sasl_mechanism,
            ssl_context=context,
        )
        return url, credentials
    return url, faust.SSLCredentials(context=context) if context else None
