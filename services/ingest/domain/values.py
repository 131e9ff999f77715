"""What ingest says about a patient: one report per patient and message, holding all its results.

Law: a value is a `Decimal` made from the text as sent; nothing is rounded, nothing is guessed.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

Analyte = NewType("Analyte", str)
EventId = NewType("EventId", str)
PatientRef = NewType("PatientRef", str)
ResultId = NewType("ResultId", str)


class Precision(StrEnum):
    """How exactly an instant was stated. `DAY`: the instant is 12:00 of that day in the source's zone."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    UNKNOWN = "unknown"


class Comparator(StrEnum):
    """A value with a comparator is a bound, not a number."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="


class Remark(StrEnum):
    """What a note or the clock says against a result; codes, never text."""

    TIME_SUSPECT = "time-suspect"
    HAEMOLYSED = "haemolysed"
    LIPAEMIC = "lipaemic"
    ICTERIC = "icteric"
    CLOTTED = "clotted"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Code:
    """A code as sent: `system` is "LN" for LOINC, else the source's own name for its table."""

    value: str | None = None
    system: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """Value and unit as they stood in the source."""

    value: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One result. With `unit` None the value and the limits are as sent, shown and never judged.

    `status` is a letter of HL7 table 0085. `order_key` is the identity without the specimen, `specimen_id` is SPM-2.
    """

    result_id: ResultId
    analyte: Analyte
    code: Code
    value: Decimal | None
    comparator: Comparator | None
    unit: str | None
    original: Original
    reference_low: Decimal | None
    reference_high: Decimal | None
    status: str
    collected_at: datetime | None
    collected_precision: Precision
    resulted_at: datetime | None
    specimen: str | None
    assay: str | None
    remarks: tuple[Remark, ...]
    order_key: str
    specimen_id: str | None


@dataclass(frozen=True, slots=True)
class LabReport:
    """All results of one patient in one message. `event_id` is a hash of the content: a repeated message is equal.

    Neither MSH-10 nor the time of receipt nor the formatting takes part in `event_id`.
    """

    event_id: EventId
    patient_ref: PatientRef
    source: str
    received_at: datetime
    control_id: str | None
    birth_date_token: str | None
    sex_token: str | None
    results: tuple[Result, ...] = field(repr=False)
