"""Days, weekends and "before the dose", read in the site's zone (RULES.md 1.4, 6.1).

Law: an instant known to the day only is compared by site date, never by the hour at which it was put.
"""

from datetime import datetime, timedelta, tzinfo

from services.detector.domain.values import Precision

SATURDAY = 5
SUNDAY = 6


def is_not_after(at: datetime, other: datetime, *, by_day: bool, zone: tzinfo) -> bool:
    """Return whether `at` is at or before `other`; `by_day`: one of the two is a bare date, the same date counts."""
    if by_day:
        return at.astimezone(zone).date() <= other.astimezone(zone).date()
    return at <= other


def is_not_before(at: datetime, other: datetime, *, by_day: bool, zone: tzinfo) -> bool:
    """Return whether `at` is at or after `other`, likewise."""
    if by_day:
        return at.astimezone(zone).date() >= other.astimezone(zone).date()
    return at >= other


def is_day(precision: Precision) -> bool:
    """Return whether the instant is a bare date."""
    return precision is Precision.DAY


def to_working_day(due_at: datetime, zone: tzinfo) -> datetime:
    """Move a Saturday to Friday and a Sunday to Monday at the same wall-clock time of the site."""
    local = due_at.astimezone(zone)
    shift = {SATURDAY: -1, SUNDAY: 1}.get(local.weekday(), 0)
    if not shift:
        return due_at
    return (local + timedelta(days=shift)).astimezone(due_at.tzinfo)
