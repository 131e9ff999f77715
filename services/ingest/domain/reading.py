"""One frame in, one outcome out: the way of a message through its header, its type and its content.

Pure: the time of receipt is an argument. Law: every message ends in exactly one outcome; nothing raises for any bytes.
"""

from datetime import datetime

from services.ingest.domain import message as texts
from services.ingest.domain.message import Message, Unreadable, component
from services.ingest.domain.oru import extract
from services.ingest.domain.outcome import (
    AckCode,
    Acknowledgement,
    Batch,
    FrameOutcome,
    Header,
    Ignored,
    Outcome,
    Published,
    Refused,
)
from services.ingest.domain.profile import Naming, Profile, Profiles
from services.ingest.domain.tables import Tables

RESULT_TRIGGERS = {
    "ORU": frozenset({"", "R01", "R30", "R31", "R32", "ORU_R01"}),
    "OUL": frozenset({"", "R21", "R22", "R23", "R24"}),
}
ANSWERS = frozenset({"ACK", "MCF", "NAK"})
# fmt: off
KNOWN_TYPES = frozenset((
    "ADT", "BAR", "CSU", "DFT", "DOC", "EAC", "EHC", "ESR", "ESU", "INR", "LSR", "MDM", "MFK", "MFN", "MFQ", "MFR",
    "NMD", "OMB", "OMD", "OMG", "OMI", "OML", "OMN", "OMP", "OMS", "OPL", "OPR", "OPU", "ORB", "ORD", "ORF", "ORG",
    "ORI", "ORL", "ORM", "ORN", "ORP", "ORR", "ORS", "ORU", "OSM", "OSQ", "OSR", "OUL", "PEX", "PGL", "PIN", "PMU",
    "PPG", "PPP", "PPR", "PTR", "QBP", "QCK", "QCN", "QRY", "QSB", "QSX", "QVR", "RAS", "RCI", "RCL", "RDE", "RDR",
    "RDS", "RDY", "REF", "RER", "RGR", "RGV", "ROR", "RPA", "RPI", "RPL", "RPR", "RQA", "RQC", "RQI", "RQP", "RRA",
    "RRD", "RRE", "RRG", "RRI", "RSP", "RTB", "SCN", "SDN", "SDR", "SIU", "SLN", "SLR", "SMD", "SQM", "SQR", "SRM",
    "SRR", "SSR", "SSU", "STC", "STI", "SUR", "TBR", "TCR", "TCU", "UDM", "VQQ", "VXQ", "VXR", "VXU", "VXX",
))
# fmt: on
_NORMAL = frozenset({"", "P"})
_BATCH_STARTS = ("FHS", "BHS")


def read_frame(
    frame: bytes, *, tables: Tables, profiles: Profiles, naming: Naming, received_at: datetime
) -> FrameOutcome:
    """Read what stood between 0B and 1C 0D. `received_at` is aware UTC.

    1. Decode. 2. Split a batch into its messages. 3. Choose the profile by sender. 4. Sort out what is not for us.
    5. Read the results.
    """
    text = texts.decode(frame)
    if isinstance(text, Unreadable):
        return _refuse(text, profiles)
    reader = _Reader(tables, profiles, naming, received_at)
    if text[:3].upper() in _BATCH_STARTS:
        return reader.batch(text)
    return reader.message(text)


def refuse_damaged(head: bytes, reason: str, *, profiles: Profiles) -> Refused:
    """Return the refusal of a frame that framing found damaged, with the header if its MSH can still be read."""
    return _refuse(Unreadable(reason, texts.salvage_header(head)), profiles)


def _refuse(problem: Unreadable, profiles: Profiles) -> Refused:
    header = problem.header
    return Refused(header, _profile_of(header, profiles) if header else None, problem.reason, "MSH" if header else "")


def _profile_of(header: Header, profiles: Profiles) -> Profile | None:
    application = component(header.sending_application, 1, header.separators)
    return profiles.choose(application, component(header.sending_facility, 1, header.separators))


class _Reader:
    """What stays the same while one frame is read."""

    def __init__(self, tables: Tables, profiles: Profiles, naming: Naming, received_at: datetime) -> None:
        self._tables = tables
        self._profiles = profiles
        self._naming = naming
        self._received_at = received_at

    def message(self, text: str) -> Outcome:
        """Read one message."""
        notes: dict[str, int] = {}
        message = texts.read_text(text, notes)
        if isinstance(message, Unreadable):
            return _refuse(message, self._profiles)
        header = message.header
        profile = _profile_of(header, self._profiles)
        if header.code in ANSWERS or any(line.startswith("MSA") for line in message.lines[1:3]):
            return Acknowledgement(header, profile)
        if profile is None:
            return Refused(header, None, "unknown_source", "MSH.3")
        return self._objection(message, profile) or self._content(message, profile)

    def _objection(self, message: Message, profile: Profile) -> Outcome | None:
        """Return why a message is not to be read, from its header and its shape alone."""
        header = message.header
        reject = AckCode(profile.reject_code)
        if any(line.startswith("MSH") for line in message.lines[1:]) or texts.holds_another(message):
            return Refused(header, profile, "multiple_msh", "MSH[2]")
        if len(message.lines) == 1 and message.lines[0].count(header.separators[0]) < 8:  # noqa: PLR2004 - up to MSH-9
            return Refused(header, profile, "msh_short", "MSH")
        if not header.code:
            return Refused(header, profile, "msh_short", "MSH.9", reject)
        if header.version in profile.refused_versions:
            return Refused(header, profile, "version_refused", "MSH.12", reject)
        if header.processing_id not in profile.processing_ids and header.processing_id not in _NORMAL:
            return Refused(header, profile, "processing_id", "MSH.11", reject)
        if texts.breaks_its_word(message):
            return Refused(header, profile, "parse_error")
        if _is_fragment(message):
            return Refused(header, profile, "fragment", "MSH.14")
        return self._not_for_us(header, profile)

    def _not_for_us(self, header: Header, profile: Profile) -> Outcome | None:
        triggers = RESULT_TRIGGERS.get(header.code)
        if triggers is not None and header.trigger in triggers:
            return None
        if header.code in KNOWN_TYPES:
            return Ignored(header, profile, "type_not_used")
        if profile.accept_unsupported:
            return Ignored(header, profile, "type_unknown")
        return Refused(header, profile, "unsupported_type", "MSH.9", AckCode(profile.reject_code))

    def _content(self, message: Message, profile: Profile) -> Outcome:
        header = message.header
        if len(message.lines) == 1:
            return Refused(header, profile, "parse_error", "MSH")
        found = extract(
            message, tables=self._tables, profile=profile, naming=self._naming, received_at=self._received_at
        )
        if found.no_patient is not None:
            return Refused(header, profile, found.no_patient, found.position)
        if found.reports:
            return Published(header, profile, found.reports, found.tally, found.quarantined, found.notes)
        reason = "no_mapped_result" if found.tally.total else "empty_oru"
        reason = "no_usable_result" if found.tally.quarantined else reason
        return Ignored(header, profile, reason, found.tally, found.quarantined, found.notes)

    def batch(self, text: str) -> FrameOutcome:
        """Read a batch: each message for itself; a count that does not fit is one refusal beside them."""
        header = texts.read_header(text.split("\r", 1)[0].split("\n", 1)[0])
        if isinstance(header, Unreadable):
            return _refuse(header, self._profiles)
        lines = texts.split_lines(text, header.separators[0], {})
        header = _named(header, lines)
        profile = _profile_of(header, self._profiles)
        messages: list[list[str]] = []
        parts: list[Outcome] = []
        counted = 0
        for line in lines:
            match line[:3]:
                case "MSH":
                    messages.append([line])
                case "FHS" | "BHS" | "FTS":
                    pass
                case "BTS":
                    parts.extend(_count_fault(line, len(messages) - counted, header, profile))
                    counted = len(messages)
                case _ if messages:
                    messages[-1].append(line)
                case _:
                    parts.append(Refused(header, profile, "no_msh", line[:3] if line[:3].isalnum() else ""))
        return Batch(header, profile, (*(self.message("\r".join(lines)) for lines in messages), *parts))


def _named(header: Header, lines: list[str]) -> Header:
    """Return the header that a batch is answered by: of a file without a control id of its own the first batch's."""
    inner = texts.read_header(lines[1]) if header.control_id == "" and lines[1:] and lines[1][:3] == "BHS" else header
    return inner if isinstance(inner, Header) else header


def _is_fragment(message: Message) -> bool:
    """A message in pieces (MSH-14, DSC) cannot be judged by one of them."""
    fields = message.lines[0].split(message.header.separators[0])
    continued = len(fields) > 13 and fields[13].strip() not in {"", texts.NULL}  # noqa: PLR2004 - MSH-14
    return continued or any(line.startswith("DSC") and line.strip('DSC|" ') for line in message.lines[1:])


def _count_fault(line: str, seen: int, header: Header, profile: Profile | None) -> list[Outcome]:
    stated = line.split(header.separators[0])[1:2]
    if stated and stated[0].strip().isdecimal() and int(stated[0].strip()[:18]) != seen:
        return [Refused(header, profile, "batch_count", "BTS.1", AckCode.ACCEPT)]
    return []
