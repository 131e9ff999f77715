"""Working hours and digest times in the site's zone.

Pure. Wall-clock times become instants through the zone: on a day with a clock change the hours stay what the wall says.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

A_DAY = timedelta(days=1)
LONGEST_HOLIDAY_DAYS = 60


def instant(day: date, at: time, zone: tzinfo) -> datetime:
    """Return the UTC instant of a wall-clock time; of one that comes twice the first, of one left out the jump."""
    return datetime.combine(day, at, zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Hours:
    """When people work: weekdays (Monday is 0), from and to on the wall, holidays as dates."""

    zone: tzinfo
    days: frozenset[int]
    start: time
    end: time
    holidays: frozenset[date] = frozenset()

    def is_workday(self, day: date) -> bool:
        """Tell whether people work on this day."""
        return day.weekday() in self.days and day not in self.holidays

    def contains(self, at: datetime) -> bool:
        """Tell whether the instant is in working hours; the end is not."""
        day = at.astimezone(self.zone).date()
        return self.is_workday(day) and instant(day, self.start, self.zone) <= at < instant(day, self.end, self.zone)

    def next_start(self, at: datetime) -> datetime:
        """Return the instant itself in working hours, else when they begin next."""
        return at if self.contains(at) else self.next_on_workday(self.start, at)

    def next_on_workday(self, wall: time, after: datetime) -> datetime:
        """Return the next instant after `after` at which a working day's clock shows `wall`."""
        return self._next(wall, after, self.days)

    def next_on(self, weekday: int, wall: time, after: datetime) -> datetime:
        """Return the next instant after `after` at which that weekday's clock shows `wall`, holiday or not."""
        return _first(wall, after, self.zone, {weekday}, frozenset())

    def _next(self, wall: time, after: datetime, days: Collection[int]) -> datetime:
        return _first(wall, after, self.zone, days, self.holidays)


def _first(wall: time, after: datetime, zone: tzinfo, days: Collection[int], not_on: Collection[date]) -> datetime:
    today = after.astimezone(zone).date()
    for ahead in range(LONGEST_HOLIDAY_DAYS):
        day = today + ahead * A_DAY
        moment = instant(day, wall, zone)
        if day.weekday() in days and day not in not_on and moment > after:
            return moment
    return instant(today + A_DAY, wall, zone)  # no working day for two months: tomorrow is better than never
