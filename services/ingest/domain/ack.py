"""Outcome → the HL7 answer. Law: no patient data in an answer; MSA-2 is the sender's MSH-10 byte for byte.

An answer is never given to an answer, and one without a control id would help nobody: then the connection is closed.
"""

import hashlib
from datetime import UTC, datetime

from services.ingest.domain.outcome import (
    AckCode,
    Acknowledgement,
    FrameOutcome,
    Header,
    Refused,
    messages_of,
)
from services.ingest.domain.profile import AckStyle, Profile

_ENHANCED = {AckCode.ACCEPT: "CA", AckCode.ERROR: "CE", AckCode.REJECT: "CR"}
_OLD_VERSIONS = ("2.1", "2.2", "2.3")
_WITHOUT_LOCATION = (*_OLD_VERSIONS, "2.4")
_CONTROL_ID_LENGTH = 20
_ERROR_CODES = {
    "no_patient": ("101", "Required field missing"),
    "msh_short": ("101", "Required field missing"),
    "unsupported_type": ("200", "Unsupported message type"),
    "processing_id": ("202", "Unsupported processing id"),
    "version_refused": ("203", "Unsupported version id"),
    "patient_ambiguous": ("204", "Unknown key identifier"),
    "unknown_source": ("204", "Unknown key identifier"),
}
_OTHER_ERROR = ("207", "Application internal error")
_SEQUENCE_ERROR = ("100", "Segment sequence error")
_SEQUENCE_FAULTS = frozenset({"multiple_msh", "fragment", "no_msh", "parse_error"})
_FRAMING = b"\x0b\x1c"
_SEVERITY = {AckCode.ERROR: 1, AckCode.REJECT: 2}


def acknowledge(outcome: FrameOutcome, *, now: datetime) -> bytes | None:
    """Return the answer without framing (see `framing.wrap`), or None: say nothing.

    None for acknowledgements, for what the sender asked not to hear (enhanced mode), and for refusals without a
    readable header; `must_close` tells the last case apart.
    """
    header = outcome.header
    if header is None or isinstance(outcome, Acknowledgement) or must_close(outcome):
        return None
    refusal = _worst(outcome)
    code = refusal.code if refusal else AckCode.ACCEPT
    enhanced = outcome.profile is not None and outcome.profile.ack_style is AckStyle.ENHANCED
    if enhanced and not _wants(header.accept_ack, accepted=code is AckCode.ACCEPT):
        return None
    word = _ENHANCED[code] if enhanced else code.value
    segments = [_msh(header, outcome.profile, now), _msa(header, word, refusal)]
    if refusal is not None:
        segments.append(_err(header, refusal))
    # What is repeated in capitals may have left the codec: ÿ of Latin-1 becomes Ÿ, which is not in it.
    answer = ("\r".join(segments) + "\r").encode(header.codec, "replace")
    return answer.translate(None, _FRAMING)  # of a damaged MSH; an answer that ends too early would be none


def must_close(outcome: FrameOutcome) -> bool:
    """Tell whether the connection is to be closed because nothing useful can be answered."""
    if not isinstance(outcome, Refused):
        return False
    return outcome.header is None or not (outcome.header.control_id or outcome.header.code)


def _worst(outcome: FrameOutcome) -> Refused | None:
    """The refusal that decides the answer; of a batch the worst, since there is one answer for all."""
    refusals = [part for part in messages_of(outcome) if isinstance(part, Refused) and part.code in _SEVERITY]
    return max(refusals, key=lambda part: _SEVERITY[part.code], default=None)


def _wants(mode: str, *, accepted: bool) -> bool:
    """MSH-15 (table 0155): NE never, ER errors only, SU successes only; AL, nothing and junk always."""
    match mode:
        case "NE":
            return False
        case "ER":
            return not accepted
        case "SU":
            return accepted
        case _:
            return True


def _msh(header: Header, profile: Profile | None, now: datetime) -> str:
    """Sender and receiver change places. MSH-15 and -16 stay empty: an answer asks for none."""
    sign, component = header.separators[0], header.separators[1]
    encoding = header.separators[1:].rstrip("\0")
    local = now.astimezone(profile.zone if profile else UTC)
    kind = "ACK" if header.version.startswith(_OLD_VERSIONS) or not header.version else _kind(header, component)
    control_id = hashlib.sha256(
        f"{header.control_id}\x1f{header.message_time}\x1f{now.isoformat()}".encode()
    ).hexdigest()
    fields = [
        "MSH",
        encoding,
        header.receiving_application,
        header.receiving_facility,
        header.sending_application,
        header.sending_facility,
        local.strftime("%Y%m%d%H%M%S%z"),
        "",
        kind,
        control_id[:_CONTROL_ID_LENGTH].upper(),
        header.processing_id or "P",
        header.version or "2.5",
    ]
    return sign.join(fields)


def _kind(header: Header, component: str) -> str:
    return component.join(("ACK", header.trigger, "ACK")) if header.trigger else "ACK"


def _msa(header: Header, word: str, refusal: Refused | None) -> str:
    fields = ["MSA", word, header.control_id]
    if refusal is not None:
        fields.append(refusal.reason)
    return header.separators[0].join(fields)


def _err(header: Header, refusal: Refused) -> str:
    """ERR of 2.5: location, code (table 0357), severity, our reason. Before that: the one field there was."""
    sign, component = header.separators[0], header.separators[1]
    known = _SEQUENCE_ERROR if refusal.reason in _SEQUENCE_FAULTS else _OTHER_ERROR
    number, text = _ERROR_CODES.get(refusal.reason, known)
    code = component.join((number, text, "HL70357"))
    segment, _, field_number = refusal.position.partition(".")
    name, _, occurrence = segment.partition("[")
    location = [name or "MSH", occurrence.rstrip("]") or "1"] + ([field_number] if field_number else [])
    if header.version.startswith(_WITHOUT_LOCATION):
        return sign.join(("ERR", component.join((*location, *[""] * (3 - len(location)), number))))
    return sign.join(("ERR", "", component.join(location), code, "E", "", "", "", refusal.reason))
