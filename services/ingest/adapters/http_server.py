"""Runs an ASGI application on uvicorn inside our event loop; signals stay with the process.

Law: a connection that does not get its request said in time is ended. uvicorn has no such limit, and a few hundred
silent connections would keep everybody else out.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

CONCURRENCY = 200
STOP_SECONDS = 10
BACKLOG = 256
REQUEST_SECONDS = 10.0
"""From the first byte of a connection, or the end of the last answer, to the end of a request's headers."""


class _Impatient(H11Protocol):
    """The application has its own limit for a body that it reads; this one is for everything before and after."""

    seconds = REQUEST_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_since = time.monotonic()
        self._look_again()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = time.monotonic()

    def _look_again(self) -> None:
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever its type says
        if cycle is not None and not cycle.response_complete:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > self.seconds:
            self.transport.close()
            return
        self.loop.call_later(self.seconds / 4, self._look_again)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM to the service, which also has MLLP connections to end."""
        yield


class HttpServer:
    """`port` 0 takes a free one. Raises OSError where the port cannot be had."""

    def __init__(
        self,
        app: Starlette,
        host: str,
        port: int,
        certificate: tuple[Path, Path] | None = None,
        *,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        config = uvicorn.Config(
            app,
            http=type("_Protocol", (_Impatient,), {"seconds": request_seconds}),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            limit_concurrency=CONCURRENCY,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=certificate[0] if certificate else None,
            ssl_keyfile=certificate[1] if certificate else None,
        )
        self._server = _Server(config)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until `stop`."""
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Take no more requests; those in hand are answered."""
        self._server.should_exit = True
