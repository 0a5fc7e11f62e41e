"""Clients' options from the settings, one function a client library. Secrets go to the client and nowhere else."""

import ssl
from typing import Any

import faust
from faust.types.auth import CredentialsT

from streamapp.settings import BrokerAccess, SettingsError


def tls_context(access: BrokerAccess) -> ssl.SSLContext | None:
    """The TLS context for SSL protocols, None for the others."""
    if access.security_protocol not in ("SSL", "SASL_SSL"):
        return None
    try:
        return ssl.create_default_context(cafile=access.ssl_ca_file)
    except OSError as error:
        raise SettingsError(f"broker.ssl_ca_file {access.ssl_ca_file}: {error}") from error


def aiokafka_options(access: BrokerAccess) -> dict[str, Any]:
    """Connection options of aiokafka's clients."""
    options: dict[str, Any] = {
        "bootstrap_servers": access.bootstrap,
        "security_protocol": access.security_protocol,
        "ssl_context": tls_context(access),
    }
    if access.sasl_mechanism:
        options["sasl_mechanism"] = access.sasl_mechanism
        options["sasl_plain_username"] = access.sasl_username
        options["sasl_plain_password"] = access.sasl_password
    return options


def faust_broker(access: BrokerAccess) -> tuple[str, CredentialsT | None]:
    """Faust's broker URL and credentials."""
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
