"""Every open alert has a next step, and nothing waits longer than it may.

Pure: it judges what the store counted. Only when it finds nothing may an outside watchdog be told that all is well.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Count:
    """What the store holds at one moment. Steps: alerts that stand, are live, unacknowledged and have nothing due."""

    without_step: int
    oldest_step_due: datetime | None
    oldest_message_due: datetime | None


@dataclass(frozen=True, slots=True)
class Limits:
    """How late the next step and an undelivered message may be."""

    step: timedelta = timedelta(minutes=5)
    message: timedelta = timedelta(minutes=5)


def findings(count: Count, now: datetime, limits: Limits = Limits()) -> tuple[str, ...]:
    """Return a sentence per broken promise."""
    found = []
    if count.without_step:
        found.append(f"{count.without_step} open alerts have no next step")
    if count.oldest_step_due is not None and now - count.oldest_step_due > limits.step:
        found.append("a next step is overdue")
    if count.oldest_message_due is not None and now - count.oldest_message_due > limits.message:
        found.append("a message is undelivered for too long")
    return tuple(found)
