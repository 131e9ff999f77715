"""The laboratory's client reads one answer at a time, however the bytes are cut, and notices silence and closes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.mllp_client import MllpClient, NoAnswer, deliver, parse_answer

ACK = b"\x0bMSH|^~\\&|IRAE|TRIAL|LIS|LAB|20260119||ACK^R01^ACK|9|P|2.5.1\rMSA|AA|c1|kept\r\x1c\r"


@contextmanager
def a_server(*behaviours: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one connection after the other, each by its own behaviour."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for behaviour in behaviours:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                behaviour(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        thread.join(5)
        listener.close()


def in_two_pieces(connection: socket.socket) -> None:
    connection.sendall(ACK[:20])
    connection.sendall(ACK[20:] + ACK)


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def test_answers_are_read_one_by_one_however_the_bytes_are_cut() -> None:
    with a_server(in_two_pieces) as port, MllpClient("127.0.0.1", port) as client:
        answer = client.send("MSH|1\r")
        assert (answer.code, answer.control_id, answer.text) == ("AA", "c1", "kept")
        assert client.read() == answer


def test_a_close_without_an_answer_is_no_answer() -> None:
    with (
        a_server(hang_up) as port,
        MllpClient("127.0.0.1", port) as client,
        pytest.raises(NoAnswer),
    ):
        client.send("MSH|1\r")


def test_a_store_and_forward_engine_sends_again_until_it_is_answered() -> None:
    with a_server(hang_up, in_two_pieces) as port:
        assert deliver("127.0.0.1", port, "MSH|1\r", within=10).code == "AA"


def test_a_frame_without_msa_is_not_taken_for_an_answer() -> None:
    with pytest.raises(ValueError, match="MSA"):
        parse_answer(b"MSH|^~\\&|\rERR|x\r")
