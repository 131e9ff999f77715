"""What is to be drawn next: the 3-day cadence of an episode, or the one repeat of a ferritin watch (RULES.md 6).

Law: due, overdue and missed are derived from the facts and `now`; the telling is what the ledger keeps.
"""

from dataclasses import dataclass
from datetime import datetime

from services.detector.domain.recovery import recovery_set
from services.detector.domain.rules import Rulebook
from services.detector.domain.state import THERE, Accumulator, Phase, Single
from services.detector.domain.statements import PlanKind, PlanStatus
from services.detector.domain.times import to_working_day

AWAITED = frozenset("PRSIO")
ACTIVE = frozenset({PlanStatus.SCHEDULED, PlanStatus.DUE, PlanStatus.OVERDUE})
PROTOCOL = "protocol"
REPEAT = "single-repeat"


@dataclass(frozen=True, slots=True)
class Slot:
    """One asked draw. `scope`: key of the plan; `opened_at`: of its scope; `since`: what the clock counts from."""

    kind: PlanKind
    scope: str
    opened_at: datetime
    since: datetime
    status: PlanStatus
    due_at: datetime
    window_from: datetime
    overdue_at: datetime
    draw: int
    minimum_draws: int
    missing: tuple[str, ...]
    pending: tuple[str, ...]
    reason: str
    next_at: datetime | None


def wanted(acc: Accumulator, rules: Rulebook, now: datetime) -> Slot | None:
    """Return the one active slot of the patient at `now`, if any."""
    phase = acc.phase
    if phase is not None and phase.ended is None:
        return _of_phase(phase, rules, now)
    single = acc.single
    if single is None or single.ended is not None or single.answered_at is not None:
        return None
    return _of_single(single, rules, now)


def _status(window_from: datetime, overdue_at: datetime, now: datetime) -> PlanStatus:
    if now < window_from:
        return PlanStatus.SCHEDULED
    return PlanStatus.DUE if now < overdue_at else PlanStatus.OVERDUE


def _next(now: datetime, *times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None and at > now), default=None)


def _of_phase(phase: Phase, rules: Rulebook, now: datetime) -> Slot:
    """The clock counts from the newest draw after the opening, else from the opening."""
    retest = rules.retest
    since = phase.drawn_at[-1] if phase.drawn_at else phase.opened_at
    due_at = since + retest.after
    if retest.weekend:
        due_at = to_working_day(due_at, rules.zone)
    window_from, overdue_at = due_at - retest.window, due_at + retest.window
    missing, pending, silent_until = _gaps(phase, rules, now)
    return Slot(
        PlanKind.EVERY_3_DAYS, f"{phase.key}|{phase.number}", phase.opened_at, since,
        _status(window_from, overdue_at, now), due_at, window_from, overdue_at,
        phase.counted + 1, rules.recovery.minimum_draws, missing, pending, PROTOCOL,
        _next(now, window_from, overdue_at, silent_until),
    )  # fmt: skip


def _gaps(phase: Phase, rules: Rulebook, now: datetime) -> tuple[tuple[str, ...], tuple[str, ...], datetime | None]:
    """Return what the newest draw lacks: missing, pending, and until when silence counts as pending."""
    if not phase.drawn_at:
        return (), (), None
    silent_until = phase.drawn_at[-1] + rules.retest.silent
    missing: list[str] = []
    pending: list[str] = []
    silent = False
    for analyte in sorted({*rules.retest.panel, *recovery_set(phase)}):
        status = phase.panel.get(analyte)
        if status == THERE or analyte == rules.retest.draw:
            continue
        silent = silent or status is None
        awaited = status in AWAITED if status is not None else now < silent_until
        (pending if awaited else missing).append(analyte)
    return tuple(missing), tuple(pending), silent_until if silent else None


def _of_single(single: Single, rules: Rulebook, now: datetime) -> Slot:
    retest = rules.retest
    due_at = single.first_at + retest.single_after
    if retest.weekend:
        due_at = to_working_day(due_at, rules.zone)
    window_from, overdue_at = due_at - retest.single_window, due_at + retest.single_window
    return Slot(
        PlanKind.SINGLE, f"{single.rule_id}|{single.first_result}", single.first_at, single.first_at,
        _status(window_from, overdue_at, now), due_at, window_from, overdue_at,
        1, 1, (), (), REPEAT, _next(now, window_from, overdue_at),
    )  # fmt: skip


def first_draw_after(acc: Accumulator, since: datetime) -> datetime | None:
    """Return the first draw of the newest phase later than `since`."""
    phase = acc.phase
    return next((at for at in phase.drawn_at if at > since), None) if phase is not None else None
