"""`screening.v1`: eligibility per criterion and which baseline items are missing; it informs, it never blocks."""

from typing import Literal

from schemas.base import Identifier, Instant, Message, PatientRef

Verdict = Literal["met", "not-met", "not-known"]


class Criterion(Message):
    """One eligibility criterion and what the facts say of it."""

    criterion: Identifier
    verdict: Verdict
    reason: str = ""


class Screening(Message):
    """The current state of one patient's screening."""

    patient_ref: PatientRef
    seq: int
    criteria: tuple[Criterion, ...] = ()
    baseline_missing: tuple[str, ...] = ()
    decided_at: Instant
