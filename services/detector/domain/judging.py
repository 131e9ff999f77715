"""Judge one result by one rule: which level is met, which cannot be excluded, how urgent, what it starts.

Law: a lift makes a judgement more urgent, never less; what is unknown is neither a flag nor clear (RULES.md 4.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from services.detector.domain.baseline import Baseline, Candidate, fold_base, newest_comparable
from services.detector.domain.grading import baseline_grade, grade
from services.detector.domain.intervals import UPWARD, every, is_above, is_below, some
from services.detector.domain.results import Standing, placed_at
from services.detector.domain.rules import CtcaeTerm, FerritinRise, FoldArm, Lift, Rule
from services.detector.domain.statements import Starts, Urgency
from services.detector.domain.values import LabResult

ONE_STEP_UP = {Urgency.P4: Urgency.P3, Urgency.P3: Urgency.P2, Urgency.P2: Urgency.P1, Urgency.P1: Urgency.P1}


@dataclass(slots=True)
class Measured:
    """A result with everything it is compared with; `previous` are earlier usable values of the same analyte.

    Never changed once made; not frozen because one is made per result, and freezing costs as much as judging.
    """

    result: LabResult
    standing: Standing
    low: Decimal | None
    high: Decimal | None
    baseline: Baseline | None
    previous: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """`level` is met, `ceiling` is the highest level not excluded: 0 and 0 is clear, 0 and more is unknown."""

    level: int
    ceiling: int
    urgency: Urgency = Urgency.P4
    starts: Starts = Starts.NOTHING
    grade: int | None = None
    baseline_grade: int | None = None
    notes: tuple[str, ...] = ()


CLEAR = Judgement(0, 0)


def judge(rule: Rule, measured: Measured) -> Judgement:
    """Judge a countable result by a rule that needs this one result."""
    match rule:
        case CtcaeTerm():
            return _by_grade(rule, measured)
        case FerritinRise():
            return _by_rise(rule, measured)
        case _:
            assert_never(rule)


def _by_grade(term: CtcaeTerm, measured: Measured) -> Judgement:
    result, low, high = measured.result, measured.low, measured.high
    assert result.value is not None
    graded = grade(term, result.value, result.comparator, low, high, measured.baseline)
    reached, ceiling = graded.grade, graded.ceiling
    if not ceiling:
        return CLEAR
    if term.from_grade:
        lowest = term.from_grade.get(result.analyte, 1)
        reached = reached if reached >= lowest else 0
        ceiling = ceiling if ceiling >= lowest else 0
    before = baseline_grade(term, measured.baseline, low, high)
    level = reached if reached > before else 0
    if not level:
        return Judgement(0, ceiling if ceiling > max(before, reached) else 0, grade=reached, baseline_grade=before)
    return _lifted(term, level, ceiling, measured, grade_reached=reached, grade_before=before)


def _by_rise(rule: FerritinRise, measured: Measured) -> Judgement:
    arms = rule.arms_with if fold_base(measured.baseline) is not None else rule.arms_without
    level = ceiling = 0
    for candidate in range(len(arms) - 1, 0, -1):
        met = some(*(_holds(arm, measured) for arm in arms[candidate]))
        if met:
            level = candidate
            break
        if met is None and not ceiling:
            ceiling = candidate
    if not level:
        return Judgement(0, ceiling) if ceiling else CLEAR
    return _lifted(rule, level, max(level, ceiling), measured)


def _holds(arm: FoldArm, measured: Measured) -> bool | None:
    """Three-valued; an arm that needs a missing ULN is unknown whatever its other parts say (RULES.md 3.2)."""
    value, comparator = measured.result.value, measured.result.comparator
    assert value is not None
    parts: list[bool | None] = []
    if arm.above_uln:
        if measured.high is None:
            return None
        parts.append(is_above(value, comparator, measured.high, strict=True))
    if arm.at_least is not None:
        parts.append(is_above(value, comparator, arm.at_least, strict=False))
    if arm.above is not None:
        parts.append(is_above(value, comparator, arm.above, strict=True))
    base = fold_base(measured.baseline)
    if arm.fold is not None and base is not None:
        parts.append(is_above(value, comparator, arm.fold * base, strict=False))
    return every(*parts)


def _lifted(
    rule: Rule,
    level: int,
    ceiling: int,
    measured: Measured,
    *,
    grade_reached: int | None = None,
    grade_before: int | None = None,
) -> Judgement:
    routing = rule.routing
    urgency, starts = routing.urgencies[level], routing.starts[level]
    notes: list[str] = []
    for lift in routing.lifts:
        if lift.minimum_level <= level <= lift.maximum_level and _lift_holds(lift, measured):
            urgency = min(urgency, lift.to or ONE_STEP_UP[urgency])
            starts = lift.starts or starts
            notes.append(lift.note)
    notes.extend(_doubts(measured))
    return Judgement(level, ceiling, urgency, starts, grade_reached, grade_before, tuple(notes))


def _lift_holds(lift: Lift, measured: Measured) -> bool:
    result = measured.result
    value, comparator = result.value, result.comparator
    assert value is not None
    if lift.fold is not None:
        return _rises(lift, lift.fold, measured)
    absolute: list[bool | None] = []
    if lift.at_most is not None:
        absolute.append(is_below(value, comparator, lift.at_most, strict=False))
    if lift.at_least is not None:
        absolute.append(is_above(value, comparator, lift.at_least, strict=False))
    if lift.above is not None:
        absolute.append(is_above(value, comparator, lift.above, strict=True))
    return some(*absolute) is True


def _rises(lift: Lift, fold: Decimal, measured: Measured) -> bool:
    """Against the newest comparable earlier value within the window; one above its measuring range gives no lift."""
    result = measured.result
    if measured.standing is Standing.TIME_DOUBTFUL or result.value is None:
        return False
    before = newest_comparable(measured.previous, result)
    if before is None or before.comparator in UPWARD or placed_at(result) - before.collected_at > lift.within:
        return False
    return is_above(result.value, result.comparator, fold * before.value, strict=False) is True


def _doubts(measured: Measured) -> Sequence[str]:
    """What a reader must know of the value before acting on it."""
    notes = []
    if measured.standing is Standing.TIME_DOUBTFUL:
        notes.append("collection-time-in-doubt")
    elif measured.standing is Standing.DOUBTFUL:
        notes.extend(measured.result.remarks or ("preliminary",))
    if measured.baseline is None:
        notes.append("no-baseline")
    elif measured.baseline.kind == "provisional":
        notes.append("provisional-baseline")
    return notes
