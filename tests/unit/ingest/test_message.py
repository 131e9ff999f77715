"""The text of a message: separators from itself, escapes once and last, broken lines put back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.message import (
    Unreadable,
    component,
    decode,
    read_header,
    read_text,
    split_lines,
    unescape,
)
from services.ingest.domain.outcome import Header
from tests.support.hl7 import a_header, a_message

SIGNS = "|^~\\&"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (r"x10\S\9/L", "x10^9/L"),
        (r"a\F\b\R\c\T\d\E\e", r"a|b~c&d\e"),
        (r"a\.br\b", "a\nb"),
        (r"\H\loud\N\ ", "loud "),
        (r"\XC3A9\t\XC3A9C3A9\ ", "étéé "),
        (r"\X0D\ ", "\r "),
        (r"\X00\x", "x"),
        (r"\Xzz\ ", r"\Xzz\ "),
        (r"\XFF\ ", r"\XFF\ "),
        (r"C:\temp\x", r"C:\temp\x"),
        (r"\\fileserver\share", r"\\fileserver\share"),
        (r"half \T", r"half \T"),
        (r"\E\S\E\ ", r"\S\ "),
        (r"\C2842\ \Z01\ ", "  "),
    ],
)
def test_escapes_are_resolved_once_and_strange_ones_stay(text: str, meaning: str) -> None:
    assert unescape(text, SIGNS) == meaning


@given(text=st.text(alphabet="|^~\\&abcFSTREX.br0", max_size=40))
def test_what_was_escaped_comes_back(text: str) -> None:
    escapes = {
        "|": r"\F\ ".strip(),
        "^": r"\S\ ".strip(),
        "~": r"\R\ ".strip(),
        "&": r"\T\ ".strip(),
        "\\": r"\E\ ".strip(),
    }
    assert unescape("".join(escapes.get(char, char) for char in text), SIGNS) == text


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"<?xml version='1.0'?>", "wrong_encoding"),
        (b'{"a": 1}', "wrong_encoding"),
        (b"H|\\^&|||x", "wrong_encoding"),
        (b"PID|1", "no_msh"),
        (b"", "no_msh"),
        (b"\xff\xfeM\x00S\x00H\x00", "charset_unsupported"),
        (a_message(header=a_header(charset="BIG-5")).replace(b"Test", b"\xa4\xa4"), "charset_unsupported"),
        (a_message(header=a_header(charset="UNICODE UTF-16")), "charset_unsupported"),
        (a_message(header=a_header(charset="")).replace(b"Test", b"T\xe9st"), "undecodable"),
        (a_message(header=a_header(charset="UNICODE UTF-8")).replace(b"Test", b"\xed\xa0\x80"), "undecodable"),
    ],
)
def test_bytes_that_are_no_text_are_refused_by_name(frame: bytes, reason: str) -> None:
    problem = decode(frame)
    assert isinstance(problem, Unreadable)
    assert problem.reason == reason


@pytest.mark.parametrize(
    "charset", ["", "ASCII", "UNICODE UTF-8", "UTF-8", "8859/1", "GB 18030-2000", "ISO IR87", "UTF-8~X"]
)
def test_plain_ascii_is_read_under_every_name_that_contains_it(charset: str) -> None:
    assert isinstance(decode(a_message(header=a_header(charset=charset))), str)


def test_a_character_set_is_found_where_the_ends_of_segments_are_written_out() -> None:
    frame = a_message(header=a_header(charset="UNICODE UTF-8")).replace(b"\r", rb"\r")
    assert isinstance(decode(frame), str)


@pytest.mark.parametrize(
    ("line", "separators"),
    [
        ("MSH|^~\\&|A", "|^~\\&"),
        ("MSH|^~\\&#|A", "|^~\\&"),
        ("MSH|^~|A", "|^~\0\0"),
        ("MSH$*!?+$A", "$*!?+"),
        ("MSH|^~¥&|A", "|^~¥&"),
    ],
)
def test_separators_are_the_messages_own(line: str, separators: str) -> None:
    header = read_header(line)
    assert isinstance(header, Header)
    assert (header.separators, header.sending_application) == (separators, "A")


@pytest.mark.parametrize("line", ["MSH|^^\\&|A", "MSH||A", "MSH", "MSHx^~\\&xA", "MSH|^|A", "MSH|a~\\&|A"])
def test_separators_that_cannot_be_told_apart_are_refused(line: str) -> None:
    problem = read_header(line)
    assert isinstance(problem, Unreadable)
    assert problem.reason == "bad_separators"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("MSH|a\rPID|b", ["MSH|a", "PID|b"]),
        ("MSH|a\r\nPID|b\n\nOBX|c", ["MSH|a", "PID|b", "OBX|c"]),
        ("MSH|a\\rPID|b", ["MSH|a", "PID|b"]),
        ("MSH|a\nFT text\ngoes on|F\nOBX|c", ["MSH|a\nFT text\ngoes on|F", "OBX|c"]),
        ("MSH|a\n pid|b", ["MSH|a", "PID|b"]),
        ("MSH|a\nZ1|b\nZABC|c\nOBX", ["MSH|a", "Z1|b", "ZABC|c", "OBX"]),
        ("MSH|a\x00b", ["MSH|ab"]),
    ],
)
def test_segments_end_by_anything_and_broken_ones_are_joined(text: str, lines: list[str]) -> None:
    assert split_lines(text, "|", {}) == lines


def test_what_was_mended_is_counted() -> None:
    notes: dict[str, int] = {}
    split_lines("MSH|a\x00\nbroken\nbroken", "|", notes)
    assert notes == {"controls": 1, "broken_segment_join": 2}


def test_a_component_is_trimmed_and_null_is_empty() -> None:
    assert component(' a ^""^c\\S\\d', 1, SIGNS) == "a"
    assert component(' a ^""^c\\S\\d', 2, SIGNS) == ""
    assert component(' a ^""^c\\S\\d', 3, SIGNS) == "c^d"
    assert component(' a ^""^c\\S\\d', 9, SIGNS) == ""


def test_a_header_is_read_as_sent() -> None:
    message = read_text(a_message(header=a_header(control_id=" C\\T\\1 ", modes="AL|NE")).decode(), {})
    assert not isinstance(message, Unreadable)
    header = message.header
    assert (header.control_id, header.accept_ack, header.application_ack) == (" C\\T\\1 ", "AL", "NE")
    assert header.message_type == "ORU^R01"


def test_a_control_id_is_kept_byte_for_byte_while_the_rest_of_the_text_loses_its_controls() -> None:
    message = read_text(a_message(header=a_header(control_id="C\0\x011")).decode().replace("Test", "Te\x02st"), {})
    assert not isinstance(message, Unreadable)
    assert message.header.control_id == "C\0\x011"
    assert not any("\x02" in line for line in message.lines)


@pytest.mark.parametrize("kind", ["", "张三^R01", "TOOLONG^R01", "OR1^R01"])
def test_no_text_of_a_sender_becomes_a_label(kind: str) -> None:
    header = read_header(a_header(kind=kind))
    assert isinstance(header, Header)
    assert header.message_type == "other"
