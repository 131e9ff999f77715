"""MLLP as a state machine without I/O: bytes in, events out; the same events however the bytes are cut.

    IDLE --0B--> BLOCK --1C--> ENDING --0D, 0B, 0A or silence--> IDLE
                   ^             |  any other byte: the FS stood inside the content (embedded_fs)
                   +-------------+
    BLOCK --more than the limit--> DRAINING --1C 0D--> CLOSED

Law: two messages never become one. A block that holds a second start of a message was cut: what stood before is said
to be truncated, what follows is the frame.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

START = 0x0B
END = 0x1C
CR = 0x0D
LF = 0x0A
NUL = 0x00
ACK = b"\x06"
NAK = b"\x15"

KIB = 1024
HEAD_BYTES = 64 * KIB
JUNK_BYTES = 64 * KIB
MAX_FRAME_BYTES = 10 * KIB * KIB
DRAIN_BYTES = 64 * KIB * KIB
MISSING_CR_SECONDS = 0.2

_PADDING = bytes((NUL, CR, LF))
_RESTART = re.compile(rb"\x0b(?=[\x00 \r\n]*(?:\xef\xbb\xbf)?(?:MSH|FHS|BHS))")
_PROTOCOLS = {
    b"\x16\x03": "tls",
    b"GET ": "http",
    b"POST ": "http",
    b"PUT ": "http",
    b"HEAD ": "http",
    b"OPTIONS ": "http",
    b"DELETE ": "http",
    b"PATCH ": "http",
    b"CONNECT ": "http",
    b"PRI *": "http",
    b"SSH-": "ssh",
}
_SNIFF_BYTES = max(map(len, _PROTOCOLS))


class Fault(StrEnum):
    """Why a block is not a frame."""

    TRUNCATED = "truncated_frame"
    EMBEDDED_FS = "embedded_fs"
    OVERSIZE = "oversize"
    EMPTY = "empty_frame"
    SLOW = "slow_frame"


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole block without its framing bytes. `missing_cr`: its end was only half said (count it)."""

    body: bytes = field(repr=False)
    missing_cr: bool = False


@dataclass(frozen=True, slots=True)
class Damaged:
    """A block that cannot be used: dead letter with `head`, the first 64 KiB of it.

    `answerable`: the sender waits for an answer (see `reading.refuse_damaged`); `must_close`: then close.
    """

    fault: Fault
    head: bytes = field(repr=False)
    answerable: bool = True
    must_close: bool = False


@dataclass(frozen=True, slots=True)
class CommitBlock:
    """A one-byte block of MLLP release 2, 06 (`positive`) or 15. Never answered."""

    positive: bool


@dataclass(frozen=True, slots=True)
class Junk:
    """This many bytes stood between frames where nothing belongs."""

    count: int


@dataclass(frozen=True, slots=True)
class WrongProtocol:
    """The peer speaks `name` (tls, http, ssh, junk), not MLLP: close at once."""

    name: str


FrameEvent = Frame | Damaged | CommitBlock | Junk | WrongProtocol


class _State(Enum):
    IDLE = auto()
    BLOCK = auto()
    ENDING = auto()
    CLOSED = auto()


def wrap(message: bytes) -> bytes:
    """Return the message as one block, to be sent by one write; nothing may follow 1C 0D."""
    return b"\x0b" + message + b"\x1c\r"


class Framer:
    """One connection's reader. Not a dataclass: it is the state machine itself.

    `receive` takes bytes as they come; `on_silence` is called `MISSING_CR_SECONDS` after `awaiting_cr` became true
    without new bytes; `on_end` when the peer has closed its side; `give_up` when it is too slow.
    After an event with `must_close`, or a `WrongProtocol`, everything else is ignored.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES, *, strict_end: bool = False) -> None:
        self._limit = max_frame_bytes
        self._strict_end = strict_end
        self._state = _State.IDLE
        self._block = bytearray()
        self._length = 0
        self._junk = 0
        self._sniffed = bytearray()
        self._fresh = True

    @property
    def in_frame(self) -> bool:
        """Tell whether a block has begun and not ended: the time limits of a frame apply."""
        return self._state in {_State.BLOCK, _State.ENDING}

    @property
    def awaiting_cr(self) -> bool:
        """Tell whether the block has said 1C and not 0D: `on_silence` is due after `MISSING_CR_SECONDS`."""
        return self._state is _State.ENDING

    @property
    def frame_bytes(self) -> int:
        """Bytes of the block so far."""
        return self._length

    def receive(self, data: bytes) -> list[FrameEvent]:
        """Take bytes as they came; return what they complete, in order."""
        events: list[FrameEvent] = []
        position = 0
        while position < len(data) and self._state is not _State.CLOSED:
            match self._state:
                case _State.IDLE:
                    position = self._idle(data, position, events)
                case _State.BLOCK:
                    position = self._content(data, position, events)
                case _:
                    position = self._ending(data, position, events)
        return events

    def on_silence(self) -> list[FrameEvent]:
        """Nothing came after 1C: the block ends without its 0D."""
        if self._state is not _State.ENDING:
            return []
        events: list[FrameEvent] = []
        self._finish(events, missing_cr=True)
        return events

    def on_end(self) -> list[FrameEvent]:
        """The peer sends no more: what is unfinished is truncated."""
        events = self.on_silence()
        self._report_junk(events)
        return events + self._abandon(Fault.TRUNCATED)

    def give_up(self) -> list[FrameEvent]:
        """The block took too long: keep what came of it, then close."""
        return self._abandon(Fault.SLOW)

    def _abandon(self, fault: Fault) -> list[FrameEvent]:
        unfinished = self.in_frame
        head = bytes(self._block[:HEAD_BYTES])
        self._close()
        return [Damaged(fault, head, answerable=False, must_close=True)] if unfinished else []

    def _idle(self, data: bytes, position: int, events: list[FrameEvent]) -> int:
        start = data.find(START, position)
        stray = data[position:] if start < 0 else data[position:start]
        if stray:
            self._between(stray, events, ended=start >= 0)
        if start < 0 or self._state is _State.CLOSED:
            return len(data)
        self._report_junk(events)
        self._begin()
        return start + 1

    def _between(self, stray: bytes, events: list[FrameEvent], *, ended: bool) -> None:
        junk = stray.translate(None, _PADDING)
        self._junk += len(junk)
        if self._fresh and len(self._sniffed) < _SNIFF_BYTES:
            self._sniffed += junk[: _SNIFF_BYTES - len(self._sniffed)]
            spoken = next((name for start, name in _PROTOCOLS.items() if self._sniffed.startswith(start)), None)
            if spoken is not None:
                self._refuse(spoken, events)
                return
        if self._junk > JUNK_BYTES and not ended:
            self._refuse("junk", events)

    def _refuse(self, name: str, events: list[FrameEvent]) -> None:
        self._close()
        events.append(WrongProtocol(name))

    def _report_junk(self, events: list[FrameEvent]) -> None:
        if self._junk:
            events.append(Junk(self._junk))
            self._junk = 0

    def _begin(self) -> None:
        self._state = _State.BLOCK
        self._block = bytearray()
        self._length = 0
        self._fresh = False

    def _content(self, data: bytes, position: int, events: list[FrameEvent]) -> int:
        end = data.find(END, position)
        stop = len(data) if end < 0 else end
        self._keep(data[position:stop])
        if self._length > self._limit + DRAIN_BYTES:
            self._oversize(events)
            return len(data)
        if end < 0:
            return len(data)
        self._state = _State.ENDING
        return end + 1

    def _keep(self, piece: bytes) -> None:
        """Above the limit only the head is kept; the rest is counted and dropped."""
        self._length += len(piece)
        if self._length <= self._limit:
            self._block += piece
        else:
            self._block += piece[: max(0, HEAD_BYTES - len(self._block))]
            del self._block[HEAD_BYTES:]

    def _ending(self, data: bytes, position: int, events: list[FrameEvent]) -> int:
        match data[position]:
            case 0x0D:
                self._finish(events, missing_cr=False)
                return position + 1
            case 0x0A:
                self._finish(events, missing_cr=True)
                return position + 1
            case 0x0B:
                self._finish(events, missing_cr=True)
                return position
            case _:
                self._keep(bytes((END,)))
                self._state = _State.BLOCK
                return position

    def _finish(self, events: list[FrameEvent], *, missing_cr: bool) -> None:
        if self._length > self._limit:
            self._oversize(events)
            return
        body = bytes(self._block)
        self._state = _State.IDLE
        self._block = bytearray()
        if START in body:
            *cut, body = _RESTART.split(body)
            events.extend(
                Damaged(Fault.TRUNCATED, piece[:HEAD_BYTES], answerable=False) for piece in cut if piece.strip(b"\x0b")
            )
        events.append(self._judge(body.lstrip(b"\x0b"), missing_cr=missing_cr))
        last = events[-1]
        if (missing_cr and self._strict_end) or (isinstance(last, Damaged) and last.must_close):
            self._close()

    def _judge(self, body: bytes, *, missing_cr: bool) -> FrameEvent:
        if END in body:
            return Damaged(Fault.EMBEDDED_FS, body[:HEAD_BYTES])
        if body in (ACK, NAK):
            return CommitBlock(positive=body == ACK)
        if not body.strip():
            return Damaged(Fault.EMPTY, body, answerable=False, must_close=True)
        return Frame(body, missing_cr)

    def _oversize(self, events: list[FrameEvent]) -> None:
        head = bytes(self._block[:HEAD_BYTES])
        self._close()
        events.append(Damaged(Fault.OVERSIZE, head, must_close=True))

    def _close(self) -> None:
        self._state = _State.CLOSED
        self._block = bytearray()
