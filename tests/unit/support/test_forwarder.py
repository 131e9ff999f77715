"""The forwarder passes bytes both ways and is gone when it is closed."""

import socket
import threading

import pytest

from tests.support.forwarder import Forwarder
from tests.support.processes import free_port


def test_bytes_go_both_ways_and_the_address_dies_with_the_forwarder() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(connection.recv(100).upper())

    thread = threading.Thread(target=echo)
    thread.start()
    port = free_port()
    with (
        Forwarder(port, f"127.0.0.1:{listener.getsockname()[1]}"),
        socket.create_connection(("127.0.0.1", port), timeout=5) as client,
    ):
        client.sendall(b"ferritin")
        assert client.recv(100) == b"FERRITIN"
    thread.join(5)
    listener.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)
