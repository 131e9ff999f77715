"""The words in which the notifier decides: urgencies, actions, people and what is known of an alert.

Pure: no clock, no store, no message model.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

AlertId = NewType("AlertId", str)
PersonId = NewType("PersonId", str)
Role = NewType("Role", str)


class Urgency(StrEnum):
    """P1 page now, P2 same day, P3 next working day, P4 weekly digest; they sort by text, the most urgent first."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"

    def is_above(self, other: "Urgency") -> bool:
        """Tell whether this is more urgent than the other."""
        return self.value < other.value


class Action(StrEnum):
    """What the detector says about an alert."""

    RAISED = "raised"
    ESCALATED = "escalated"
    REVISED = "revised"
    WITHDRAWN = "withdrawn"
    CLEARED = "cleared"
    MOVED = "moved"

    @property
    def ends(self) -> bool:
        """Whether the alert no longer stands after it."""
        return self in (Action.WITHDRAWN, Action.CLEARED, Action.MOVED)


class Tier(StrEnum):
    """What a channel may carry: a page the alert's number and urgency, a mail the patient ref and the evidence."""

    PAGE = "page"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What decisions need of one alert message. `newest`: its result is the newest of its analyte."""

    alert_id: AlertId
    seq: int
    action: Action
    live: bool
    urgency: Urgency
    level: int
    decided_at: datetime
    organ: str | None = None
    roles: tuple[Role, ...] = ()
    arm: str | None = None
    late: bool = False
    newest: bool = True

    @property
    def interrupts(self) -> bool:
        """Whether it may reach a person at once: late facts go to the digest, unless P1 and still the newest."""
        return not self.late or (self.urgency is Urgency.P1 and self.newest)


@dataclass(frozen=True, slots=True)
class Contact:
    """One way to reach a person: a channel's name and the address there."""

    channel: str
    address: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be told."""

    person_id: PersonId
    language: str
    contacts: tuple[Contact, ...]

    def reach(self, tier: Tier) -> tuple[Contact, ...]:
        """Return the ways that carry this tier, in the order the person prefers."""
        return tuple(contact for contact in self.contacts if contact.tier is tier)
