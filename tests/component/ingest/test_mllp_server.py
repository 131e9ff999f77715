"""The MLLP server on real sockets, before an intake that does what the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.ingest.adapters.mllp_connection import Origin, Reply, Settle
from services.ingest.adapters.mllp_server import MllpServer
from services.ingest.domain.framing import Damaged, Frame, wrap
from services.ingest.metrics import IngestMetrics
from services.ingest.settings import IngestSettings

HOST = "127.0.0.1"
SOON = 10.0


@dataclass(slots=True)
class FakeIntake:
    """Keeps each frame until the test answers it; `at_once` answers by itself."""

    at_once: bool = True
    read_bodies: list[bytes] = field(default_factory=list)
    settled: list[tuple[bytes, "asyncio.Future[Reply]"]] = field(default_factory=list)
    most_open: int = 0

    def read(self, frame: Frame | Damaged, origin: Origin) -> Settle:
        self.read_bodies.append(frame.body if isinstance(frame, Frame) else frame.head)
        return partial(self._settle, frame)

    def _settle(self, frame: Frame | Damaged) -> "asyncio.Future[Reply]":
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        body = frame.body if isinstance(frame, Frame) else frame.head
        self.settled.append((body, future))
        self.most_open = max(self.most_open, sum(not waiting.done() for _, waiting in self.settled))
        if self.at_once:
            future.set_result(the_reply(frame))
        return future

    def answer(self, number: int) -> None:
        body, future = self.settled[number]
        future.set_result(Reply(wrap(b"ACK " + body[:20])))


def the_reply(frame: Frame | Damaged) -> Reply:
    if isinstance(frame, Frame):
        return Reply(None) if frame.body.startswith(b"ACK") else Reply(wrap(b"ACK " + frame.body))
    return Reply(wrap(b"AE") if frame.answerable else None, close=frame.must_close)


@dataclass(slots=True)
class Running:
    server: MllpServer
    intake: FakeIntake
    metrics: IngestMetrics
    port: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        self.writers.append(writer)
        return reader, writer

    async def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def errors(self, kind: str) -> float:
        return float(self.metrics.frame_errors.labels(kind)._value.get())


@asynccontextmanager
async def running(intake: FakeIntake | None = None, **settings: Any) -> AsyncIterator[Running]:
    metrics = IngestMetrics(CollectorRegistry())
    intake = intake or FakeIntake()
    with ThreadPoolExecutor(1) as executor:
        server = MllpServer(intake, IngestSettings(mllp_port=0, **settings), metrics, executor)
        ports = await server.start()
        mllp = Running(server, intake, metrics, ports["mllp"])
        try:
            yield mllp
        finally:
            await mllp.hang_up()
            await server.stop()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not reached():  # noqa: ASYNC110 - what is waited for is a state of the server, not an event of ours
            await asyncio.sleep(0.005)


async def answers(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    return [(await asyncio.wait_for(reader.readuntil(b"\x1c\r"), SOON)).strip(b"\x0b\x1c\r") for _ in range(count)]


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), SOON)
    except ConnectionResetError:
        return b""


def test_answers_go_out_in_the_order_of_the_frames_whatever_is_stored_first() -> None:
    async def test() -> None:
        async with running(FakeIntake(at_once=False)) as mllp:
            reader, writer = await mllp.connect()
            writer.write(wrap(b"one") + wrap(b"two") + wrap(b"three"))
            await until(lambda: len(mllp.intake.settled) == 3)
            mllp.intake.answer(2)
            mllp.intake.answer(1)
            await asyncio.sleep(0.02)
            mllp.intake.answer(0)
            assert await answers(reader, 3) == [b"ACK one", b"ACK two", b"ACK three"]

    run(test)


def test_a_frame_that_is_not_stored_ends_the_connection_unanswered_and_earlier_answers_arrive() -> None:
    async def test() -> None:
        async with running(FakeIntake(at_once=False)) as mllp:
            reader, writer = await mllp.connect()
            writer.write(wrap(b"one") + wrap(b"two") + wrap(b"three"))
            await until(lambda: len(mllp.intake.settled) == 3)
            mllp.intake.answer(2)
            mllp.intake.settled[1][1].set_result(Reply(None, close=True))
            mllp.intake.answer(0)
            assert await to_the_end(reader) == wrap(b"ACK one")

    run(test)


def test_an_answer_to_us_is_never_answered_and_the_connection_stays() -> None:
    async def test() -> None:
        async with running() as mllp:
            reader, writer = await mllp.connect()
            writer.write(wrap(b"ACK 1") + wrap(b"\x06") + wrap(b"\x15") + wrap(b"message"))
            assert await answers(reader, 1) == [b"ACK message"]

    run(test)


def test_a_peer_that_closed_its_side_after_sending_still_gets_its_answers() -> None:
    async def test() -> None:
        async with running(FakeIntake(at_once=False)) as mllp:
            reader, writer = await mllp.connect()
            writer.write(wrap(b"one") + wrap(b"two"))
            writer.write_eof()
            await until(lambda: len(mllp.intake.settled) == 2)
            await asyncio.sleep(0.02)
            mllp.intake.answer(0)
            mllp.intake.answer(1)
            assert await to_the_end(reader) == wrap(b"ACK one") + wrap(b"ACK two")

    run(test)


def test_a_frame_without_its_last_byte_is_answered_after_a_short_silence() -> None:
    async def test() -> None:
        async with running(missing_cr_seconds=0.05) as mllp:
            reader, writer = await mllp.connect()
            writer.write(b"\x0bone\x1c")
            assert await answers(reader, 1) == [b"ACK one"]
            assert mllp.errors("missing_cr") == 1

    run(test)


@pytest.mark.parametrize("spoken", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"SSH-2.0-x\r\n"])
def test_another_protocol_is_closed_without_a_byte(spoken: bytes) -> None:
    async def test() -> None:
        async with running() as mllp:
            reader, writer = await mllp.connect()
            writer.write(spoken)
            assert await to_the_end(reader) == b""
            assert mllp.errors("wrong_protocol") == 1

    run(test)


def test_a_frame_over_the_limit_is_answered_and_then_the_connection_ends() -> None:
    async def test() -> None:
        async with running(max_frame_bytes=64 * 1024) as mllp:
            reader, writer = await mllp.connect()
            writer.write(wrap(b"x" * 100_000))
            assert await to_the_end(reader) == wrap(b"AE")
            assert mllp.errors("oversize") == 1
            assert len(mllp.intake.read_bodies[0]) == 64 * 1024

    run(test)


def test_a_frame_that_does_not_grow_ends_the_connection() -> None:
    async def test() -> None:
        async with running(slow_frame_seconds=0.1) as mllp:
            reader, writer = await mllp.connect()
            writer.write(b"\x0bMSH|")
            assert await to_the_end(reader) == b""
            assert mllp.errors("slow_frame") == 1
            assert mllp.intake.read_bodies == [b"MSH|"]

    run(test)


def test_an_idle_connection_is_left_alone() -> None:
    async def test() -> None:
        async with running(slow_frame_seconds=0.1) as mllp:
            reader, writer = await mllp.connect()
            await asyncio.sleep(1.3)
            writer.write(wrap(b"late"))
            assert await answers(reader, 1) == [b"ACK late"]

    run(test)


def test_no_more_than_the_agreed_number_of_frames_is_open_on_a_connection() -> None:
    async def test() -> None:
        async with running(FakeIntake(at_once=False), unanswered_frames=8) as mllp:
            reader, writer = await mllp.connect()
            for number in range(30):  # each in a segment of its own: what was read at once is taken at once
                writer.write(wrap(b"%d" % number + b"." * 300_000))
            answered = 0
            while answered < 30:
                await until(lambda: len(mllp.intake.settled) > answered)  # noqa: B023
                mllp.intake.answer(answered)
                answered += 1
                await answers(reader, 1)
            assert mllp.intake.most_open <= 9

    run(test)


def test_connections_above_the_cap_of_a_peer_are_refused_and_a_closed_one_makes_room() -> None:
    async def test() -> None:
        async with running(connections_per_peer=2) as mllp:
            open_ones = [await mllp.connect() for _ in range(2)]
            for reader, writer in open_ones:
                writer.write(wrap(b"hello"))
                await answers(reader, 1)
            refused, _ = await mllp.connect()
            assert await to_the_end(refused) == b""
            assert mllp.errors("too_many_connections_of_peer") == 1
            open_ones[0][1].close()
            await until(lambda: len(mllp.server._connections) == 1)
            reader, writer = await mllp.connect()
            writer.write(wrap(b"again"))
            assert await answers(reader, 1) == [b"ACK again"]

    run(test)


def test_a_large_frame_is_read_beside_the_loop_and_keeps_its_place() -> None:
    async def test() -> None:
        async with running(large_frame_bytes=1024) as mllp:
            reader, writer = await mllp.connect()
            writer.write(wrap(b"L" * 5000) + wrap(b"small"))
            assert await answers(reader, 2) == [b"ACK " + b"L" * 5000, b"ACK small"]
            assert [body[:1] for body, _ in mllp.intake.settled] == [b"L", b"s"]

    run(test)


def test_stopping_answers_what_was_received_and_closes_the_rest() -> None:
    async def test() -> None:
        async with running(FakeIntake(at_once=False)) as mllp:
            busy, writer = await mllp.connect()
            writer.write(wrap(b"one") + b"\x0bhalf a fra")
            idle, _ = await mllp.connect()
            await until(lambda: len(mllp.intake.settled) == 1)
            stopping = asyncio.create_task(mllp.server.stop())
            assert await to_the_end(idle) == b""
            mllp.intake.answer(0)
            assert await to_the_end(busy) == wrap(b"ACK one")
            await stopping
            with pytest.raises(ConnectionRefusedError):
                await mllp.connect()

    run(test)


def test_open_connections_are_counted_by_their_source() -> None:
    async def test() -> None:
        async with running(FakeIntake(at_once=False)) as mllp:
            reader, writer = await mllp.connect()
            writer.write(wrap(b"one"))
            await until(lambda: mllp.intake.settled)
            assert mllp.metrics.connections.labels("unknown")._value.get() == 1
            mllp.intake.settled[0][1].set_result(Reply(wrap(b"AA"), source="lis"))
            await answers(reader, 1)
            assert mllp.metrics.connections.labels("unknown")._value.get() == 0
            assert mllp.metrics.connections.labels("lis")._value.get() == 1
            writer.close()
            await until(lambda: mllp.metrics.connections.labels("lis")._value.get() == 0)

    run(test)
