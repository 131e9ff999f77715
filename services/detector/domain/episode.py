"""Scopes: how flags open, join and end watches and episodes, and what people have accepted (RULES.md 4.3 to 4.5).

Law: while an episode is open there are no watches; a scope that is over has no standing alerts; nothing closes an
episode silently.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from services.detector.domain.rules import Rulebook
from services.detector.domain.state import (
    Accepted,
    Course,
    Evaluated,
    Evaluation,
    GradedFlag,
    Phase,
    ScopeEnd,
    Single,
    Standing,
)
from services.detector.domain.statements import Mode, Starts, Urgency

CLEARED = "clear"
RECOVERED = "recovered"


class Scope(StrEnum):
    """Where a patient's flags live. A watch is per rule, an episode per patient."""

    NONE = "none"
    WATCH = "watch"
    EPISODE = "episode"


class Cause(StrEnum):
    """What moves a patient between scopes."""

    FLAG = "flag that starts nothing, or a single repeat"
    STARTING_FLAG = "flag that starts the 3-day cadence"
    ADVERSE_EVENT = "adverse event graded above what was accepted"
    CLEAR = "clear result, every input remeasured"
    RECOVERED = "recovery"
    CLOSED = "closure by a named person"
    LEFT = "death or withdrawal"


TRANSITIONS: Mapping[Scope, Mapping[Cause, Scope]] = {
    Scope.NONE: {
        Cause.FLAG: Scope.WATCH,
        Cause.STARTING_FLAG: Scope.EPISODE,
        Cause.ADVERSE_EVENT: Scope.EPISODE,
    },
    Scope.WATCH: {
        Cause.FLAG: Scope.WATCH,
        Cause.STARTING_FLAG: Scope.EPISODE,
        Cause.ADVERSE_EVENT: Scope.EPISODE,
        Cause.CLEAR: Scope.NONE,
        Cause.CLOSED: Scope.NONE,
        Cause.LEFT: Scope.NONE,
    },
    Scope.EPISODE: {
        Cause.FLAG: Scope.EPISODE,
        Cause.STARTING_FLAG: Scope.EPISODE,
        Cause.ADVERSE_EVENT: Scope.EPISODE,
        Cause.RECOVERED: Scope.NONE,
        Cause.CLOSED: Scope.NONE,
        Cause.LEFT: Scope.NONE,
    },
}


def take_evaluations(course: Course, evaluations: Iterable[Evaluation], remeasured: frozenset[str]) -> list[Evaluation]:
    """Let accepted levels fall and clear watches end, and return the flags of the moment.

    `remeasured`: analytes with a usable result at this very moment.
    """
    flags: list[Evaluation] = []
    for evaluation in evaluations:
        if course.log is not None and evaluation.level:
            course.log.append(evaluation)
        if not evaluation.level and evaluation.ceiling:
            continue
        _remember(course, evaluation)
        usable = evaluation.is_usable()
        if usable:
            _lower_accepted(course, evaluation, remeasured)
            if not evaluation.level:
                _end_clear_watch(course, evaluation, remeasured)
        if is_flag(course, evaluation):
            flags.append(evaluation)
    return flags


def _remember(course: Course, evaluation: Evaluation) -> None:
    rule_id = evaluation.rule_id
    if evaluation.level:
        course.newest[rule_id] = Evaluated(evaluation.level, evaluation.at, evaluation.starts, evaluation.inputs)
    else:
        course.newest.pop(rule_id, None)


def _since(course: Course, inputs: Sequence[str], since: datetime, remeasured: frozenset[str]) -> bool:
    """Return whether every input has been measured usably since then."""
    return all(
        analyte in remeasured or (analyte in course.usable_at and course.usable_at[analyte] > since)
        for analyte in inputs
    )


def _lower_accepted(course: Course, evaluation: Evaluation, remeasured: frozenset[str]) -> None:
    accepted = course.accepted.get(evaluation.rule_id)
    if accepted is None or evaluation.level >= accepted.level or evaluation.ceiling > evaluation.level:
        return
    if evaluation.at <= accepted.at or not _since(course, accepted.inputs, accepted.at, remeasured):
        return
    if evaluation.level:
        course.accepted[evaluation.rule_id] = Accepted(evaluation.level, evaluation.at, evaluation.inputs)
    else:
        del course.accepted[evaluation.rule_id]


def _end_clear_watch(course: Course, evaluation: Evaluation, remeasured: frozenset[str]) -> None:
    standing = course.standing.get(evaluation.rule_id)
    if standing is None or course.open_phase() is not None or evaluation.at <= standing.last_at:
        return
    if _since(course, standing.inputs, standing.last_at, remeasured):
        end_watch(course, evaluation.rule_id, ScopeEnd(evaluation.at, CLEARED))
        course.accepted.pop(evaluation.rule_id, None)


def end_watch(course: Course, rule_id: str, end: ScopeEnd) -> None:
    """End the watch of one rule."""
    course.standing.pop(rule_id, None)
    course.ended[rule_id] = end
    if course.single is not None and course.single.rule_id == rule_id and course.single.ended is None:
        course.single = replace(course.single, ended=end)


def is_flag(course: Course, evaluation: Evaluation) -> bool:
    """Return whether an evaluation in monitored time may stand: above what is accepted; before the dose only P1."""
    accepted = course.accepted.get(evaluation.rule_id)
    if evaluation.level <= (accepted.level if accepted is not None else 0):
        return False
    if evaluation.before_dose:
        return evaluation.urgency is Urgency.P1 and not evaluation.rule_id.startswith("ferritin.")
    return True


def take_flags(course: Course, flags: Sequence[Evaluation], at: datetime, rules: Rulebook) -> None:
    """Let the flags of one moment open an episode, join the open one, or stand in watches."""
    if not flags:
        return
    starting = sorted((flag for flag in flags if _is_starting(flag, rules)), key=lambda flag: flag.rule_id)
    if starting and course.open_phase() is None:
        evidence = starting[0].evidence
        assert evidence is not None
        key = f"{starting[0].rule_id}|{evidence.result.result_id}"
        open_phase(course, at, at + rules.retest.draw_span, key, rules)
    for flag in flags:
        _stand(course, flag, at)
    if starting:
        _note_starters(course, starting)
    elif course.open_phase() is None:
        _ask_once(course, flags, rules)


def _is_starting(flag: Evaluation, rules: Rulebook) -> bool:
    live = rules.rules[flag.rule_id].routing.mode is Mode.LIVE
    return live and flag.starts is Starts.EVERY_3_DAYS and not flag.before_dose


def open_phase(course: Course, at: datetime, after: datetime, key: str, rules: Rulebook) -> None:
    """Open an episode, or re-open the last one if it ended no more than 720 h ago."""
    last = course.phase
    if last is None:
        course.phase = Phase(key, 1, 1, at, after)
    elif last.ended is not None and at - last.ended.at <= rules.retest.relapse:
        course.phase = Phase(last.key, last.ordinal, last.number + 1, at, after)
    else:
        course.phase = Phase(key, last.ordinal + 1, 1, at, after)
    single = course.single
    if single is not None and single.ended is None:
        course.single = replace(single, ended=ScopeEnd(at, "replaced"))


def _stand(course: Course, flag: Evaluation, at: datetime) -> None:
    evidence = flag.evidence
    assert evidence is not None
    old = course.standing.get(flag.rule_id)
    if old is None:
        course.standing[flag.rule_id] = Standing(
            flag.rule_id, flag.level, flag.urgency, flag.at, evidence.result.result_id, at, flag.inputs, evidence
        )
        return
    worse = flag.level > old.level or (flag.level == old.level and flag.urgency < old.urgency)
    earlier = flag.at < old.first_at
    course.standing[flag.rule_id] = Standing(
        flag.rule_id,
        max(old.level, flag.level),
        min(old.urgency, flag.urgency),
        flag.at if earlier else old.first_at,
        evidence.result.result_id if earlier else old.first_result,
        at,
        old.inputs if flag.inputs == old.inputs else tuple(sorted({*old.inputs, *flag.inputs})),
        evidence if worse else old.evidence,
    )


def _note_starters(course: Course, starting: Sequence[Evaluation]) -> None:
    phase = course.phase
    assert phase is not None
    starters = {*phase.starters, *(flag.rule_id for flag in starting)}
    inputs = {*phase.inputs, *(analyte for flag in starting for analyte in flag.inputs)}
    if len(starters) > len(phase.starters) or len(inputs) > len(phase.inputs):
        course.phase = replace(phase, starters=tuple(sorted(starters)), inputs=tuple(sorted(inputs)))


def _ask_once(course: Course, flags: Sequence[Evaluation], rules: Rulebook) -> None:
    """One repeat per watch of the ferritin rule."""
    rule_id = rules.retest.single_rule
    standing = course.standing.get(rule_id)
    if standing is None or not any(flag.rule_id == rule_id for flag in flags):
        return
    if course.single is None or course.single.ended is not None:
        course.single = Single(rule_id, standing.first_at, standing.first_result)


def join_graded(course: Course, flag: GradedFlag, at: datetime, rules: Rulebook) -> None:
    """Let an adverse event open an episode at `at` or join the open one."""
    if course.open_phase() is None:
        open_phase(course, at, at, flag.key, rules)
    phase = course.phase
    assert phase is not None
    if flag.adverse_event_id not in phase.adverse_events:
        names = tuple(sorted({*phase.adverse_events, flag.adverse_event_id}))
        course.phase = replace(phase, adverse_events=names)


def end_phase(course: Course, end: ScopeEnd, accepted: Mapping[str, Evaluated], graded: Mapping[str, int]) -> None:
    """End the open phase, if any; its alerts clear and what stood last is accepted, rules and adverse events alike."""
    for rule_id in course.standing:
        course.ended[rule_id] = end
    course.standing.clear()
    course.accepted = {name: Accepted(last.level, last.at, last.inputs) for name, last in accepted.items()}
    course.events = {
        name: replace(event, accepted=graded.get(name, 0), accepted_at=end.at) for name, event in course.events.items()
    }
    course.phase_ended = end
    if course.phase is not None and course.phase.ended is None:
        course.phase = replace(course.phase, ended=end)


def recover(course: Course, at: datetime) -> None:
    """End the open phase by recovery."""
    grades = {name: event.grade for name, event in course.events.items()}
    end_phase(course, ScopeEnd(at, RECOVERED), course.newest, grades)
