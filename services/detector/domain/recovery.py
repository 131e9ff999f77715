"""When a result is recovered, and when a phase of an episode is over (RULES.md 5).

Law: nothing recovers by silence. An analyte that is never remeasured keeps the episode open.
"""

from collections.abc import Sequence

from services.detector.domain.baseline import fold_base
from services.detector.domain.intervals import is_above, is_below, some
from services.detector.domain.judging import Judgement, Measured
from services.detector.domain.rules import RecoveryRules, Rulebook
from services.detector.domain.state import Course, GradedEvent, Phase
from services.detector.domain.statements import Starts


def is_recovered(measured: Measured, terms: Sequence[Judgement], rules: RecoveryRules) -> bool | None:
    """Return whether a result is recovered; None: it cannot be said, or nothing is laid down for its analyte."""
    if measured.result.analyte in rules.ranged:
        return _by_limits(measured, rules)
    if measured.result.analyte == "FERRITIN":
        return _by_ferritin(measured, rules)
    return _by_terms(terms, censored=measured.result.comparator is not None)


def _by_terms(terms: Sequence[Judgement], *, censored: bool) -> bool | None:
    """For each CTCAE term grade <= 1 or <= the baseline grade, which is a level of at most 1.

    A bound such as `<50` may leave open whether it is grade 0 or 1; whatever it stands for is recovered all the same.
    """
    if any(term.level > 1 for term in terms):
        return False
    if not terms:
        return None
    if censored:
        return True if all(term.ceiling <= 1 for term in terms) else None
    return True if all(term.level == term.ceiling for term in terms) else None


def _by_ferritin(measured: Measured, rules: RecoveryRules) -> bool | None:
    """At most the ULN or at most 1.5 x baseline; either limit missing: the other decides."""
    value, comparator = measured.result.value, measured.result.comparator
    assert value is not None
    base = fold_base(measured.baseline)
    if measured.high is None and base is None:
        return None
    limits = [limit for limit in (measured.high, None if base is None else rules.fold * base) if limit is not None]
    return some(*(is_below(value, comparator, limit, strict=False) for limit in limits))


def _by_limits(measured: Measured, rules: RecoveryRules) -> bool | None:
    """Within the limits sent (one must be there), or above the ULN by no more than 1.5 x baseline."""
    value, comparator = measured.result.value, measured.result.comparator
    assert value is not None
    low, high = measured.low, measured.high
    if low is None and high is None:
        return None
    if low is not None and (below := is_below(value, comparator, low, strict=True)) is not False:
        return None if below is None else False
    if high is None:
        return True
    inside = is_below(value, comparator, high, strict=False)
    base = fold_base(measured.baseline)
    if inside or base is None:
        return inside
    over = is_above(value, comparator, high, strict=True)
    near = is_below(value, comparator, rules.fold * base, strict=False)
    return some(inside, near if over is not False else None)


def is_event_recovered(event: GradedEvent) -> bool:
    """Return whether an adverse event of the registry is over: grade 0, or 1 after a grade of 2 or more."""
    return event.grade == 0 or (event.grade == 1 and event.worst > 1)


def recovery_set(phase: Phase) -> tuple[str, ...]:
    """Return the analytes that must have recovered, sorted."""
    return tuple(sorted({"FERRITIN", *phase.inputs}))


def is_over(course: Course, phase: Phase, rules: Rulebook) -> bool:
    """Return whether the three conditions of recovery hold at the moment just added."""
    recovery = rules.recovery
    if phase.counted < recovery.minimum_draws:
        return False
    for analyte in recovery_set(phase):
        run = phase.runs.get(analyte)
        if run is None or run[1] - run[0] < recovery.run:
            return False
    if any(_still_starts(course, rule_id) for rule_id in phase.starters):
        return False
    return all(is_event_recovered(course.events[name]) for name in phase.adverse_events)


def _still_starts(course: Course, rule_id: str) -> bool:
    newest = course.newest.get(rule_id)
    return newest is not None and newest.starts is Starts.EVERY_3_DAYS
