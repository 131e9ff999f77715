"""A laboratory's side of MLLP on a plain socket: send, read one answer, notice a close.

Law: it knows only the standard (VT, FS CR, MSA), none of our code, and never repeats a message by itself:
`deliver` is the one that does, as a store-and-forward engine would.
"""

import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.support.messages import frame

END = b"\x1c\r"
PAUSE_SECONDS = 0.2


class NoAnswer(Exception):
    """The connection was closed, or stayed silent, without an acknowledgement: the message is still the sender's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement. `code` is MSA-1, `control_id` MSA-2, `text` MSA-3; `raw` holds the frame's content."""

    code: str
    control_id: str
    text: str
    raw: str


def parse_answer(content: bytes) -> Answer:
    """Read an ACK. Raises ValueError where there is no MSA segment."""
    text = content.decode()
    for segment in text.split("\r"):
        if segment.startswith("MSA|"):
            fields = [*segment.split("|"), "", "", ""]
            return Answer(fields[1], fields[2], fields[3], text)
    message = "the answer has no MSA segment"
    raise ValueError(message)


class MllpClient:
    """One connection. Raises OSError while nobody listens."""

    def __init__(self, host: str, port: int, *, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def send(self, message: str) -> Answer:
        """Send one message and return its answer. Raises NoAnswer."""
        return self.send_bytes(frame(message))

    def send_bytes(self, data: bytes) -> Answer:
        """Send bytes as they are and return the next answer. Raises NoAnswer."""
        self.write(data)
        return self.read()

    def write(self, data: bytes) -> None:
        """Send without waiting. Raises NoAnswer when the other side has hung up."""
        try:
            self._socket.sendall(data)
        except OSError as problem:
            raise NoAnswer(str(problem)) from problem

    def read(self) -> Answer:
        """Return the next answer. Raises NoAnswer on a close or when the time is up."""
        while END not in self._received:
            try:
                chunk = self._socket.recv(65_536)
            except OSError as problem:
                raise NoAnswer(str(problem)) from problem
            if not chunk:
                raise NoAnswer("closed")
            self._received += chunk
        content, _, self._received = self._received.partition(END)
        return parse_answer(content.lstrip(b"\x0b"))


def deliver(host: str, port: int, message: str, *, within: float, answer_within: float = 6.0) -> Answer:
    """Send until an answer comes, on a new connection each time. Raises NoAnswer when the time is up."""
    deadline = time.monotonic() + within
    while True:
        try:
            with MllpClient(host, port, timeout=answer_within) as client:
                return client.send(message)
        except (NoAnswer, OSError) as problem:
            if time.monotonic() > deadline:
                raise NoAnswer(f"no answer within {within} s: {problem}") from problem
            time.sleep(PAUSE_SECONDS)
