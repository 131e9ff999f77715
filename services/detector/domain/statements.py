"""What the detector says: alerts and retest plans as frozen values, complete enough to be published as they are.

The names are those of `schemas/alert_v1.py` and `schemas/retest_v1.py`, so that translation is copying.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.detector.domain.values import Arm, Comparator, PatientRef, Precision, ResultId, RuleId


class Urgency(StrEnum):
    """P1 page now, P2 same day, P3 next working day, P4 weekly digest (RULES.md 7)."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class Mode(StrEnum):
    """A shadow rule is computed and recorded, starts nothing and is told to nobody."""

    LIVE = "live"
    SHADOW = "shadow"


class Starts(StrEnum):
    """What a flag starts."""

    NOTHING = "none"
    SINGLE = "single"
    EVERY_3_DAYS = "every-3-days"


class Action(StrEnum):
    """RULES.md 4.7."""

    RAISED = "raised"
    ESCALATED = "escalated"
    REVISED = "revised"
    WITHDRAWN = "withdrawn"
    CLEARED = "cleared"
    MOVED = "moved"


class Wording(StrEnum):
    """The word irAE never appears outside the immunotherapy arm (RULES.md 3.7)."""

    IRAE_SUSPECTED = "irae-suspected"
    AE_POSSIBLE = "ae-possible"


class BaselineKind(StrEnum):
    """Where the baseline comes from (RULES.md 2)."""

    PINNED = "pinned"
    OWN = "own"
    PROVISIONAL = "provisional"
    NONE = "none"


class PlanKind(StrEnum):
    """RULES.md 6."""

    EVERY_3_DAYS = "every-3-days"
    EVERY_4_CYCLES = "every-4-cycles"
    SINGLE = "single"


class PlanStatus(StrEnum):
    """RULES.md 6; the first three are active."""

    SCHEDULED = "scheduled"
    DUE = "due"
    OVERDUE = "overdue"
    MISSED = "missed"
    SATISFIED = "satisfied"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class BaselineShown:
    """The baseline a value was compared with; kind `none` carries no value."""

    kind: BaselineKind = BaselineKind.NONE
    value: Decimal | None = None
    collected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One value of the series of an analyte, for the trend."""

    collected_at: datetime
    value: Decimal
    comparator: Comparator | None = None
    usable: bool = True


@dataclass(frozen=True, slots=True)
class Input:
    """One value the rule looked at, canonical unit."""

    analyte: str
    value: Decimal
    collected_at: datetime
    comparator: Comparator | None = None
    unit: str | None = None
    reference_low: Decimal | None = None
    reference_high: Decimal | None = None
    result_id: ResultId | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing said about one rule. `seq` rises per patient, `alert_id` is the same as long as the alert stands.

    `fold` is text with two decimals, for display; nothing is decided on it. `late`: does not page (RULES.md 4.8).
    """

    alert_id: str
    seq: int
    action: Action
    reason: str
    wording: Wording
    patient_ref: PatientRef
    arm: Arm | None
    episode_id: str | None
    rule_id: RuleId
    rule_version: str
    mode: Mode
    urgency: Urgency
    level: int
    organ: str | None
    roles: tuple[str, ...]
    analyte: str | None
    value: Decimal | None
    comparator: Comparator | None
    unit: str | None
    collected_at: datetime | None
    collected_precision: Precision
    reference_low: Decimal | None
    reference_high: Decimal | None
    baseline: BaselineShown
    fold: str | None
    ctcae_version: str | None
    grade: int | None
    baseline_grade: int | None
    inputs: tuple[Input, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    series: tuple[Point, ...]
    clears_when: str
    late: bool
    known_since: datetime | None
    sources: tuple[str, ...]
    decided_at: datetime
    supersedes: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be drawn next, and why. `seq` rises per patient over all plans; the newest per `plan_id` is true."""

    plan_id: str
    seq: int
    patient_ref: PatientRef
    episode_id: str | None
    kind: PlanKind
    status: PlanStatus
    due_at: datetime
    window_from: datetime
    window_to: datetime
    overdue_at: datetime
    draw: int
    minimum_draws: int
    missing: tuple[str, ...]
    pending: tuple[str, ...]
    reason: str
    decided_at: datetime
    late: bool


@dataclass(frozen=True, slots=True)
class SayAlert:
    """Publish this on alerts.v1."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """Publish this on retests.v1."""

    plan: Plan


Effect = SayAlert | PublishPlan
