"""Who is on duty in a role at an instant.

Pure. Shifts are wall-clock times in the site's zone, an instant belongs to the shift that begins at it, and where one
shift ends as the next begins there is neither gap nor overlap, clock changes included. An override in force for a role
replaces all of its ordinary shifts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from services.notifier.domain.hours import A_DAY, instant
from services.notifier.domain.values import PersonId, Role


@dataclass(frozen=True, slots=True)
class Weekly:
    """A shift on certain weekdays (Monday is 0); an end not after the start lies on the next day."""

    days: frozenset[int]
    start: time
    end: time
    first_day: date | None = None
    last_day: date | None = None

    def covers(self, at: datetime, zone: tzinfo) -> bool:
        """Tell whether a shift that began today or yesterday is running."""
        today = at.astimezone(zone).date()
        return any(self._runs(day, at, zone) for day in (today, today - A_DAY))

    def _runs(self, day: date, at: datetime, zone: tzinfo) -> bool:
        if day.weekday() not in self.days:
            return False
        if (self.first_day and day < self.first_day) or (self.last_day and day > self.last_day):
            return False
        last = day if self.end > self.start else day + A_DAY
        return instant(day, self.start, zone) <= at < instant(last, self.end, zone)


@dataclass(frozen=True, slots=True)
class Once:
    """A shift from one instant to another."""

    start: datetime
    end: datetime

    def covers(self, at: datetime, zone: tzinfo) -> bool:  # noqa: ARG002 - the same question as of a weekly shift
        """Tell whether it is running."""
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class Duty:
    """One line of the rota: a person, a role, a shift."""

    role: Role
    person_id: PersonId
    shift: Weekly | Once
    is_override: bool = False


@dataclass(frozen=True, slots=True)
class Rota:
    """All lines, in the order of the file: the first named is told first."""

    duties: tuple[Duty, ...]
    zone: tzinfo

    def on_duty(self, role: Role, at: datetime) -> tuple[PersonId, ...]:
        """Return who holds the role, each once; nobody is an answer."""
        running = [duty for duty in self.duties if duty.role == role and duty.shift.covers(at, self.zone)]
        overrides = [duty for duty in running if duty.is_override]
        return tuple(dict.fromkeys(duty.person_id for duty in overrides or running))

    def roles(self) -> frozenset[Role]:
        """Return every role that somebody holds at some time."""
        return frozenset(duty.role for duty in self.duties)


def unheld(rota: Rota, roles: Iterable[Role], start: datetime, days: int) -> Iterator[tuple[Role, datetime]]:
    """Yield for each role the first hour of the coming days at which nobody holds it."""
    for role in roles:
        hours = (start + timedelta(hours=hour) for hour in range(24 * days))
        gap = next((hour for hour in hours if not rota.on_duty(role, hour)), None)
        if gap is not None:
            yield role, gap
