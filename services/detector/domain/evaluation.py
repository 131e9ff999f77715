"""Evaluate every rule at one moment: judge each result by the rules its analyte drives, keep the worst (RULES.md 4.1).

Law: all results of a moment see what came before it, never each other's baselines.
"""

from collections.abc import Sequence
from datetime import datetime

from services.detector.domain.baseline import baseline_for
from services.detector.domain.facts import Moment, Record
from services.detector.domain.judging import Judgement, Measured, judge
from services.detector.domain.recovery import is_recovered
from services.detector.domain.results import UNCORRECTED, limits_of
from services.detector.domain.results import Standing as Use
from services.detector.domain.rules import CtcaeTerm, Rule, Rulebook
from services.detector.domain.state import Course, Evaluation, Evidence
from services.detector.domain.statements import Starts
from services.detector.domain.times import is_day, is_not_after, is_not_before
from services.detector.domain.values import LabResult, Precision

Recovered = dict[str, bool | None]
Used = tuple[LabResult, Use]
STRENGTH = {Starts.NOTHING: 0, Starts.SINGLE: 1, Starts.EVERY_3_DAYS: 2}


def is_before_dose(record: Record, at: datetime, result: LabResult, rules: Rulebook) -> bool:
    """Return whether a result is judged as one before the first dose: so it is where the dose is unknown."""
    dose_at = record.dose_at
    if dose_at is None:
        return True
    by_day = record.dose_by_day or is_day(result.collected_precision)
    return is_not_after(at, dose_at, by_day=by_day, zone=rules.zone)


def is_in_monitored_time(record: Record, at: datetime, result: LabResult, rules: Rulebook) -> bool:
    """Return whether a result was collected at or after the consent, else the first dose; both unknown: it was."""
    since, by_day = record.consented_at, record.consented_by_day
    if since is None:
        since, by_day = record.dose_at, record.dose_by_day
    if since is None:
        return True
    return is_not_before(at, since, by_day=by_day or is_day(result.collected_precision), zone=rules.zone)


def measure(course: Course, result: LabResult, use: Use, record: Record, rules: Rulebook, *, before: bool) -> Measured:
    """Put a result beside everything it is compared with."""
    low, high = limits_of(result, rules.limits, record.sex)
    analyte = result.analyte
    baseline = None
    if not before:
        baseline = baseline_for(
            result, record.pins.get(analyte), course.own.get(analyte, ()), course.provisional.get(analyte, ())
        )
    return Measured(result, use, low, high, baseline, course.previous.get(analyte, ()))


def evaluate(
    course: Course, moment: Moment, used: Sequence[Used], record: Record, rules: Rulebook
) -> tuple[dict[str, Evaluation], Recovered]:
    """Return the evaluations of the moment that matter, and what its results say about recovery.

    An evaluation that is clear and of a rule nobody has heard of is left out. Recovery is looked at only after the
    opening of an episode; per analyte: recovered, unrecovered (also in doubt), or neither.
    """
    evaluations: dict[str, Evaluation] = {}
    recovered: Recovered = {}
    phase = course.open_phase()
    looks_at_recovery = phase is not None and moment.at > phase.after
    usual: tuple[bool, bool] | None = None
    for result, use in used:
        if use is Use.NOTHING:
            continue
        if result.collected_precision is Precision.DAY:
            monitored, before = _place(record, moment.at, result, rules)
        else:
            if usual is None:
                usual = _place(record, moment.at, result, rules)
            monitored, before = usual
        if not monitored or (result.analyte not in rules.by_analyte and not looks_at_recovery):
            continue
        measured = measure(course, result, use, record, rules, before=before)
        judged: list[tuple[Rule, Judgement]] = []
        for rule in rules.by_analyte.get(result.analyte, ()):
            if UNCORRECTED in result.remarks and isinstance(rule, CtcaeTerm) and not rule.high:
                continue
            judgement = judge(rule, measured)
            judged.append((rule, judgement))
            _take(course, evaluations, rule, judgement, measured, moment.at, before=before)
        if looks_at_recovery:
            _note_recovery(recovered, measured, judged, rules)
    return evaluations, recovered


def _place(record: Record, at: datetime, result: LabResult, rules: Rulebook) -> tuple[bool, bool]:
    """Return (in monitored time, before the dose): the same for all results of a moment but those of a bare date."""
    return is_in_monitored_time(record, at, result, rules), is_before_dose(record, at, result, rules)


def _take(
    course: Course,
    evaluations: dict[str, Evaluation],
    rule: Rule,
    judgement: Judgement,
    measured: Measured,
    at: datetime,
    *,
    before: bool,
) -> None:
    rule_id = rule.routing.rule_id
    evaluation = evaluations.get(rule_id)
    if evaluation is None:
        if not judgement.ceiling and not _is_known(course, rule_id):
            return
        evaluation = Evaluation(rule_id, at, (measured.result.analyte,), before_dose=before)
        evaluations[rule_id] = evaluation
    elif measured.result.analyte not in evaluation.inputs and judgement.level:
        evaluation.inputs = tuple(sorted({*evaluation.inputs, measured.result.analyte}))
    if measured.standing is Use.USABLE:
        evaluation.any_usable = True
        evaluation.usable_level = max(evaluation.usable_level, judgement.level)
        evaluation.usable_ceiling = max(evaluation.usable_ceiling, judgement.ceiling)
    evaluation.ceiling = max(evaluation.ceiling, judgement.ceiling)
    if not judgement.level:
        return
    evaluation.before_dose = evaluation.before_dose and before
    if STRENGTH[judgement.starts] > STRENGTH[evaluation.starts]:
        evaluation.starts = judgement.starts
    if evaluation.evidence is None or _is_worse(judgement, evaluation):
        evaluation.evidence = _evidence(judgement, measured, at)
    evaluation.level = max(evaluation.level, judgement.level)
    evaluation.urgency = min(evaluation.urgency, judgement.urgency)


def _is_worse(judgement: Judgement, evaluation: Evaluation) -> bool:
    if judgement.level != evaluation.level:
        return judgement.level > evaluation.level
    return judgement.urgency < evaluation.urgency


def _is_known(course: Course, rule_id: str) -> bool:
    return rule_id in course.newest or rule_id in course.accepted or rule_id in course.standing


def _evidence(judgement: Judgement, measured: Measured, at: datetime) -> Evidence:
    return Evidence(
        measured.result, at, measured.low, measured.high, measured.baseline,
        judgement.grade, judgement.baseline_grade, judgement.notes,
    )  # fmt: skip


def _note_recovery(
    recovered: Recovered, measured: Measured, judged: list[tuple[Rule, Judgement]], rules: Rulebook
) -> None:
    """A result in doubt may break a run of recovered results; it never makes one."""
    verdict = is_recovered(measured, [j for rule, j in judged if isinstance(rule, CtcaeTerm)], rules.recovery)
    if verdict and measured.standing is not Use.USABLE:
        verdict = None
    analyte = measured.result.analyte
    if verdict is None:
        recovered.setdefault(analyte, None)
    elif recovered.get(analyte) is not False:
        recovered[analyte] = verdict
