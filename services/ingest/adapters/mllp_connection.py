"""One MLLP connection: bytes in, frames to the intake, answers out in the order of the frames.

Law: one write per answer and nothing after it; a frame whose message is not known to be stored gets no answer and ends
the connection, which makes every store-and-forward sender try again. What was answered before is still delivered.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, cast

import structlog

from services.ingest.domain.framing import CommitBlock, Damaged, Frame, FrameEvent, Framer, Junk, WrongProtocol
from services.ingest.metrics import IngestMetrics
from services.ingest.settings import IngestSettings

DEAF_SECONDS = 30.0
MINIMUM_BYTES_PER_SECOND = 1024
UNKNOWN = "unknown"

log = structlog.get_logger("mllp")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whence a frame came."""

    peer: str
    listener: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the sender gets: `content` (framed) or nothing, and whether the connection ends with it."""

    content: bytes | None = field(default=None, repr=False)
    close: bool = False
    source: str | None = None


Settle = Callable[[], "asyncio.Future[Reply]"]
"""Stores what was read; the future is resolved in time and never with an exception."""


class Intake(Protocol):
    """What stands behind the connections."""

    def read(self, frame: Frame | Damaged, origin: Origin) -> Settle:
        """Read one frame, in any thread; what is returned is called in the event loop, in the order of the frames."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A frame's place in the order of answers."""

    received_at: float
    event: Frame | Damaged | None
    reply: Reply | None = None


class Connection(asyncio.Protocol):
    """`admit` is asked once with the peer's address: a reason refuses the connection. `gone` is told its end."""

    def __init__(
        self,
        intake: Intake,
        settings: IngestSettings,
        metrics: IngestMetrics,
        *,
        listener: str,
        half_close: bool,
        executor: Executor,
        admit: "Callable[[Connection], str | None]",
        gone: "Callable[[Connection], None]",
        renamed: "Callable[[Connection], None]",
    ) -> None:
        self._intake, self._settings, self._metrics = intake, settings, metrics
        self._listener, self._half_close, self._executor = listener, half_close, executor
        self._admit, self._gone, self._renamed = admit, gone, renamed
        self._framer = Framer(settings.max_frame_bytes)
        self._slots: deque[_Slot] = deque()
        self._unread: deque[_Slot] = deque()
        self._reading_large = False
        self._flushing = False
        self._ending = False
        self._paused = False
        self._deaf_since: float | None = None
        self._frame_since: float | None = None
        self._silence: asyncio.TimerHandle | None = None
        self.peer = ""
        self.source = UNKNOWN

    # --- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or end it at once."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its ancestry
        self._loop = asyncio.get_running_loop()
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if address else ""
        self._origin = Origin(self.peer, self._listener)
        refusal = self._admit(self)
        if refusal is not None:
            self._metrics.frame_errors.labels(refusal).inc()
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it. Frames in flight are stored all the same; the sender will repeat them."""
        if exc is not None and self._slots:
            self._metrics.frame_errors.labels("ack_write").inc()
        self._cancel_silence()
        self._metrics.frames.labels("no_ack").inc(len(self._unread))
        self._unread.clear()
        self._gone(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._cancel_silence()
        was_inside = self._framer.in_frame
        self._take(self._framer.receive(data))
        if not self._framer.in_frame:
            self._frame_since = None
        elif self._frame_since is None or not was_inside:
            self._frame_since = time.monotonic()
        if self._framer.awaiting_cr:
            self._silence = self._loop.call_later(self._settings.missing_cr_seconds, self._on_silence)

    def eof_received(self) -> bool:
        """The peer sends no more, yet may wait for its answers: keep our side open until they are written."""
        self._cancel_silence()
        self._take(self._framer.on_end())
        self.finish()
        return self._half_close

    def pause_writing(self) -> None:
        """The peer does not read its answers: read no more from it."""
        self._deaf_since = time.monotonic()
        self._metrics.frame_errors.labels("backpressure").inc()
        self._balance()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._deaf_since = None
        self._balance()

    # --- what the server asks

    @property
    def socket(self) -> socket.socket | None:
        """The connection's socket."""
        found: socket.socket | None = self._transport.get_extra_info("socket")
        return found

    def finish(self) -> None:
        """Read no more; end the connection once what was received is answered."""
        self._ending = True
        if not self._transport.is_closing():
            self._balance()
            self._flush()

    def hang_up(self) -> None:
        """End the connection now, answers or not."""
        self._transport.abort()

    def check(self, now: float) -> None:
        """Asked about once a second: end connections that only cost memory."""
        if self._deaf_since is not None and now - self._deaf_since > DEAF_SECONDS:
            self._metrics.frame_errors.labels("deaf").inc()
            self._transport.abort()
        elif self._frame_since is not None and not self._paused:
            age = now - self._frame_since
            too_slow = self._framer.frame_bytes < age * MINIMUM_BYTES_PER_SECOND
            if age > self._settings.slow_frame_seconds and too_slow:
                self._take(self._framer.give_up())
                self.finish()

    # --- frames in

    def _on_silence(self) -> None:
        self._silence = None
        self._take(self._framer.on_silence())
        self._frame_since = None

    def _cancel_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _take(self, events: list[FrameEvent]) -> None:
        for event in events:
            match event:
                case Frame():
                    if event.missing_cr:
                        self._metrics.frame_errors.labels("missing_cr").inc()
                    self._enqueue(event)
                case Damaged():
                    self._metrics.frame_errors.labels(str(event.fault)).inc()
                    self._enqueue(event)
                    self._ending = self._ending or event.must_close
                case CommitBlock():
                    self._metrics.frames_in.inc()
                    self._metrics.frames.labels("acknowledgement").inc()
                case Junk():
                    self._metrics.frame_errors.labels("junk").inc()
                case WrongProtocol():
                    self._metrics.frame_errors.labels("wrong_protocol").inc()
                    log.warning("not MLLP", spoken=event.name, listener=self._listener)
                    self._ending = True
        self._start()
        self._balance()
        if self._ending:
            self._flush()

    def _enqueue(self, event: Frame | Damaged) -> None:
        self._metrics.frames_in.inc()
        slot = _Slot(time.monotonic(), event)
        self._slots.append(slot)
        self._unread.append(slot)

    def _start(self) -> None:
        """Read and store frames in their order; a large one is read beside the loop, and the next ones wait for it."""
        while self._unread and not self._reading_large:
            slot = self._unread.popleft()
            event, slot.event = slot.event, None
            assert event is not None
            if isinstance(event, Frame) and len(event.body) > self._settings.large_frame_bytes:
                self._reading_large = True
                reading = self._loop.run_in_executor(self._executor, self._intake.read, event, self._origin)
                reading.add_done_callback(partial(self._on_large_read, slot))
            else:
                self._store(slot, self._intake.read(event, self._origin))

    def _on_large_read(self, slot: _Slot, reading: "asyncio.Future[Settle]") -> None:
        self._reading_large = False
        if reading.cancelled() or reading.exception() is not None:  # the process is ending
            self._metrics.frames.labels("no_ack").inc()
            self._transport.abort()
            return
        self._store(slot, reading.result())
        self._start()

    def _store(self, slot: _Slot, settle: Settle) -> None:
        settle().add_done_callback(partial(self._on_reply, slot))

    # --- answers out

    def _on_reply(self, slot: _Slot, reply: "asyncio.Future[Reply]") -> None:
        slot.reply = reply.result()
        if slot is self._slots[0] and not self._flushing:
            self._flush()

    def _flush(self) -> None:
        """Write the next answer, one a turn of the loop: two answers in one TCP segment have lost the second."""
        self._flushing = False
        while self._slots and (reply := self._slots[0].reply) is not None:
            slot = self._slots.popleft()
            self._write(slot, reply)
            if reply.close:
                self._close()
                return
            if reply.content is not None and self._slots and self._slots[0].reply is not None:
                self._flushing = True
                self._loop.call_soon(self._flush)
                return
        if self._ending and not self._slots:
            self._close()
        else:
            self._balance()

    def _write(self, slot: _Slot, reply: Reply) -> None:
        if reply.source is not None and reply.source != self.source:
            self.source = reply.source
            self._renamed(self)
        if reply.content is not None and not self._transport.is_closing():
            self._transport.write(reply.content)
            self._metrics.ack_seconds.observe(time.monotonic() - slot.received_at)

    def _close(self) -> None:
        if not self._transport.is_closing():
            self._transport.close()

    def _balance(self) -> None:
        """Read only while there is room for unanswered frames and the peer reads its answers."""
        if self._transport.is_closing():
            return
        full = len(self._slots) >= self._settings.unanswered_frames
        wanted = full or self._deaf_since is not None or self._ending
        if wanted and not self._paused:
            self._transport.pause_reading()
        elif self._paused and not wanted:
            self._transport.resume_reading()
        self._paused = wanted
