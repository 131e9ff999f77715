"""What the detector is told about a patient: facts as frozen values, in canonical units, with explicit times.

Law: nothing here computes. Instants are aware UTC; a bare date stands at 12:00 site time with `Precision.DAY`.
The names are those of `schemas/clinical_event_v1.py`, so that translation is copying.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

PatientRef = NewType("PatientRef", str)
EventId = NewType("EventId", str)
ResultId = NewType("ResultId", str)
RuleId = NewType("RuleId", str)
Analyte = NewType("Analyte", str)


class Precision(StrEnum):
    """How exactly the source stated an instant."""

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


class Arm(StrEnum):
    """The arm of the trial; it decides wording and nothing else here."""

    IMMUNOTHERAPY = "immunotherapy"
    TARGETED = "targeted"
    CHEMOTHERAPY = "chemotherapy"


class PatientStatus(StrEnum):
    """The registry's word; only `enrolled` and `completed` are monitored (RULES.md 4.2)."""

    SCREENING = "screening"
    ENROLLED = "enrolled"
    WITHDRAWN = "withdrawn"
    COMPLETED = "completed"
    DECEASED = "deceased"


class Sex(StrEnum):
    """For the site's table of limits only."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class ConfounderKind(StrEnum):
    """What may explain a finding otherwise."""

    IV_IRON = "iv-iron"
    TRANSFUSION = "transfusion"
    INFECTION = "infection"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class LabResult:
    """One version of one result. `value` and limits are canonical; `unit` None: not convertible, never evaluated.

    `order_key` names facility, patient, filler order, analyte and sub-id without the specimen, `specimen_id` is SPM-2.
    `code` is the LOINC code, if any. `received_at`, `backfill` and `source` are those of the report it came in.
    """

    result_id: ResultId
    analyte: Analyte
    value: Decimal | None
    unit: str | None
    status: str
    collected_at: datetime | None
    resulted_at: datetime | None
    received_at: datetime
    comparator: Comparator | None = None
    reference_low: Decimal | None = None
    reference_high: Decimal | None = None
    collected_precision: Precision = Precision.SECOND
    specimen: str | None = None
    assay: str | None = None
    remarks: tuple[str, ...] = ()
    order_key: str | None = None
    specimen_id: str | None = None
    code: str | None = None
    backfill: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class LabReport:
    """All results of one received message. A token is None where the message did not carry the field."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    results: tuple[LabResult, ...]
    birth_date_token: str | None = None
    sex_token: str | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The registry's word on the patient; the last one received counts."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    status: PatientStatus
    arm: Arm | None = None
    consented_at: datetime | None = None
    consented_precision: Precision = Precision.SECOND
    first_dose_at: datetime | None = None
    first_dose_precision: Precision = Precision.SECOND
    sex: Sex = Sex.UNKNOWN
    birth_date_token: str | None = None
    sex_token: str | None = None
    cycle_days: int | None = None


@dataclass(frozen=True, slots=True)
class CycleRecorded:
    """Treatment cycle `n`; counts only when given."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    n: int
    administered_at: datetime
    administered_precision: Precision = Precision.SECOND
    given: bool = True
    drugs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdverseEventGraded:
    """One grading (0..5) of an adverse event; another `graded_at` is a further grading of the same one."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    adverse_event_id: str
    grade: int
    graded_at: datetime
    graded_precision: Precision = Precision.SECOND
    term: str = ""
    organ: str | None = None


@dataclass(frozen=True, slots=True)
class ConfounderRecorded:
    """Something given to or found in the patient that may explain a finding otherwise."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    confounder_id: str
    confounder: ConfounderKind
    at: datetime
    at_precision: Precision = Precision.SECOND


@dataclass(frozen=True, slots=True)
class BaselinePinned:
    """A named person's word that this value (canonical unit) is the patient's baseline."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    analyte: Analyte
    value: Decimal
    pinned_by: str
    collected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EpisodeClosed:
    """A named person closes the open episode, or the watch of `rule_id`, with an outcome."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    at: datetime
    outcome: str
    by: str
    episode_id: str | None = None
    rule_id: RuleId | None = None


@dataclass(frozen=True, slots=True)
class EpisodeConfirmed:
    """A named person confirms that the episode goes on."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    at: datetime
    by: str
    episode_id: str | None = None


@dataclass(frozen=True, slots=True)
class PatientMerged:
    """This record and the survivor's are one person."""

    event_id: EventId
    patient_ref: PatientRef
    received_at: datetime
    survivor_ref: PatientRef


Event = (
    LabReport
    | Enrolment
    | CycleRecorded
    | AdverseEventGraded
    | ConfounderRecorded
    | BaselinePinned
    | EpisodeClosed
    | EpisodeConfirmed
    | PatientMerged
)
