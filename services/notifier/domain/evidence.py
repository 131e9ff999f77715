"""What a message or a page tells about: alerts, retest plans and digests as small values.

Pure values; the shell fills them from the messages of the detector (`store/evidence.py`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.notifier.domain.values import Action


class Wording(StrEnum):
    """Which words the patient's arm allows (RULES.md 3.7): the word irAE belongs to the immunotherapy arm alone."""

    IRAE_SUSPECTED = "irae-suspected"
    AE_POSSIBLE = "ae-possible"


@dataclass(frozen=True, slots=True)
class Reading:
    """One laboratory value as it was read, in the canonical unit."""

    analyte: str
    value: Decimal
    comparator: str | None = None
    unit: str | None = None
    collected_at: datetime | None = None
    by_day: bool = False
    """The source stated only the day."""
    reference_low: Decimal | None = None
    reference_high: Decimal | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """The patient's own baseline; kind `none` carries no value."""

    kind: str = "none"
    value: Decimal | None = None
    collected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One person who was told, or why nobody was."""

    role: str | None
    name: str | None
    result: str
    reason: str = ""
    channel: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlanView:
    """A retest plan as it stands."""

    plan_id: str
    patient_ref: str
    kind: str
    status: str
    due_at: datetime
    overdue_at: datetime
    draw: int
    minimum_draws: int
    missing: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    reason: str = ""
    late: bool = False
    told: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert with the evidence a reader needs to judge it."""

    alert_id: str
    seq: int
    action: Action
    reason: str
    wording: Wording
    patient_ref: str
    rule_id: str
    rule_version: str
    urgency: str
    level: int
    decided_at: datetime
    arm: str | None = None
    episode_id: str | None = None
    organ: str | None = None
    reading: Reading | None = None
    baseline: Baseline = Baseline()
    fold: str | None = None
    ctcae_version: str | None = None
    grade: int | None = None
    baseline_grade: int | None = None
    inputs: tuple[Reading, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    series: tuple[Reading, ...] = ()
    """Values of the same analyte, oldest first."""
    clears_when: str = ""
    late: bool = False
    known_since: datetime | None = None
    sources: tuple[str, ...] = ()
    before: "AlertView | None" = None
    """What was said last before this, for messages that take it back."""
    plan: PlanView | None = None
    told: tuple[Told, ...] = field(default=())
    is_delayed: bool = False
    """The message leaves long after the decision: after an outage, on a replay, or because nobody has answered."""


@dataclass(frozen=True, slots=True)
class DigestView:
    """What one person hears at once: alerts that did not page, retests that are out."""

    kind: str
    """`daily`, `weekly` or `retests`."""
    alerts: tuple[AlertView, ...] = ()
    plans: tuple[PlanView, ...] = ()
    ward: str | None = None


def alert_number(alert_id: str) -> str:
    """Return the number by which people speak of an alert, such as `0F1E-2D3C`; it says nothing about the patient."""
    kept = "".join(character for character in alert_id if character.isascii() and character.isalnum()).upper()[:8]
    return f"{kept[:4]}-{kept[4:]}" if len(kept) > 4 else kept  # noqa: PLR2004 - two groups of four are read aloud well
