"""The text of the settings files, read back the way Java reads them, and the choice of ports."""

from __future__ import annotations

import socket
from pathlib import Path

from streamapp.local.kafka_settings import (
    FIRST_PORT,
    HOST,
    LAST_PORT,
    free_port,
    is_taken,
    logging_properties,
    server_properties,
)


def lines_of(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_every_listener_is_on_loopback_only() -> None:
    properties = lines_of(server_properties(Path("/data"), 20001, 20002, {}))

    assert properties["listeners"] == "BROKER://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert properties["advertised.listeners"] == "BROKER://127.0.0.1:20001"


def test_given_properties_win_over_ours() -> None:
    properties = lines_of(
        server_properties(Path("/data"), 1, 2, {"group.min.session.timeout.ms": "6000", "x": "y"})
    )

    assert properties["group.min.session.timeout.ms"] == "6000"
    assert properties["x"] == "y"


def test_a_path_is_written_so_that_java_reads_it_unchanged() -> None:
    properties = lines_of(server_properties(Path("/Größe/a\\b/😀"), 1, 2, {}))

    written = properties["log.dirs"]
    assert written.isascii()
    assert written == r"/Gr\u00f6\u00dfe/a\\b/\ud83d\ude00"


def test_the_log_goes_to_the_given_file_and_rolls() -> None:
    text = logging_properties(Path("/data/logs/broker.log"))

    assert "appender.file.fileName = /data/logs/broker.log\n" in text
    assert "appender.file.strategy.max = 4\n" in text


def test_a_free_port_can_be_bound_and_lies_below_the_ports_of_outgoing_connections() -> None:
    port = free_port()

    assert FIRST_PORT <= port <= LAST_PORT < 32_768
    with socket.create_server((HOST, port)):
        assert is_taken(port)
    assert not is_taken(port)
