"""The fast way to read a lab report: the fields the detector needs, straight from JSON, three times as fast.

The contract stays `schemas/clinical_event_v1.py`: whatever is not plainly a good report here is read by the model,
which then has the word on it. A test holds that both read the same.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from services.detector.domain.values import (
    Analyte,
    Comparator,
    EventId,
    LabReport,
    LabResult,
    PatientRef,
    Precision,
    ResultId,
)

Identifier = Annotated[str, Meta(min_length=1, max_length=200)]
Instant = Annotated[datetime, Meta(tz=True)]
Remark = Literal["time-suspect", "haemolysed", "lipaemic", "icteric", "clotted", "insufficient"]


class WireCode(msgspec.Struct, frozen=True, gc=False):
    """The code of a result."""

    value: str | None = None


class WireResult(msgspec.Struct, frozen=True):
    """One result of a report."""

    result_id: Identifier
    analyte: Identifier
    code: WireCode = WireCode()
    value: Decimal | None = None
    comparator: Comparator | None = None
    unit: str | None = None
    reference_low: Decimal | None = None
    reference_high: Decimal | None = None
    status: Annotated[str, Meta(pattern="^[A-Z]$")] = "F"
    collected_at: Instant | None = None
    collected_precision: Precision = Precision.SECOND
    resulted_at: Instant | None = None
    specimen: str | None = None
    assay: str | None = None
    remarks: tuple[Remark, ...] = ()
    order_key: str | None = None
    specimen_id: str | None = None


class WireReport(msgspec.Struct, frozen=True, tag_field="kind", tag="lab-report"):
    """A lab report as it stands in Kafka."""

    event_id: Identifier
    patient_ref: Annotated[str, Meta(min_length=1, max_length=64)]
    source: Identifier
    received_at: Instant
    raw_ref: str | None = None
    backfill: bool = False
    birth_date_token: str | None = None
    sex_token: str | None = None
    results: tuple[WireResult, ...] = ()


_DECODE = msgspec.json.Decoder(WireReport).decode


def read_report(body: bytes) -> tuple[LabReport, str | None] | None:
    """Return the report and its raw reference, or None where the model must have the word."""
    try:
        wire = _DECODE(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    received_at = utc(wire.received_at)
    results = tuple([_result(result, wire, received_at) for result in wire.results])
    if _may_hold_a_word_for_a_number(body) and not all(map(_finite, results)):
        return None
    report = LabReport(
        event_id=EventId(wire.event_id),
        patient_ref=PatientRef(wire.patient_ref),
        received_at=received_at,
        results=results,
        birth_date_token=wire.birth_date_token,
        sex_token=wire.sex_token,
    )
    return report, wire.raw_ref


def _result(wire: WireResult, report: WireReport, received_at: datetime) -> LabResult:
    """By position, for speed: the order is that of the dataclass."""
    return LabResult(
        ResultId(wire.result_id),
        Analyte(wire.analyte),
        wire.value,
        wire.unit,
        wire.status,
        None if wire.collected_at is None else utc(wire.collected_at),
        None if wire.resulted_at is None else utc(wire.resulted_at),
        received_at,
        wire.comparator,
        wire.reference_low,
        wire.reference_high,
        wire.collected_precision,
        wire.specimen,
        wire.assay,
        wire.remarks,
        wire.order_key,
        wire.specimen_id,
        wire.code.value,
        report.backfill,
        report.source,
    )


def _may_hold_a_word_for_a_number(body: bytes) -> bool:
    """Decimal reads "NaN" and "Infinity" in any case; to look for them is cheaper than to ask every number."""
    lowered = body.lower()
    return b"nan" in lowered or b"inf" in lowered


def _finite(result: LabResult) -> bool:
    numbers = (result.value, result.reference_low, result.reference_high)
    return all(number is None or number.is_finite() for number in numbers)


def utc(at: datetime) -> datetime:
    """Return the same instant in UTC."""
    return at if at.tzinfo is UTC else at.astimezone(UTC)
