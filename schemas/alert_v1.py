"""`alerts.v1`: what the detector says about a patient. An alert is never edited, only superseded by a later `seq`."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Comparator, DecimalText, Identifier, Instant, Message, PatientRef, Precision
from schemas.clinical_event_v1 import Arm

Action = Literal["raised", "escalated", "revised", "withdrawn", "cleared", "moved"]
Urgency = Literal["P1", "P2", "P3", "P4"]
Mode = Literal["live", "shadow"]
Wording = Literal["irae-suspected", "ae-possible"]
BaselineKind = Literal["pinned", "own", "provisional", "none"]


class Baseline(Message):
    """The patient's own baseline that the value was compared with; `none` carries no value."""

    value: DecimalText | None = None
    collected_at: Instant | None = None
    kind: BaselineKind = "none"


class Point(Message):
    """One value of the analyte's series, oldest first, for the trend."""

    collected_at: Instant
    value: DecimalText
    comparator: Comparator | None = None
    usable: bool = True


class Input(Message):
    """One value that the rule looked at."""

    analyte: Identifier
    value: DecimalText
    comparator: Comparator | None = None
    unit: str | None = None
    collected_at: Instant
    reference_low: DecimalText | None = None
    reference_high: DecimalText | None = None
    result_id: str | None = None
    remarks: tuple[str, ...] = ()


class Alert(Message):
    """One thing said about one rule of one patient, with all the evidence a reader needs.

    `alert_id` stays the same through escalations and corrections; `seq` rises per patient and orders what is read.
    """

    alert_id: Identifier
    seq: int = Field(ge=1)
    action: Action
    reason: str
    wording: Wording
    patient_ref: PatientRef
    arm: Arm | None = None
    episode_id: str | None = None
    rule_id: Identifier
    rule_version: str
    mode: Mode = "live"
    urgency: Urgency
    level: int = Field(ge=0)
    organ: str | None = None
    roles: tuple[str, ...] = ()
    analyte: str | None = None
    value: DecimalText | None = None
    comparator: Comparator | None = None
    unit: str | None = None
    collected_at: Instant | None = None
    collected_precision: Precision = Precision.SECOND
    reference_low: DecimalText | None = None
    reference_high: DecimalText | None = None
    baseline: Baseline = Baseline()
    fold: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")] | None = None
    ctcae_version: str | None = None
    grade: int | None = Field(default=None, ge=0, le=5)
    baseline_grade: int | None = Field(default=None, ge=0, le=5)
    inputs: tuple[Input, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    series: tuple[Point, ...] = ()
    clears_when: str = ""
    late: bool = False
    known_since: Instant | None = None
    sources: tuple[str, ...] = ()
    decided_at: Instant
    supersedes: int | None = None
