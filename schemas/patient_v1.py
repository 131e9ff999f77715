"""`patients.v1`: who a patient is. With `raw-messages.v1` the only topic that carries identifiers; compacted."""

from datetime import date

from pydantic import Field

from schemas.base import Identifier, Instant, Message, PatientRef
from schemas.clinical_event_v1 import Arm, PatientStatus, Sex


class Patient(Message):
    """The registry's identifiers of one patient. Never shown in a `repr`."""

    patient_ref: PatientRef
    assigning_authority: Identifier
    mrn: Identifier = Field(repr=False)
    study_id: str | None = Field(default=None, repr=False)
    name: str | None = Field(default=None, repr=False)
    birth_date: date | None = Field(default=None, repr=False)
    sex: Sex = "unknown"
    ward: str | None = None
    language: str | None = None
    arm: Arm | None = None
    status: PatientStatus
    updated_at: Instant
