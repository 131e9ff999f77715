"""When a retest plan asks for a reminder, and whom.

Pure. Overdue is the detector's word: it alone knows whether the draw has come. One reminder per slot; a slot ends when
the plan says anything but overdue, or asks for another draw.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.notifier.domain.routing import RoutingRules
from services.notifier.domain.values import Role


class Status(StrEnum):
    """Where a plan stands."""

    SCHEDULED = "scheduled"
    DUE = "due"
    OVERDUE = "overdue"
    MISSED = "missed"
    SATISFIED = "satisfied"
    STOPPED = "stopped"

    @property
    def is_active(self) -> bool:
        """Whether something is still asked."""
        return self in (Status.SCHEDULED, Status.DUE, Status.OVERDUE)


@dataclass(frozen=True, slots=True)
class Slot:
    """What was known of a plan before: its newest seq and the slot a reminder was made for."""

    seq: int
    reminded: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plan's message changes; `reminded` is what is kept for the next one."""

    is_news: bool
    remind: bool
    reminded: str | None


def on_plan(before: Slot | None, seq: int, status: Status, draw: int) -> Answer:
    """Judge one message of a plan; old and repeated ones change nothing."""
    if before is not None and seq <= before.seq:
        return Answer(is_news=False, remind=False, reminded=before.reminded)
    if status is not Status.OVERDUE:
        return Answer(is_news=True, remind=False, reminded=None)
    slot = f"draw-{draw}"
    known = before is not None and before.reminded == slot
    return Answer(is_news=True, remind=not known, reminded=slot)


def retest_roles(ward: str | None, rules: RoutingRules) -> tuple[Role, ...]:
    """Return who hears of an overdue draw: the patient's ward where it has a role, and the site's retest roles."""
    wards: Mapping[str, Role] = rules.ward_roles or {}
    of_ward = (wards[ward],) if ward is not None and ward in wards else ()
    return tuple(dict.fromkeys((*of_ward, *rules.retest_roles)))
