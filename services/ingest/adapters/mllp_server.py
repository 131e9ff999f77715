"""Listens for MLLP connections, caps their number, and ends them in good order.

Decision: the port is opened once messages can be stored for the first time, and stays open from then on. While the
broker is away connections are accepted; their frames wait for it until the deadline and are then closed unanswered,
which slows senders down instead of letting them repeat at full speed.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections import Counter
from concurrent.futures import Executor
from functools import partial

import structlog

from services.ingest.adapters.mllp_connection import Connection, Intake
from services.ingest.metrics import IngestMetrics
from services.ingest.settings import IngestSettings

KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
BACKLOG = 1024
CHECK_SECONDS = 1.0
TLS_HANDSHAKE_SECONDS = 10.0
LAST_WORDS_SECONDS = 0.5

log = structlog.get_logger("mllp")


class MllpServer:
    """All listeners and connections of one process."""

    def __init__(self, intake: Intake, settings: IngestSettings, metrics: IngestMetrics, executor: Executor) -> None:
        self._intake, self._settings, self._metrics, self._executor = intake, settings, metrics, executor
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[Connection, str] = {}
        self._per_peer: Counter[str] = Counter()
        self._checking: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    async def start(self, tls: ssl.SSLContext | None = None) -> dict[str, int]:
        """Open the ports; return them by listener. Raises OSError where a port cannot be had."""
        ports = {"mllp": await self._listen("mllp", self._settings.mllp_port, None)}
        if self._settings.mllp_tls_port is not None and tls is not None:
            ports["mllp-tls"] = await self._listen("mllp-tls", self._settings.mllp_tls_port, tls)
        self._checking = asyncio.create_task(self._check_for_ever())
        return ports

    async def _listen(self, name: str, port: int, tls: ssl.SSLContext | None) -> int:
        listener = await asyncio.get_running_loop().create_server(
            partial(self._connection, name, half_close=tls is None),
            self._settings.mllp_host,
            port,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS if tls else None,
        )
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    def _connection(self, listener: str, *, half_close: bool) -> Connection:
        return Connection(
            self._intake,
            self._settings,
            self._metrics,
            listener=listener,
            half_close=half_close,
            executor=self._executor,
            admit=self._admit,
            gone=self._gone,
            renamed=self._renamed,
        )

    def _admit(self, connection: Connection) -> str | None:
        if len(self._connections) >= self._settings.connections:
            return "too_many_connections"
        if self._per_peer[connection.peer] >= self._settings.connections_per_peer:
            return "too_many_connections_of_peer"
        self._connections[connection] = connection.source
        self._per_peer[connection.peer] += 1
        self._metrics.connections.labels(connection.source).inc()
        self._empty.clear()
        keep_alive(connection.socket)
        return None

    def _renamed(self, connection: Connection) -> None:
        """The first message has told who sends on this connection."""
        if connection in self._connections:
            self._metrics.connections.labels(self._connections[connection]).dec()
            self._metrics.connections.labels(connection.source).inc()
            self._connections[connection] = connection.source

    def _gone(self, connection: Connection) -> None:
        source = self._connections.pop(connection, None)
        if source is None:
            return  # it was never admitted
        self._metrics.connections.labels(source).dec()
        self._per_peer[connection.peer] -= 1
        if not self._per_peer[connection.peer]:
            del self._per_peer[connection.peer]
        if not self._connections:
            self._empty.set()

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = time.monotonic()
            for connection in list(self._connections):
                connection.check(now)

    async def stop(self) -> None:
        """Accept nothing new, answer what was received whole, end the rest; within the settings' stop time."""
        for listener in self._listeners:
            listener.close()
        if self._checking is not None:
            self._checking.cancel()
        for connection in list(self._connections):
            connection.finish()
        try:
            async with asyncio.timeout(self._settings.stop_seconds):
                await self._empty.wait()
        except TimeoutError:
            log.warning("connections cut at the end", connections=len(self._connections))
            for connection in list(self._connections):
                connection.hang_up()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), LAST_WORDS_SECONDS)


def keep_alive(connected: socket.socket | None) -> None:
    """Notice peers that vanished behind a firewall, and send every answer at once."""
    if connected is None:
        return
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in KEEPALIVE.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
