"""Why no broker can be reached, in words that name the setting to change.

Asked after a client gave up: the clients retry whatever fails and then know only that time ran out. Must not decide
what becomes of it.
"""

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiokafka.conn import create_conn, get_ip_port_afi
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from streamapp.cluster.access import aiokafka_options
from streamapp.settings import BrokerAccess

CONNECT_SECONDS: Final = 5.0


def why_no_contact(access: BrokerAccess) -> str:
    """One attempt at each bootstrap address, at most five seconds each; never contains the password.

    Blocks, and may be called with an event loop running or without. Raises SettingsError for an unreadable CA file.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="first-contact") as executor:
        return "; ".join(executor.submit(asyncio.run, _attempts(access)).result())


async def _attempts(access: BrokerAccess) -> list[str]:
    return [f"{address.strip()} {await _attempt(address, access)}" for address in access.bootstrap.split(",")]


async def _attempt(address: str, access: BrokerAccess) -> str:
    options = aiokafka_options(access)
    del options["bootstrap_servers"]
    try:
        host, port, _family = get_ip_port_afi(address)
        connecting = create_conn(host, port, **options)
        connection = await asyncio.wait_for(connecting, CONNECT_SECONDS)
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        return _words(error, access)
    connection.close()
    return (
        "can be connected to, but does not answer requests: it is busy or frozen, or asks for a user where "
        f"broker.security_protocol is {access.security_protocol}"
    )


def _words(error: Exception, access: BrokerAccess) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"is not trusted: {error.verify_message} (broker.ssl_ca_file names who may vouch for it)"
        case ssl.SSLError():
            return (
                f"does not speak TLS: {error.reason} (broker.security_protocol is {access.security_protocol})"
            )
        case socket.gaierror():
            return "is no host that can be found (broker.bootstrap)"
        case ConnectionRefusedError():
            return "refuses connections: nothing listens there (broker.bootstrap)"
        case TimeoutError():
            return f"does not answer within {CONNECT_SECONDS:.0f} s (broker.bootstrap, or a firewall)"
        case SaslAuthenticationFailed() | AuthenticationFailedError():
            return f"refuses the user {access.sasl_username!r}: {error} (broker.sasl_username, broker.sasl_password)"
        case UnsupportedSaslMechanismError():
            return f"does not offer {access.sasl_mechanism} (broker.sasl_mechanism)"
        case IllegalSaslStateError():
            return f"asks for no user (broker.security_protocol is {access.security_protocol})"
        case KafkaError() | ConnectionError():
            certificate = access.speaks_tls and access.ssl_cert_file is None
            return f"closes the connection: it expects another protocol than {access.security_protocol}" + (
                ", or a certificate (broker.security_protocol, broker.ssl_cert_file)"
                if certificate
                else " (broker.security_protocol)"
            )
        case _:
            return f"cannot be reached: {error} (broker.bootstrap)"
