"""Whether a broker answers requests: by the client protocol, not by an open port. It changes nothing."""

from __future__ import annotations

import socket

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

CONNECT_TIMEOUT_SECONDS = 1.0


def answers(bootstrap: str, cluster_id: str, timeout_seconds: float) -> bool:
    """Whether the cluster with this id, not another on the port, describes itself with a broker in it."""
    if not _is_open(bootstrap, timeout_seconds):
        return False  # asked first because the client logs every refused connection
    timeout_ms = max(1, int(timeout_seconds * 1000))
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap, bootstrap_timeout_ms=timeout_ms, request_timeout_ms=timeout_ms
        )
        try:
            cluster = admin.describe_cluster()
        finally:
            admin.close()
    except (KafkaError, OSError):
        return False
    return cluster["cluster_id"] == cluster_id and bool(cluster["brokers"])


def _is_open(bootstrap: str, timeout_seconds: float) -> bool:
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), min(CONNECT_TIMEOUT_SECONDS, timeout_seconds)).close()
    except OSError:
        return False
    return True
