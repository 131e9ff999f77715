"""A TCP forwarder: lets an address come to life later than those who ask for it."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 65_536


class Forwarder:
    """Accepts on `port` of loopback and passes bytes on to `target` (`host:port`) and back."""

    def __init__(self, port: int, target: str) -> None:
        host, _, target_port = target.partition(",")[0].rpartition(":")
        self._target = (host, int(target_port))
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        # `shutdown` wakes the thread that waits in `accept`; closing alone would not.
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target, timeout=10)
                far.settimeout(None)
                self._open |= {near, far}
                for here, there in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(here, there), daemon=True).start()


def _pump(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):
        while data := here.recv(CHUNK):
            there.sendall(data)
    with suppress(OSError):
        there.shutdown(socket.SHUT_WR)
