"""MLLP framing: whatever the chunks, the same events; two messages never become one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain import framing
from services.ingest.domain.framing import (
    CommitBlock,
    Damaged,
    Fault,
    Frame,
    FrameEvent,
    Framer,
    Junk,
    WrongProtocol,
    wrap,
)

A = b"MSH|^~\\&|A\rPID|1\r"
B = b"MSH|^~\\&|B\rPID|2\r"


def _all(data: bytes, limit: int = framing.MAX_FRAME_BYTES) -> list[FrameEvent]:
    return Framer(limit).receive(data)


@pytest.mark.parametrize(
    ("data", "events"),
    [
        pytest.param(wrap(A) + wrap(B), [Frame(A), Frame(B)], id="two frames in one packet"),
        pytest.param(b"\x00\r\n" + wrap(A) + b"\r\n", [Frame(A)], id="padding between frames says nothing"),
        pytest.param(b"hello" + wrap(A), [Junk(5), Frame(A)], id="junk is counted"),
        pytest.param(
            b"\x0b" + A + b"\x1c" + wrap(B), [Frame(A, missing_cr=True), Frame(B)], id="missing CR, then a frame"
        ),
        pytest.param(b"\x0b" + A + b"\x1c\n" + wrap(B), [Frame(A, missing_cr=True), Frame(B)], id="LF instead of CR"),
        pytest.param(
            b"\x0b" + A + wrap(B), [Damaged(Fault.TRUNCATED, A, answerable=False), Frame(B)], id="end lost, next begins"
        ),
        pytest.param(
            b"\x0b" + A + wrap(b"\xef\xbb\xbf" + B),
            [Damaged(Fault.TRUNCATED, A, answerable=False), Frame(b"\xef\xbb\xbf" + B)],
            id="end lost, next begins with a byte order mark",
        ),
        pytest.param(b"\x0b" + wrap(A), [Frame(A)], id="start said twice"),
        pytest.param(wrap(b"MSH|a\x1cb"), [Damaged(Fault.EMBEDDED_FS, b"MSH|a\x1cb")], id="FS inside the content"),
        pytest.param(
            b"\x0bMSH|a\x1cb" + wrap(B),
            [Damaged(Fault.TRUNCATED, b"MSH|a\x1cb", answerable=False), Frame(B)],
            id="FS inside a frame whose end is lost",
        ),
        pytest.param(wrap(b"MSH|a\x0bb"), [Frame(b"MSH|a\x0bb")], id="a lone VT is content"),
        pytest.param(
            wrap(b"\x06") + wrap(b"\x15"), [CommitBlock(positive=True), CommitBlock(positive=False)], id="commits"
        ),
        pytest.param(
            wrap(b"") + wrap(A),
            [Damaged(Fault.EMPTY, b"", answerable=False, must_close=True)],
            id="empty frame closes, what follows is not read",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00", [WrongProtocol("tls")], id="TLS on the plain port"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", [WrongProtocol("http")], id="HTTP"),
        pytest.param(b"DELETE /v1 HTTP/1.1\r\n\r\n", [WrongProtocol("http")], id="HTTP by another verb"),
        pytest.param(b"SSH-2.0-x\r\n", [WrongProtocol("ssh")], id="SSH"),
    ],
)
def test_bytes_give_events(data: bytes, events: list[FrameEvent]) -> None:
    assert _all(data) == events
    byte_by_byte = Framer()
    assert [event for byte in data for event in byte_by_byte.receive(bytes((byte,)))] == events


def test_silence_after_fs_ends_the_frame() -> None:
    framer = Framer()
    assert framer.receive(b"\x0b" + A + b"\x1c") == []
    assert framer.awaiting_cr
    assert framer.on_silence() == [Frame(A, missing_cr=True)]
    assert framer.receive(b"\r" + wrap(B)) == [Frame(B)]


def test_silence_means_nothing_elsewhere() -> None:
    framer = Framer()
    framer.receive(b"\x0bMSH")
    assert framer.in_frame
    assert framer.on_silence() == []


def test_strict_end_closes_after_a_missing_cr() -> None:
    framer = Framer(strict_end=True)
    assert framer.receive(b"\x0b" + A + b"\x1c" + wrap(B)) == [Frame(A, missing_cr=True)]


def test_the_peer_that_leaves_inside_a_frame_leaves_a_truncated_one() -> None:
    framer = Framer()
    framer.receive(wrap(A) + b"\x0bMSH|half")
    assert framer.on_end() == [Damaged(Fault.TRUNCATED, b"MSH|half", answerable=False, must_close=True)]


def test_a_frame_that_takes_too_long_is_given_up() -> None:
    framer = Framer()
    framer.receive(b"\x0bMSH|slow")
    assert framer.give_up() == [Damaged(Fault.SLOW, b"MSH|slow", answerable=False, must_close=True)]
    assert framer.receive(wrap(A)) == []


@pytest.mark.parametrize(
    ("length", "whole"),
    [
        pytest.param(69_999, True, id="below the limit"),
        pytest.param(70_000, True, id="at the limit"),
        pytest.param(70_001, False, id="above the limit"),
    ],
)
def test_the_limit_keeps_the_head_and_answers(length: int, *, whole: bool) -> None:
    body = A + b"x" * (length - len(A))
    expected: FrameEvent = (
        Frame(body) if whole else Damaged(Fault.OVERSIZE, body[: framing.HEAD_BYTES], must_close=True)
    )
    assert _all(wrap(body), 70_000) == [expected]
    framer = Framer(70_000)
    pieces = [wrap(body)[place : place + 999] for place in range(0, length + 3, 999)]
    assert [event for piece in pieces for event in framer.receive(piece)] == [expected]


def test_an_endless_frame_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "DRAIN_BYTES", 1000)
    framer = Framer(70_000)
    framer.receive(b"\x0b")
    events = [event for _ in range(80) for event in framer.receive(b"y" * 1000)]
    assert [event.fault for event in events if isinstance(event, Damaged)] == [Fault.OVERSIZE]
    assert len(framer._block) == 0


def test_endless_junk_is_a_wrong_protocol() -> None:
    framer = Framer()
    events = [event for _ in range(70) for event in framer.receive(b"z" * 1024)]
    assert events == [WrongProtocol("junk")]


_PIECES = st.lists(
    st.sampled_from(
        [b"\x0b", b"\x1c", b"\r", b"\n", b"\x00", b"\x06", b"MSH|", b"FHS|", b"x", b"PID|1\r", wrap(A), wrap(B)]
    ),
    max_size=30,
).map(b"".join)


@given(data=_PIECES, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_any_cutting_of_the_stream_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieced, whole = Framer(64), Framer(64)
    pieces = [data[start:end] for start, end in pairwise(places)]
    events = [event for piece in pieces for event in pieced.receive(piece)] + pieced.on_end()
    assert events == whole.receive(data) + whole.on_end()


@given(
    bodies=st.lists(st.binary(max_size=50).map(lambda noise: b"MSH|" + noise.translate(None, b"\x0b\x1c")), max_size=5)
)
def test_what_was_wrapped_comes_out(bodies: list[bytes]) -> None:
    assert _all(b"".join(map(wrap, bodies))) == [Frame(body) for body in bodies]


@given(data=st.binary(max_size=300))
def test_no_bytes_make_it_crash(data: bytes) -> None:
    framer = Framer(100)
    framer.receive(data)
    framer.on_silence()
    framer.receive(data)
    framer.on_end()
