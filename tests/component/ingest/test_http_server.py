"""The HTTP server on a real port: who may keep a connection, and for how long."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.ingest.adapters.http_server import HttpServer

SECONDS = 0.2
REQUEST = b"GET / HTTP/1.1\r\nHost: ingest\r\n"


async def slowly(_: Request) -> Response:
    await asyncio.sleep(3 * SECONDS)
    return PlainTextResponse("done")


async def said_to_the_end(*pieces: bytes) -> bytes:
    """Return all that the server says until it ends the connection."""
    app = Starlette(routes=[Route("/", slowly)])
    server = HttpServer(app, "127.0.0.1", 0, request_seconds=SECONDS)
    serving = asyncio.create_task(server.run())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    said = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    server.stop()
    await serving
    return said


def test_a_connection_that_says_nothing_is_ended() -> None:
    assert asyncio.run(said_to_the_end()) == b""


def test_a_request_whose_headers_never_end_is_ended() -> None:
    assert asyncio.run(said_to_the_end(REQUEST, b"X: 1\r\n")) == b""


def test_a_request_that_takes_long_to_answer_is_answered() -> None:
    assert b"done" in asyncio.run(said_to_the_end(REQUEST, b"\r\n"))
