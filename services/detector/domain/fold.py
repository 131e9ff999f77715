"""Add one moment to a patient's course: evaluate, let scopes open and end, count draws, judge recovery, hear people.

Law: within a moment accepted levels fall, clear watches end, flags open or join, recovery is judged; acts come last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.detector.domain.baseline import candidate_of, with_first, with_newest
from services.detector.domain.calcium import INVOLVED, SPAN
from services.detector.domain.closing import Closing, close
from services.detector.domain.episode import join_graded, recover, take_evaluations, take_flags
from services.detector.domain.evaluation import Recovered, Used, evaluate, is_before_dose
from services.detector.domain.facts import Moment, Record
from services.detector.domain.recovery import is_over
from services.detector.domain.results import Standing as Use
from services.detector.domain.results import limits_of, placed_at, standing_of
from services.detector.domain.rules import Rulebook
from services.detector.domain.state import THERE, Course, GradedEvent, GradedFlag, Phase
from services.detector.domain.statements import BaselineKind
from services.detector.domain.times import is_day
from services.detector.domain.values import AdverseEventGraded, EpisodeClosed, LabResult

SERIES_LENGTH = 6
MARKER_SERIES_LENGTH = 12
DRAWS_KEPT = 16
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Setting:
    """What does not change while a course is folded: the record, the rules, what closures found in their own time."""

    record: Record
    rules: Rulebook
    closings: dict[str, Closing]


def begin(course: Course, moments: Sequence[Moment], setting: Setting) -> None:
    """Look ahead on the day of the first dose: a bare date of that day lies before the dose, though it stands at noon.

    What was drawn after the dose that morning is compared with it.
    """
    dose_at = setting.record.dose_at
    if dose_at is None:
        return
    for moment in moments:
        if dose_at < moment.at <= dose_at + DAY:
            _keep_own(course, moment.at, [(result, standing_of(result)) for result in moment.results], setting)


def add(course: Course, moment: Moment, setting: Setting) -> None:
    """Add the next moment; moments come in order of time."""
    record, rules = setting.record, setting.rules
    if moment.results:
        used = [(result, standing_of(result)) for result in moment.results]
        usable = [result for result, use in used if use is Use.USABLE]
        _keep_own(course, moment.at, used, setting)
        evaluations, recovered = evaluate(course, moment, used, record, rules)
        flags = take_evaluations(course, evaluations.values(), frozenset(result.analyte for result in usable))
        take_flags(course, flags, moment.at, rules)
    else:
        recovered, usable, used = {}, [], []
    for grading in moment.gradings:
        _take_grading(course, grading, setting)
    if moment.results:
        _keep(course, moment, used, setting)
        _count_draw(course, moment, usable, rules)
        _companions(course, moment.at, used, rules)
    _judge_recovery(course, moment, recovered, rules)
    for act in moment.acts:
        if isinstance(act, EpisodeClosed):
            close(course, act, setting.closings[act.event_id], rules)
        elif (phase := course.open_phase()) is not None:
            course.phase = replace(phase, confirmed_at=act.at)


def _take_grading(course: Course, grading: AdverseEventGraded, setting: Setting) -> None:
    """Note a grading; one above what was accepted opens an episode or joins it (only after the first dose)."""
    name, at = grading.adverse_event_id, grading.graded_at
    old = course.events.get(name)
    worst = max(grading.grade, old.worst if old else 0)
    accepted, accepted_at = (old.accepted, old.accepted_at) if old else (0, None)
    if grading.grade < accepted:
        accepted, accepted_at = grading.grade, at
    course.events[name] = GradedEvent(grading.grade, at, worst, accepted, accepted_at)
    if not _is_graded_after_dose(grading, setting):
        return
    flag = GradedFlag(name, at, grading.grade, f"adverse-event|{name}|{at.isoformat()}")
    if course.log is not None and grading.grade:
        course.log.append(flag)
    if grading.grade > accepted:
        join_graded(course, flag, at, setting.rules)


def _is_graded_after_dose(grading: AdverseEventGraded, setting: Setting) -> bool:
    """A bare date equal to that of the dose counts as after it."""
    record, zone = setting.record, setting.rules.zone
    if record.dose_at is None:
        return False
    if record.dose_by_day or is_day(grading.graded_precision):
        return grading.graded_at.astimezone(zone).date() >= record.dose_at.astimezone(zone).date()
    return grading.graded_at > record.dose_at


def _keep(course: Course, moment: Moment, used: Sequence[Used], setting: Setting) -> None:
    """Keep what later moments compare with: baselines, previous values, when each analyte was last usable, series."""
    record, rules = setting.record, setting.rules
    at = moment.at
    early = record.dose_at is not None and at <= record.dose_at + rules.baseline.after_dose
    for result, use in used:
        if use is Use.NOTHING:
            continue
        _keep_point(course, result, at, use)
        if use is not Use.USABLE:
            continue
        analyte = result.analyte
        course.usable_at[analyte] = at
        if analyte in rules.looks_back:
            low, high = limits_of(result, rules.limits, record.sex)
            candidate = candidate_of(result, at, low, high, BaselineKind.NONE)
            course.previous[analyte] = with_newest(course.previous.get(analyte, ()), candidate)
        if early:
            _keep_provisional(course, result, at, setting)
    if course.calcium or any(result.analyte in INVOLVED for result in moment.results):
        kept = [old for old in course.calcium if at - placed_at(old) <= SPAN]
        new = [r for r in moment.results if r.analyte in INVOLVED and not r.result_id.endswith("~corrected")]
        course.calcium = (*kept, *new)


def _keep_own(course: Course, at: datetime, used: Sequence[Used], setting: Setting) -> None:
    """Keep candidates of the 28 days before the dose; a bare date of its day lies before results of the same moment."""
    record, rules = setting.record, setting.rules
    dose_at = record.dose_at
    if dose_at is None or not dose_at - rules.baseline.before_dose <= at <= dose_at + DAY:
        return
    for result, use in used:
        if use is Use.USABLE and is_before_dose(record, at, result, rules):
            low, high = limits_of(result, rules.limits, record.sex)
            own = candidate_of(result, at, low, high, BaselineKind.OWN)
            course.own[result.analyte] = with_newest(course.own.get(result.analyte, ()), own)


def _keep_provisional(course: Course, result: LabResult, at: datetime, setting: Setting) -> None:
    """Keep candidates of the 7 days after the dose; they apply to later moments only."""
    record, rules = setting.record, setting.rules
    if record.dose_at is None or at > record.dose_at + rules.baseline.after_dose:
        return
    if not is_before_dose(record, at, result, rules):
        low, high = limits_of(result, rules.limits, record.sex)
        provisional = candidate_of(result, at, low, high, BaselineKind.PROVISIONAL)
        kept = course.provisional.get(result.analyte, ())
        course.provisional[result.analyte] = with_first(kept, provisional)


def _keep_point(course: Course, result: LabResult, at: datetime, use: Use) -> None:
    assert result.value is not None
    length = MARKER_SERIES_LENGTH if result.analyte == "FERRITIN" else SERIES_LENGTH
    kept = course.series.get(result.analyte, ())
    course.series[result.analyte] = (
        *kept[1 - length :], (at, result.value, result.comparator or "", use is Use.USABLE),
    )  # fmt: skip


def _count_draw(course: Course, moment: Moment, usable: list[LabResult], rules: Rulebook) -> None:
    """A usable ferritin is a draw; further ones up to 2 h after its first belong to it."""
    marker = rules.retest.draw
    if not any(result.analyte == marker for result in usable):
        return
    at = moment.at
    single = course.single
    if single is not None and single.answered_at is None and at > single.first_at + rules.retest.draw_span:
        course.single = replace(single, answered_at=at)
    if course.draw_at is not None and at <= course.draw_at + rules.retest.draw_span:
        return
    course.draw_at = at
    phase = course.open_phase()
    if phase is None or at <= phase.after:
        return
    counts = phase.last_counted_at is None or at - phase.last_counted_at >= rules.recovery.counted_gap
    course.phase = replace(
        phase,
        draws=phase.draws + 1,
        counted=phase.counted + counts,
        last_counted_at=at if counts else phase.last_counted_at,
        drawn_at=(*phase.drawn_at[1 - DRAWS_KEPT :], at),
        panel=_panel({}, [near for near in course.nearby if near[1] >= at - rules.retest.draw_span]),
    )


def _panel(panel: dict[str, str], companions: Sequence[tuple[str, datetime, str]]) -> dict[str, str]:
    for analyte, _, status in companions:
        if panel.get(analyte) != THERE:
            panel[analyte] = status
    return panel


def _companions(course: Course, at: datetime, used: Sequence[Used], rules: Rulebook) -> None:
    """Remember what was reported around the draw, values or not, so that the panel's gaps can be told."""
    span = rules.retest.draw_span
    new = [(str(result.analyte), at, THERE if use is Use.USABLE else result.status) for result, use in used]
    course.nearby = (*(near for near in course.nearby if near[1] >= at - span), *new)
    phase = course.open_phase()
    if phase is not None and phase.drawn_at and at <= phase.drawn_at[-1] + span:
        course.phase = replace(phase, panel=_panel(dict(phase.panel), new))


def _judge_recovery(course: Course, moment: Moment, recovered: Recovered, rules: Rulebook) -> None:
    phase = course.open_phase()
    if phase is None or moment.at <= phase.after:
        return
    if recovered:
        phase = course.phase = replace(phase, runs=_runs(phase, recovered, moment.at))
    if is_over(course, phase, rules):
        recover(course, moment.at)


def _runs(phase: Phase, recovered: Recovered, at: datetime) -> dict[str, tuple[datetime, datetime]]:
    runs = dict(phase.runs)
    for analyte, verdict in recovered.items():
        if verdict is False:
            runs.pop(analyte, None)
        elif verdict:
            runs[analyte] = (runs[analyte][0] if analyte in runs else at, at)
    return runs
