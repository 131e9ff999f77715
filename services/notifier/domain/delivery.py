"""What becomes of one attempt to send: done, again later, or given up.

Pure. Backoff doubles from `first` to `longest`, spread by a number from 0 to 1 that the caller draws; a server's own
word (Retry-After) is never undercut. Giving up is refused for what must reach somebody: P1, and what nobody would say
again (a correction, a reminder, a digest), are tried until a carrier takes or refuses them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.notifier.domain.values import Urgency


class Kind(StrEnum):
    """What a channel said of an attempt."""

    SENT = "sent"
    RETRY = "retry"
    REFUSED = "refused"


class State(StrEnum):
    """Where a queued message stands. RECALLED: cancelled while a sender had it in hand."""

    WAITING = "waiting"
    SENT = "sent"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    RECALLED = "recalled"


@dataclass(frozen=True, slots=True)
class Patience:
    """How attempts are spaced and when they end (never for P1)."""

    first: timedelta
    longest: timedelta
    give_up_after: timedelta


@dataclass(frozen=True, slots=True)
class Verdict:
    """The item's next state; `due_at` only while it waits."""

    state: State
    reason: str
    due_at: datetime | None = None


def judge(
    kind: Kind,
    detail: str,
    *,
    urgency: Urgency,
    has_ladder: bool,
    attempts: int,
    created_at: datetime,
    not_before: timedelta,
    spread: float,
    patience: Patience,
    now: datetime,
) -> Verdict:
    """Judge attempt number `attempts` (from 1) of a message queued at `created_at`.

    `has_ladder`: somebody else is told later if this message arrives nowhere.
    """
    if kind is Kind.SENT:
        return Verdict(State.SENT, detail)
    if kind is Kind.REFUSED:
        return Verdict(State.REFUSED, detail)
    if has_ladder and urgency is not Urgency.P1 and now - created_at >= patience.give_up_after:
        return Verdict(State.REFUSED, f"gave up: {detail}")
    return Verdict(State.WAITING, detail, now + max(not_before, backoff(attempts, spread, patience)))


def backoff(attempts: int, spread: float, patience: Patience) -> timedelta:
    """Return the pause after this many attempts: between half and the whole of first x 2^(n-1), at most `longest`."""
    doubled = patience.first * 2 ** min(max(attempts, 1) - 1, 20)
    pause: timedelta = min(doubled, patience.longest) * (0.5 + spread / 2)
    return pause
