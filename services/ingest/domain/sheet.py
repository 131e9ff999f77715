"""What one message fills while it is read: the columns of its tally, and what stays the same throughout."""

from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import NamedTuple

from services.ingest.domain.outcome import Quarantined, Tally
from services.ingest.domain.profile import Profile
from services.ingest.domain.tables import Tables
from services.ingest.domain.times import Stamp
from services.ingest.domain.values import PatientRef, Result


class Subject(NamedTuple):
    """Whom results are said to belong to. The same number with another birth date is another subject.

    So each of the two reports is compared with the registry for itself.
    """

    ref: PatientRef
    birth_date_token: str | None
    sex_token: str | None


@dataclass(slots=True)
class Sheet:
    """The columns while they fill; `results` holds each result with its content as one text."""

    results: dict[Subject, list[tuple[str, Result]]] = field(default_factory=dict)
    published: int = 0
    unmapped: int = 0
    ignored: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, name: str) -> None:
        """Count something that was noticed."""
        self.notes[name] = self.notes.get(name, 0) + 1

    def quarantine(self, reason: str, number: int, ref: PatientRef | None) -> None:
        """Put an observation aside."""
        self.quarantined.append(Quarantined(reason, f"OBX[{number}]", ref))

    def tally(self) -> Tally:
        """Add the columns up."""
        return Tally(self.published, len(self.quarantined), self.unmapped, self.ignored)


@dataclass(frozen=True, slots=True)
class Feed:
    """What stays the same while one message is read."""

    tables: Tables
    profile: Profile
    separators: str
    zone: tzinfo
    facility: str
    sent: Stamp
    received_at: datetime
