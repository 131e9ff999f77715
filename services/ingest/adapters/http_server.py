"""Runs an ASGI application on uvicorn inside our event loop; signals stay with the process."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

CONCURRENCY = 200
STOP_SECONDS = 10
BACKLOG = 256


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM to the service, which also has MLLP connections to end."""
        yield


class HttpServer:
    """`port` 0 takes a free one. Raises OSError where the port cannot be had."""

    def __init__(self, app: Starlette, host: str, port: int, certificate: tuple[Path, Path] | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        config = uvicorn.Config(
            app,
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
