"""`retests.v1`: the current retest plan of a patient; compacted, the newest `seq` per plan is the truth."""

from typing import Literal

from pydantic import Field

from schemas.base import Identifier, Instant, Message, PatientRef

PlanKind = Literal["every-3-days", "every-4-cycles", "single"]
PlanStatus = Literal["scheduled", "due", "overdue", "missed", "satisfied", "stopped"]


class RetestPlan(Message):
    """What is to be drawn next, why, and what is still missing of the newest draw. Lists are sorted by name."""

    plan_id: Identifier
    seq: int = Field(ge=1)
    patient_ref: PatientRef
    episode_id: str | None = None
    kind: PlanKind
    status: PlanStatus
    due_at: Instant
    window_from: Instant
    window_to: Instant
    overdue_at: Instant
    draw: int = Field(ge=1)
    minimum_draws: int = Field(ge=1)
    missing: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    reason: str
    decided_at: Instant
    late: bool = False
