"""The settings files of a local single-node Kafka, and the choice of its ports. Values in, text out."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"
# Below the range from which systems take the local ports of outgoing connections: a client's connection
# (even one to the absent broker itself) must not sit on the broker's port while it restarts.
FIRST_PORT, LAST_PORT = 20_000, 32_000


def free_port(besides: int | None = None) -> int:
    """A loopback port that nothing listens on at this moment. Raises OSError when none is found."""
    for _ in range(200):
        port = random.randint(FIRST_PORT, LAST_PORT)
        if port != besides and not is_taken(port):
            return port
    raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")


def is_taken(port: int) -> bool:
    """Whether a listener could not be bound to this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def server_properties(log_dir: Path, port: int, controller_port: int, extra: Mapping[str, str]) -> str:
    """server.properties for one broker and controller on loopback only; `extra` wins over every line."""
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"BROKER://{HOST}:{port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "BROKER",
        "log.dirs": str(log_dir),
        # A misspelt topic is an error, not a new topic.
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # One node holds the only copy; few internal partitions make a quick first group and a quick restart.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        # After a crash the broker may register again only when its former self is given up: 9 s by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        **extra,
    }
    return "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())


def logging_properties(log_file: Path) -> str:
    """log4j2 settings: one rolling file of at most 5 x 20 MB, Kafka at INFO without its
    list of all settings, its dependencies at WARN.
    """
    return f"""\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {_escaped(str(log_file))}
appender.file.filePattern = {_escaped(str(log_file))}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %m (%c)%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 4
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
logger.kafka.name = kafka
logger.kafka.level = info
logger.apache.name = org.apache.kafka
logger.apache.level = info
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = warn
"""


def _escaped(value: str) -> str:
    """The value as a Java properties file must write it to be read back unchanged."""
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    leading = len(escaped) - len(escaped.lstrip(" "))
    ascii_only = "".join(each if ord(each) < 128 else _unicode_escape(each) for each in escaped)
    return "\\" + ascii_only if leading else ascii_only


def _unicode_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
