"""The ladder of one alert: who is told next if nobody acknowledges.

Pure. Law: while an urgent alert stands and is not acknowledged there is always a next step: the last one repeats.
An acknowledgement covers the level it was given for; anything worse starts the ladder again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from services.notifier.domain.values import AlertFacts, AlertId, Role, Urgency

THE_ALERTS_ROLES = Role("@alert")
"""In a step of the ladder: the roles that the alert itself goes to."""


class Phase(StrEnum):
    """Where the ladder of an alert stands."""

    WAITING = "waiting"
    TOLD = "told"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    LISTED = "listed"
    STOPPED = "stopped"


class Cause(StrEnum):
    """What moves a ladder."""

    RAISED = "raised"
    WORSENED = "worsened"
    LESSENED = "lessened"
    ENDED = "ended"
    ACKNOWLEDGED = "acknowledged"
    TIME = "time"


_BEGUN = frozenset({Phase.TOLD, Phase.LISTED})
_ALIVE: Mapping[Cause, frozenset[Phase]] = {
    Cause.WORSENED: _BEGUN,
    Cause.LESSENED: _BEGUN,
    Cause.ENDED: frozenset({Phase.STOPPED}),
    Cause.ACKNOWLEDGED: frozenset({Phase.ACKNOWLEDGED}),
}

TRANSITIONS: Mapping[Phase, Mapping[Cause, frozenset[Phase]]] = {
    Phase.WAITING: {Cause.RAISED: _BEGUN},
    Phase.TOLD: {**_ALIVE, Cause.TIME: frozenset({Phase.ESCALATED})},
    Phase.ESCALATED: {**_ALIVE, Cause.TIME: frozenset({Phase.ESCALATED})},
    Phase.ACKNOWLEDGED: {
        **_ALIVE,
        Cause.LESSENED: frozenset({Phase.ACKNOWLEDGED}),
        Cause.TIME: frozenset({Phase.TOLD, Phase.LISTED}),
    },
    Phase.LISTED: {**_ALIVE, Cause.TIME: frozenset({Phase.LISTED})},
    Phase.STOPPED: {Cause.RAISED: _BEGUN},
}


@dataclass(frozen=True, slots=True)
class Climb:
    """A ladder of steps. Durations from the telling; `holds` None: an acknowledgement does not expire."""

    acknowledge_within: timedelta
    steps: tuple[tuple[Role, ...], ...]
    holds: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """No ladder: listed in a digest, and again after this long while nobody acknowledges."""

    again_after: timedelta


EscalationRules = Mapping[Urgency, Climb | Listed]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The state of one alert's ladder. `round` counts repetitions, so that (seq, step, round) names one telling."""

    alert_id: AlertId
    phase: Phase
    seq: int
    level: int
    urgency: Urgency
    step: int
    round: int
    started_at: datetime
    next_at: datetime | None
    reason: str
    interrupts: bool = True
    since_seq: int = 0
    """Seq of the message since which the alert stands: whoever was told from then on hears of its end."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell these roles, as this step and round; `escalated` says that nobody answered before."""

    roles: tuple[Role, ...]
    step: int
    round: int
    escalated: bool


@dataclass(frozen=True, slots=True)
class TellTheTold:
    """Tell exactly those who were told before, by the same contacts."""


@dataclass(frozen=True, slots=True)
class CancelWaiting:
    """What is queued and not yet in a sender's hands is not sent any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Requeue:
    """Those whose message was just cancelled before it reached them are told as things stand now."""


@dataclass(frozen=True, slots=True)
class Expired:
    """An acknowledgement no longer holds."""


Effect = Tell | TellTheTold | CancelWaiting | Requeue | Expired
Step = tuple[Ladder, tuple[Effect, ...]]


def on_raised(ladder: Ladder | None, alert: AlertFacts, rules: EscalationRules, now: datetime) -> Step:
    """Begin, or begin again, for an alert that did not stand."""
    begun = _begin(alert, rules, now, round_=0 if ladder is None else ladder.round + 1, reason="raised")
    begun = replace(begun, since_seq=alert.seq)
    return begun, (_tell(begun, rules),)


def on_worsened(ladder: Ladder, alert: AlertFacts, rules: EscalationRules, now: datetime) -> Step:
    """Begin again at the first step, whatever was acknowledged: that covered the lower level."""
    begun = _begin(alert, rules, now, round_=ladder.round + 1, reason="worsened")
    begun = replace(begun, since_seq=ladder.since_seq)
    return begun, (CancelWaiting("superseded by a worse level"), _tell(begun, rules))


def on_lessened(ladder: Ladder, alert: AlertFacts, rules: EscalationRules, now: datetime) -> Step:
    """Correct those who were told; an acknowledgement still covers it, else the ladder goes on at the new urgency."""
    effects: tuple[Effect, ...] = (CancelWaiting("superseded by a revision"), TellTheTold())
    kept = replace(ladder, seq=alert.seq, level=alert.level, urgency=alert.urgency, interrupts=alert.interrupts)
    if ladder.phase is Phase.ACKNOWLEDGED:
        holds = _holds(kept, rules)
        return replace(kept, next_at=min(ladder.next_at, now + holds) if ladder.next_at and holds else None), effects
    begun = _begin(alert, rules, now, round_=ladder.round + 1, reason="revised")
    begun = replace(begun, since_seq=ladder.since_seq)
    return begun, (*effects, Requeue())


def on_ended(ladder: Ladder, alert: AlertFacts, reason: str) -> Step:
    """Stop, and tell exactly those who were told."""
    stopped = replace(ladder, phase=Phase.STOPPED, seq=alert.seq, next_at=None, reason=reason)
    return stopped, (CancelWaiting(reason), TellTheTold())


def on_acknowledged(ladder: Ladder, rules: EscalationRules, now: datetime, reason: str) -> Step:
    """Stop climbing for this level; where acknowledgements expire, the clock goes on."""
    if ladder.phase is Phase.STOPPED:
        return ladder, ()
    holds = _holds(ladder, rules)
    next_at = None if holds is None else now + holds
    return replace(ladder, phase=Phase.ACKNOWLEDGED, next_at=next_at, reason=reason), (CancelWaiting(reason),)


def on_time(ladder: Ladder, rules: EscalationRules, now: datetime) -> Step:
    """Take the next step if it is due; after an outage of any length exactly one."""
    if ladder.next_at is None or now < ladder.next_at:
        return ladder, ()
    match ladder.phase:
        case Phase.TOLD | Phase.ESCALATED:
            return _climb(ladder, rules, now)
        case Phase.ACKNOWLEDGED:
            again = _again(ladder, rules, now, "acknowledgement expired")
            return again, (Expired(), _tell(again, rules))
        case Phase.LISTED:
            again = _again(ladder, rules, now, "still open")
            return again, (_tell(again, rules),)
        case Phase.WAITING | Phase.STOPPED:
            return replace(ladder, next_at=None), ()
        case _:
            assert_never(ladder.phase)


def _begin(alert: AlertFacts, rules: EscalationRules, now: datetime, *, round_: int, reason: str) -> Ladder:
    empty = Ladder(
        alert.alert_id,
        Phase.WAITING,
        alert.seq,
        alert.level,
        alert.urgency,
        0,
        round_,
        now,
        None,
        reason,
        alert.interrupts,
    )
    return _placed(empty, rules, now)


def _again(ladder: Ladder, rules: EscalationRules, now: datetime, reason: str) -> Ladder:
    return _placed(replace(ladder, step=0, round=ladder.round + 1, reason=reason), rules, now)


def _placed(ladder: Ladder, rules: EscalationRules, now: datetime) -> Ladder:
    """Stand on the first step, or on the list."""
    rule = _rule(ladder, rules)
    match rule:
        case Climb():
            return replace(ladder, phase=Phase.TOLD, next_at=now + rule.acknowledge_within)
        case Listed():
            return replace(ladder, phase=Phase.LISTED, next_at=now + rule.again_after)
        case _:
            assert_never(rule)


def _climb(ladder: Ladder, rules: EscalationRules, now: datetime) -> Step:
    rule = _rule(ladder, rules)
    if isinstance(rule, Listed):  # the site's rules changed while the ladder stood
        again = _again(ladder, rules, now, "still open")
        return again, (_tell(again, rules),)
    last = ladder.step + 1 >= len(rule.steps)
    step, round_ = (len(rule.steps) - 1, ladder.round + 1) if last else (ladder.step + 1, ladder.round)
    climbed = replace(
        ladder,
        phase=Phase.ESCALATED,
        step=step,
        round=round_,
        next_at=now + rule.acknowledge_within,
        reason="no answer",
    )
    return climbed, (_tell(climbed, rules, escalated=True),)


def _tell(ladder: Ladder, rules: EscalationRules, *, escalated: bool = False) -> Tell:
    rule = _rule(ladder, rules)
    roles = rule.steps[ladder.step] if isinstance(rule, Climb) else (THE_ALERTS_ROLES,)
    return Tell(roles, ladder.step, ladder.round, escalated)


def _rule(ladder: Ladder, rules: EscalationRules) -> Climb | Listed:
    """Late facts that may not interrupt have no ladder, whatever their urgency."""
    rule = rules[ladder.urgency]
    return rule if ladder.interrupts else _listed(rules)


def _listed(rules: EscalationRules) -> Listed:
    return next((rule for rule in rules.values() if isinstance(rule, Listed)), Listed(timedelta(days=7)))


def _holds(ladder: Ladder, rules: EscalationRules) -> timedelta | None:
    rule = _rule(ladder, rules)
    return rule.holds if isinstance(rule, Climb) else None
