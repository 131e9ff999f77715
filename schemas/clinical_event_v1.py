"""`clinical-events.v1`: one union of everything that can change a decision about a patient.

No identifier travels here: the patient is `patient_ref`, birth date and sex are compared as keyed tokens.
Kinds that this version of the software does not know are dead-lettered by the reader, never skipped in silence.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.base import Comparator, DecimalText, Identifier, Instant, Message, PatientRef, Precision

Arm = Literal["immunotherapy", "targeted", "chemotherapy"]
PatientStatus = Literal["screening", "enrolled", "withdrawn", "completed", "deceased"]
Sex = Literal["female", "male", "other", "unknown"]
Outcome = Literal["irAE", "not-irAE", "infection", "progression", "iron", "transfusion", "lab-error"]
Attribution = Literal["irAE", "not-irAE", "undetermined"]
ConfounderKind = Literal["iv-iron", "transfusion", "infection", "other"]
Remark = Literal["time-suspect", "haemolysed", "lipaemic", "icteric", "clotted", "insufficient"]


class Code(Message):
    """A code as sent: `system` is "LN" for LOINC, else the source's own name for its table."""

    value: str | None = None
    system: str | None = None
    text: str | None = Field(default=None, max_length=300)


class Original(Message):
    """Value and unit exactly as they stood in the source."""

    value: str | None = Field(default=None, max_length=300)
    unit: str | None = Field(default=None, max_length=100)


class Result(Message):
    """One result of a report. `value`, limits and `unit` are canonical; `unit` is null where it is not convertible.

    `order_key` names facility, patient, filler order, analyte and sub-id without the specimen; `specimen_id` is SPM-2.
    Both are optional: they let a correction that moves the collection time find what it corrects.
    """

    result_id: Identifier
    analyte: Identifier
    code: Code = Code()
    value: DecimalText | None = None
    comparator: Comparator | None = None
    unit: str | None = None
    original: Original = Original()
    reference_low: DecimalText | None = None
    reference_high: DecimalText | None = None
    status: Annotated[str, Field(pattern=r"^[A-Z]$")] = "F"
    collected_at: Instant | None = None
    collected_precision: Precision = Precision.SECOND
    resulted_at: Instant | None = None
    specimen: str | None = None
    assay: str | None = None
    remarks: tuple[Remark, ...] = ()
    order_key: str | None = None
    specimen_id: str | None = None


class ClinicalEvent(Message):
    """What all events share. `received_at` is when the first copy reached us."""

    event_id: Identifier
    patient_ref: PatientRef
    source: Identifier
    received_at: Instant
    raw_ref: str | None = None


class LabReport(ClinicalEvent):
    """All results of one received message, so that a panel is judged as a whole."""

    kind: Literal["lab-report"] = "lab-report"
    control_id: str | None = None
    backfill: bool = False
    birth_date_token: str | None = None
    sex_token: str | None = None
    results: tuple[Result, ...] = ()


class Enrolment(ClinicalEvent):
    """The registry's word on a patient; the last one received counts. `first_dose_precision = day`: a bare date."""

    kind: Literal["enrolment"] = "enrolment"
    study_id: str | None = None
    arm: Arm | None = None
    status: PatientStatus
    consented_at: Instant | None = None
    consented_precision: Precision = Precision.SECOND
    first_dose_at: Instant | None = None
    first_dose_precision: Precision = Precision.SECOND
    sex: Sex = "unknown"
    birth_date_token: str | None = None
    sex_token: str | None = None
    cycle_days: int | None = Field(default=None, ge=1, le=365)
    baseline_imaging_at: Instant | None = None
    screening: Mapping[str, str | int | float | bool | None] = Field(default_factory=dict)


class CycleRecorded(ClinicalEvent):
    """A treatment cycle `n`; counts only when given."""

    kind: Literal["cycle"] = "cycle"
    n: int = Field(ge=1, le=999)
    administered_at: Instant
    administered_precision: Precision = Precision.SECOND
    drugs: tuple[str, ...] = ()
    status: Literal["given", "not-given"] = "given"


class AdverseEventGraded(ClinicalEvent):
    """One grading of an adverse event; another `graded_at` of the same `adverse_event_id` is a further grading."""

    kind: Literal["adverse-event"] = "adverse-event"
    adverse_event_id: Identifier
    term: str
    organ: str | None = None
    grade: int = Field(ge=0, le=5)
    graded_at: Instant
    graded_precision: Precision = Precision.SECOND
    assessor: str | None = None
    attribution: Attribution = "undetermined"


class ConfounderRecorded(ClinicalEvent):
    """Something that may explain a finding otherwise."""

    kind: Literal["confounder"] = "confounder"
    confounder_id: Identifier
    confounder: ConfounderKind
    at: Instant
    at_precision: Precision = Precision.SECOND


class BaselinePinned(ClinicalEvent):
    """A named person's word that this value is the patient's baseline; canonical unit."""

    kind: Literal["baseline-pinned"] = "baseline-pinned"
    analyte: Identifier
    value: DecimalText
    unit: str | None = None
    collected_at: Instant | None = None
    pinned_by: str
    reason: str | None = None


class EpisodeClosed(ClinicalEvent):
    """A named person closes an episode (`episode_id`) or the watch of one rule (`rule_id`) with an outcome."""

    kind: Literal["episode-closed"] = "episode-closed"
    episode_id: str | None = None
    rule_id: str | None = None
    outcome: Outcome
    by: str
    second_reader: str | None = None
    at: Instant


class EpisodeConfirmed(ClinicalEvent):
    """A named person confirms that an episode goes on."""

    kind: Literal["episode-confirmed"] = "episode-confirmed"
    episode_id: Identifier
    by: str
    at: Instant


class PatientMerged(ClinicalEvent):
    """ADT^A40 under the retired ref (`patient_ref`): this record and `survivor_ref` are one person."""

    kind: Literal["merge"] = "merge"
    survivor_ref: PatientRef


AnyEvent = (
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
Event = Annotated[AnyEvent, Field(discriminator="kind")]
EVENT: TypeAdapter[AnyEvent] = TypeAdapter(Event)


def decode(body: bytes) -> AnyEvent:
    """Read one event. Raises pydantic.ValidationError, which names the field and never the value's patient."""
    return EVENT.validate_json(body)
