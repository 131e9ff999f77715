"""Whether an alert message needs to be said to people, and why or why not.

Pure. What has been said is compared with what is said now; the detector's word for it is not trusted beyond that, so
a message that was missed, repeated or came late changes nothing about who must hear what.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.notifier.domain.values import Action, AlertFacts, Urgency


class Reason(StrEnum):
    """Why something is said, or why not."""

    FIRST = "first"
    WORSE = "worse"
    LESS = "less"
    ENDED = "ended"
    OLD = "old-seq"
    REPEATED = "repeated"
    SHADOW = "shadow"
    SAME = "same-level"
    NEVER_SAID = "ended-before-it-was-said"

    @property
    def is_said(self) -> bool:
        """Whether people hear of it."""
        return self in (Reason.FIRST, Reason.WORSE, Reason.LESS, Reason.ENDED)


@dataclass(frozen=True, slots=True)
class Said:
    """The newest message of this alert that was applied."""

    seq: int
    stands: bool
    urgency: Urgency
    level: int


def needs_sending(previous: Said | None, alert: AlertFacts) -> Reason:
    """Compare with what is known. Readers go by `seq`: an old one changes nothing, an equal one is a repetition."""
    if previous is not None and alert.seq <= previous.seq:
        return Reason.REPEATED if alert.seq == previous.seq else Reason.OLD
    if not alert.live:
        return Reason.SHADOW
    stood = previous is not None and previous.stands
    if alert.action.ends:
        return Reason.ENDED if stood else Reason.NEVER_SAID
    if previous is None or not stood:
        return Reason.FIRST
    return _compare(previous, alert)


def _compare(previous: Said, alert: AlertFacts) -> Reason:
    """A more urgent alert is worse whatever its level; at the same urgency the level decides."""
    if alert.urgency.is_above(previous.urgency):
        return Reason.WORSE
    if previous.urgency.is_above(alert.urgency):
        return Reason.LESS
    if alert.level > previous.level:
        return Reason.WORSE
    if alert.level < previous.level or alert.action is Action.REVISED:
        return Reason.LESS
    return Reason.SAME
