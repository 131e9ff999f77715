"""HL7 v2 text → segments, fields, components. Law: decode first, split once, unescape last.

Separators come from the message. Nothing here knows what a field means.
"""

import re
from dataclasses import dataclass, field, replace

from services.ingest.domain.outcome import Header

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DROP_CONTROLS = dict.fromkeys([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
_BEFORE_MSH = "\ufeff \t\r\n"
_BEFORE_MSH_BYTES = b"\xef\xbb\xbf \t\r\n\x00"
_SEGMENT_ID_LENGTHS = (2, 3, 4)
_ENVELOPES = ("FHS", "BHS", "BTS", "FTS")
_ALONE = frozenset(("MSH", "PID", "OBR", "OBX", "ORC", "NTE", "SPM", "PV1", *_ENVELOPES))
_DECISIVE = ("PID", "OBR", "OBX")
_CONTROL_ID = 9
_USUAL_SEPARATORS = "^~\\&"
_MINIMUM_SEPARATORS = 4
_SEPARATORS_WITHOUT_SUBCOMPONENT = 3

UTF8_NAMES = frozenset({"", "ASCII", "ISO IR6", "ISO-IR-6", "UTF-8", "UTF8", "UNICODE", "UNICODE UTF-8", "US-ASCII"})
ASCII_BASED = ("8859/", "8859-", "ISO8859", "ISO-8859", "GB", "BIG", "KS", "ISO IR")
NULL = '""'


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The text is no HL7 v2 message; `reason` names why, `header` is there if the MSH could still be read."""

    reason: str
    header: Header | None = None


@dataclass(slots=True)
class Message:
    """One message: its header and its segments as text, `lines[0]` the MSH. Law: never changed after it is made."""

    header: Header
    lines: list[str] = field(repr=False)
    notes: dict[str, int]


def decode(frame: bytes) -> str | Unreadable:
    """Return the text of a frame. A wrong byte is a refusal, never a replacement character.

    Declared UTF-8, ASCII or nothing: strict UTF-8. Other declared sets: only where all bytes are ASCII.
    """
    body = frame.lstrip(_BEFORE_MSH_BYTES)
    if frame[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return Unreadable("charset_unsupported")
    if body[:3] not in {b"MSH", b"FHS", b"BHS"}:
        return Unreadable(_what_else(body))
    declared = _declared(body)
    if declared not in UTF8_NAMES and not (declared.startswith(ASCII_BASED) and body.isascii()):
        return Unreadable("charset_unsupported", salvage_header(body))
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return Unreadable("undecodable", salvage_header(body))


def _what_else(body: bytes) -> str:
    """Name what stands there instead of a message: XML, JSON and ASTM have found the wrong port."""
    return "wrong_encoding" if body[:1] in {b"<", b"{", b"["} or body.startswith(b"H|\\") else "no_msh"


def _declared(body: bytes) -> str:
    """First repetition of MSH-18, upper case; a batch declares in the MSH of its messages."""
    start = 0 if body[:3] == b"MSH" else max(body.find(b"MSH"), 0)
    ends = [end for end in (body.find(b"\r", start), body.find(b"\n", start)) if end >= 0]
    ends = ends or [end for end in (body.find(rb"\r", start),) if end >= 0]
    line = body[start : min(ends, default=len(body))]
    fields = line[3:].split(line[3:4] or b"|")
    if line[:3] != b"MSH" or len(fields) <= 17:  # noqa: PLR2004 - MSH-18, counted from MSH-1
        return ""
    repetition = fields[17].split(fields[1][1:2] or b"~")[0]
    return repetition.decode("latin-1").strip().upper()


def salvage_header(body: bytes) -> Header | None:
    """Read the MSH of bytes that are otherwise unusable, so that their sender can be told. Latin-1 loses no byte."""
    text = body.lstrip(_BEFORE_MSH_BYTES).decode("latin-1")
    line = re.split("[\r\n]", text, maxsplit=1)[0]
    header = read_header(line, codec="latin-1")
    return header if isinstance(header, Header) else None


def read_header(line: str, *, codec: str = "utf-8") -> Header | Unreadable:
    """Read an MSH, FHS or BHS segment; the control id of an envelope is its field 11."""
    separators = _separators(line)
    if separators is None:
        sign = line[3:4]
        usable = sign.isprintable() and not sign.isalnum() and sign not in _USUAL_SEPARATORS
        return Unreadable("bad_separators", _header(line, sign + _USUAL_SEPARATORS, codec) if usable and sign else None)
    return _header(line, separators, codec)


def _header(line: str, separators: str, codec: str) -> Header:
    fields = ["", separators[0], *line[4:].split(separators[0])]
    fields.extend([""] * (19 - len(fields)))
    component, repetition = separators[1], separators[2]
    kind = fields[9].split(repetition)[0].split(component)
    envelope = line[:3].upper() != "MSH"
    return Header(
        separators=separators,
        sending_application=fields[3],
        sending_facility=fields[4],
        receiving_application=fields[5],
        receiving_facility=fields[6],
        message_time=fields[7],
        code="" if envelope else kind[0].strip().upper(),
        trigger="" if envelope else (kind[1] if len(kind) > 1 else "").strip().upper(),
        control_id=fields[11] if envelope else fields[10],
        processing_id="" if envelope else fields[11].split(component)[0].strip().upper(),
        version="" if envelope else fields[12].split(component)[0].strip(),
        accept_ack="" if envelope else fields[15].strip().upper(),
        application_ack="" if envelope else fields[16].strip().upper(),
        charset="" if envelope else fields[18].split(repetition)[0].strip().upper(),
        codec=codec,
    )


def _separators(line: str) -> str | None:
    r"""Return field, component, repetition, escape and subcomponent separator; "\\0" where the sender has none."""
    sign = line[3:4]
    declared = line[4:].split(sign, 1)[0] if sign else ""
    if not sign or sign.isalnum() or sign in "\r\n" or len(declared) < _SEPARATORS_WITHOUT_SUBCOMPONENT - 1:
        return None
    given = sign + declared[:_MINIMUM_SEPARATORS]
    if len(set(given)) != len(given) or any(char.isalnum() or char in " \r\n" for char in given):
        return None
    return given.ljust(_MINIMUM_SEPARATORS + 1, "\0")


def split_lines(text: str, sign: str, notes: dict[str, int]) -> list[str]:
    """Split text into segments; whatever does not begin one belongs to the segment before it."""
    if "\n" in text:
        text = text.replace("\r\n", "\r").replace("\n", "\r")
    elif "\r" not in text and "\\r" in text:
        text = text.replace("\\r", "\r")
    if _CONTROLS.search(text):
        notes["controls"] = notes.get("controls", 0) + 1
        text = text.translate(_DROP_CONTROLS)
    lines: list[str] = []
    joining: list[str] = []
    for line in text.split("\r"):
        if line[3:4] == sign and line[:3].isupper() and line[:3].isalnum():
            _join(lines, joining)
            lines.append(line)
        elif line and not line.isspace():
            _odd_line(line, sign, lines, joining, notes)
    _join(lines, joining)
    return lines


def _odd_line(line: str, sign: str, lines: list[str], joining: list[str], notes: dict[str, int]) -> None:
    """Sort a line that does not look like an ordinary segment: a strange segment, an empty one, or broken text."""
    stripped = line.lstrip(_BEFORE_MSH)
    name, found, _ = stripped.partition(sign)
    upper = name.upper().rstrip()
    if found and upper in _ALONE:
        _join(lines, joining)
        lines.append(upper + stripped[len(name) :])
    elif (found and len(name) in _SEGMENT_ID_LENGTHS and name.isalnum() and name.isupper()) or upper in _ALONE:
        _join(lines, joining)
        lines.append(stripped)
    elif lines:
        joining.append(line)
        notes["broken_segment_join"] = notes.get("broken_segment_join", 0) + 1


def _join(lines: list[str], joining: list[str]) -> None:
    """Put the broken pieces back, at once: a message of a million short lines must not cost their square."""
    if joining:
        lines[-1] = "\n".join((lines[-1], *joining))
        joining.clear()


def unescape(text: str, separators: str) -> str:
    r"""Resolve the escapes of one component, once. Unknown or unterminated ones stay as they are written.

    `\X..\` is a run of bytes in the message's character set; `\.br\` and its like are line breaks or nothing.
    """
    escape = separators[3]
    if escape not in text or escape == "\0":
        return text
    parts = text.split(escape)
    out = [parts[0]]
    index = 1
    while index < len(parts):
        name = parts[index]
        meaning = _escaped(name, separators) if index + 1 < len(parts) else None
        if meaning is None:
            out.append(escape + name)
            index += 1
        else:
            out.append(meaning)
            out.append(parts[index + 1])
            index += 2
    return _CONTROLS.sub("", "".join(out))


def _escaped(name: str, separators: str) -> str | None:
    match name[:1], len(name):
        case ("F" | "S" | "T" | "R" | "E", 1):
            return separators["FSRET".index(name)]
        case ("P", 1):
            return "#"
        case ("H" | "N", 1):
            return ""
        case ("X", _):
            return _bytes_escape(name[1:])
        case ("C" | "M" | "Z", length) if length > 1 and name[1:].isalnum() and name.isascii():
            return ""
        case (".", _):
            return _formatting(name[1:])
        case _:
            return None


def _bytes_escape(digits: str) -> str | None:
    try:
        return bytes.fromhex(digits).decode("utf-8") if digits and digits.isalnum() else None
    except ValueError:
        return None


def _formatting(command: str) -> str | None:
    match command[:2]:
        case "br" | "sp" | "ce":
            return "\n"
        case "in" | "ti" | "fi" | "nf" | "sk":
            return " " if command[:2] == "sk" else ""
        case _:
            return None


def component(text: str, number: int, separators: str) -> str:
    """Return component `number` (from 1) of one repetition, unescaped and trimmed; HL7 null is empty."""
    if separators[1] in text:
        parts = text.split(separators[1], number)
        text = parts[number - 1] if number <= len(parts) else ""
    elif number != 1:
        return ""
    text = unescape(text, separators).strip()
    return "" if text == NULL else text


def read_text(text: str, notes: dict[str, int]) -> Message | Unreadable:
    """Read one message whose first segment is its MSH."""
    text = text.lstrip(_BEFORE_MSH)
    lines = split_lines(text, text[3:4], notes)
    if not lines:
        return Unreadable("no_msh")
    header = read_header(lines[0])
    if isinstance(header, Unreadable):
        return header
    return Message(_as_sent(header, text) if "controls" in notes else header, lines, notes)


def _as_sent(header: Header, text: str) -> Header:
    """Return the header with MSH-10 as it was before controls were taken out: an answer must repeat each byte of it."""
    fields = re.split("[\r\n]", text, maxsplit=1)[0].split(header.separators[0])
    usable = len(fields) > _CONTROL_ID and fields[_CONTROL_ID].translate(_DROP_CONTROLS) == header.control_id
    return replace(header, control_id=fields[_CONTROL_ID]) if usable else header


def without_controls(text: str) -> str:
    """Return a text that can stand in a message of ours: databases take no NUL."""
    return text.translate(_DROP_CONTROLS)


def holds_another(message: Message) -> bool:
    """Tell whether a second MSH stands in the message: two were glued, wherever the end of the first was cut."""
    sign = message.header.separators[0]
    start = sign.join(message.lines[0].split(sign, 2)[:2]) + sign
    return any(line.find(start, 0 if number else 1) >= 0 for number, line in enumerate(message.lines))


def breaks_its_word(message: Message) -> bool:
    """Tell whether a segment that decides whose result is whose has another field separator than its MSH says."""
    others = tuple(sign for sign in message.header.separators[1:] if sign != "\0")
    starts = tuple(name + sign for name in _DECISIVE for sign in others)
    return any(piece.startswith(starts) for line in message.lines if "\n" in line for piece in line.split("\n")[1:])
