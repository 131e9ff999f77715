"""Domain values → messages of `schemas/`. Law: no decisions, and no field that the schema does not have.

Reports are the bulk of what is written, and pydantic takes longer over one than all else together. So they are encoded
straight from the domain's values, whose field names are the schema's; a test holds both ways to the same message.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import msgspec

from schemas import clinical_event_v1 as schema
from schemas.dead_letter_v1 import DeadLetter
from schemas.raw_message_v1 import Transport
from services.common.identifiers import stable_id
from services.ingest.domain.message import without_controls
from services.ingest.domain.outcome import Header, Quarantined
from services.ingest.domain.values import Code, EventId, LabReport, Original, Result

SERVICE = "ingest"
MAX_RESULTS = 2_000
"""Of one event: about 1 MB. No panel has as many; a message that repeats a whole stay can have more."""
MAX_TEXT = 300
MAX_UNIT = 100
MAX_NAME = 200
_EXPONENT = re.compile(rb'"-?[0-9.]+E[+-][0-9]+"')
_JSON = msgspec.json.Encoder(decimal_format="string")


class Raw:
    """A frame or body as it goes to `raw-messages.v1`. The same content of the same source has the same id."""

    __slots__ = ("body", "peer", "raw_id", "received_at", "sha256", "source", "transport")

    def __init__(
        self, body: bytes, *, source: str, transport: Transport, peer: str | None, received_at: datetime
    ) -> None:
        self.body, self.source, self.transport, self.peer = body, source, transport, peer
        self.received_at = received_at
        self.sha256 = hashlib.sha256(body).hexdigest()
        self.raw_id = stable_id("raw", source, transport, self.sha256)

    def encode(self, content_type: str) -> bytes:
        """Return the message; the body becomes base64."""
        return _JSON.encode(
            {
                "raw_id": self.raw_id,
                "source": self.source,
                "transport": self.transport,
                "peer": self.peer,
                "received_at": self.received_at,
                "sha256": self.sha256,
                "content_type": content_type,
                "body": self.body,
            }
        )


def lab_reports(report: LabReport, raw_ref: str) -> list[bytes]:
    """Return the event of one report; several, with ids of their own, where it holds more than Kafka takes at once."""
    if len(report.results) <= MAX_RESULTS:
        return [lab_report(report, raw_ref)]
    parts = [report.results[start : start + MAX_RESULTS] for start in range(0, len(report.results), MAX_RESULTS)]
    return [
        lab_report(
            replace(report, event_id=EventId(stable_id(report.event_id, "part", str(number))), results=part), raw_ref
        )
        for number, part in enumerate(parts)
    ]


def lab_report(report: LabReport, raw_ref: str) -> bytes:
    """Return the event of one report."""
    results = tuple(map(_within_limits, report.results))
    envelope = {
        "event_id": report.event_id,
        "patient_ref": report.patient_ref,
        "source": report.source,
        "received_at": report.received_at,
        "raw_ref": raw_ref,
        "kind": "lab-report",
        "control_id": report.control_id,
        "backfill": False,
        "birth_date_token": report.birth_date_token,
        "sex_token": report.sex_token,
    }
    encoded = _JSON.encode(envelope | {"results": results})
    if (b"E+" in encoded or b"E-" in encoded) and _EXPONENT.search(encoded):  # a number that not every reader takes
        return by_schema(envelope, results).encode()
    return encoded


def by_schema(envelope: dict[str, Any], results: Iterable[Result]) -> schema.LabReport:
    """Return the same event by way of the schema."""
    return schema.LabReport.model_validate(envelope | {"results": [asdict(result) for result in results]})


def _within_limits(result: Result) -> Result:
    """Cut texts that are shown only; the raw message has them whole."""
    code, original = result.code, result.original
    if (
        len(code.text or "") <= MAX_TEXT
        and len(original.value or "") <= MAX_TEXT
        and len(original.unit or "") <= MAX_UNIT
    ):
        return result
    return replace(
        result,
        code=Code(code.value, code.system, code.text and code.text[:MAX_TEXT]),
        original=Original(
            original.value and original.value[:MAX_TEXT],
            original.unit and original.unit[:MAX_UNIT],
        ),
    )


def dead_letter(
    raw: Raw, header: Header | None, reason: str, detail: str = "", patient_ref: str | None = None
) -> bytes:
    """Return what is said of a message, or of some of its results, that cannot be used."""
    return DeadLetter(
        dead_letter_id=stable_id("dead", raw.raw_id, reason, detail),
        reason=reason,
        detail=detail,
        service=SERVICE,
        source=raw.source,
        transport=raw.transport,
        peer=raw.peer,
        received_at=raw.received_at,
        raw_ref=raw.raw_id,
        sha256=raw.sha256,
        sending_application=_short(header.sending_application if header else None),
        sending_facility=_short(header.sending_facility if header else None),
        message_time=_short(header.message_time if header else None),
        control_id=_short(header.control_id if header else None),
        patient_ref=patient_ref,
    ).encode()


def _short(text: str | None) -> str | None:
    return (without_controls(text)[:MAX_NAME] or None) if text else None


def quarantine_letters(raw: Raw, header: Header, quarantined: Iterable[Quarantined]) -> list[tuple[str | None, bytes]]:
    """Return one dead letter per patient and reason, with all positions, and the patient's ref."""
    positions: dict[tuple[str | None, str], list[str]] = defaultdict(list)
    for one in quarantined:
        positions[one.patient_ref, one.reason].append(one.position)
    return [
        (patient_ref, dead_letter(raw, header, reason, " ".join(where), patient_ref))
        for (patient_ref, reason), where in positions.items()
    ]
