"""Laws of the whole step on generated patients: what stands depends on the facts and the time, on nothing else."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.detector.domain.statements import Action, SayAlert
from services.detector.domain.values import (
    Analyte,
    Enrolment,
    Event,
    EventId,
    LabReport,
    LabResult,
    PatientStatus,
    ResultId,
)
from tests.simulation.watcher import Watcher, check_incremental
from tests.spec.bedside import LIMITS, REF, RULES, at

DOSE = at("5 Jan 09:00")
END = at("30 Jun")
HOUR = timedelta(hours=1)
FACTORS = ("0.5", "1", "1", "1", "1.6", "2", "3", "6", "25")
USUAL = {"FERRITIN": "80", "ALT": "30", "POTASSIUM": "4.2", "CREATININE": "70"}


@dataclass(frozen=True)
class Drawn:
    """One draw: hours since the draw before, and a factor per analyte."""

    gap: int
    factors: tuple[tuple[str, str], ...]
    status: str


draws = st.lists(
    st.builds(
        Drawn,
        st.sampled_from([1, 2, 24, 48, 72, 73, 168, 800]),
        st.lists(
            st.tuples(st.sampled_from(sorted(USUAL)), st.sampled_from(FACTORS)),
            min_size=1, max_size=4, unique_by=lambda pair: pair[0],
        ).map(tuple),
        st.sampled_from(["F", "F", "F", "P"]),
    ),
    min_size=1, max_size=10,
)  # fmt: skip


def _enrolment() -> Enrolment:
    return Enrolment(
        EventId("enrolment"), REF, DOSE - 10 * 24 * HOUR, PatientStatus.ENROLLED, first_dose_at=DOSE,
        consented_at=DOSE - 20 * 24 * HOUR,
    )  # fmt: skip


def _results(drawn: Drawn, moment: datetime) -> tuple[LabResult, ...]:
    received_at = moment + HOUR
    made = []
    for analyte, factor in drawn.factors:
        low, high = LIMITS[analyte]
        value = Decimal(USUAL[analyte]) * (
            Decimal(factor) if analyte != "POTASSIUM" else min(Decimal(factor), Decimal(2))
        )
        made.append(
            LabResult(
                ResultId(f"{analyte}|{moment.isoformat()}"), Analyte(analyte), value, "canonical", drawn.status, moment,
                received_at, received_at, None, Decimal(low) if low else None, Decimal(high) if high else None,
                order_key=f"{analyte}|{moment.isoformat()}",
            )
        )  # fmt: skip
    return tuple(made)


def _reports(patient: Sequence[Drawn]) -> list[LabReport]:
    moment = DOSE - 5 * 24 * HOUR
    reports = []
    for number, drawn in enumerate(patient):
        moment += drawn.gap * HOUR
        results = _results(drawn, moment)
        reports.append(LabReport(EventId(f"report-{number}"), REF, moment + HOUR, results))
    return reports


def _after(events: Sequence[Event], now: datetime = END) -> Watcher:
    watcher = Watcher(RULES)
    for event in events:
        watcher.take([event], now)
    watcher.pass_time(now)
    return watcher


@given(draws, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(patient: list[Drawn], rng: random.Random) -> None:
    events: list[Event] = [_enrolment(), *_reports(patient)]
    shuffled = rng.sample(events, len(events))
    assert _after(shuffled).outcome() == _after(events).outcome()


@given(draws, st.randoms(use_true_random=False))
def test_the_same_content_again_says_nothing(patient: list[Drawn], rng: random.Random) -> None:
    reports = _reports(patient)
    watcher = _after([_enrolment(), *reports])
    said = watcher.said, watcher.last_plan_seq
    again = rng.choice(reports)
    watcher.take([again], END)
    watcher.take([replace(again, event_id=EventId("again"))], END)
    assert (watcher.said, watcher.last_plan_seq) == said


@given(draws)
def test_a_report_split_into_single_results_stands_the_same(patient: list[Drawn]) -> None:
    reports = _reports(patient)
    single: list[Event] = [
        replace(report, event_id=EventId(f"{report.event_id}-{number}"), results=(result,))
        for report in reports
        for number, result in enumerate(report.results)
    ]
    assert _after([_enrolment(), *single]).outcome() == _after([_enrolment(), *reports]).outcome()


@given(draws)
def test_reports_merged_into_one_stand_the_same(patient: list[Drawn]) -> None:
    reports = _reports(patient)
    merged = replace(reports[-1], results=tuple(result for report in reports for result in report.results))
    assert _after([_enrolment(), merged]).outcome() == _after([_enrolment(), *reports]).outcome()


@given(draws)
def test_step_by_step_equals_folding_everything(patient: list[Drawn]) -> None:
    watcher = Watcher(RULES)
    watcher.take([_enrolment()], DOSE - 10 * 24 * HOUR)
    for report in _reports(patient):
        watcher.pass_time(report.received_at)
        watcher.take([report], report.received_at)
        check_incremental(watcher, report.received_at)
    assert watcher.refolds == 0


@given(draws, st.integers(2, 40))
def test_asking_the_time_more_often_says_nothing_more(patient: list[Drawn], polls: int) -> None:
    seldom, often = Watcher(RULES), Watcher(RULES)
    before = DOSE - 10 * 24 * HOUR
    for watcher in (seldom, often):
        watcher.take([_enrolment()], before)
    for report in _reports(patient):
        for number in range(polls):
            often.outage_until(before + (report.received_at - before) * number / polls)
        often.pass_time(report.received_at)
        seldom.pass_time(report.received_at)
        for watcher in (seldom, often):
            watcher.take([report], report.received_at)
        before = report.received_at
    assert (often.outcome(), often.said) == (seldom.outcome(), seldom.said)


@given(draws, st.data())
def test_a_correction_back_restores_what_stood(patient: list[Drawn], data: st.DataObject) -> None:
    reports = _reports(patient)
    stood = _after([_enrolment(), *reports])
    report = data.draw(st.sampled_from(reports))
    result = replace(report.results[0], status="F" if report.results[0].status == "P" else "C")
    if result.status == "F":
        return
    assert result.value is not None
    wrong = replace(
        result,
        value=result.value * data.draw(st.sampled_from([Decimal("0.3"), Decimal(7)])),
        resulted_at=END - 2 * HOUR,
    )
    back = replace(result, resulted_at=END - HOUR)
    corrections = [
        replace(report, event_id=EventId(f"correction-{number}"), results=(version,))
        for number, version in enumerate((wrong, back))
    ]
    assert _after([_enrolment(), *reports, *corrections]).outcome() == stood.outcome()


@given(draws, st.integers(1, 3000))
def test_after_an_outage_each_due_item_fires_once(patient: list[Drawn], hours: int) -> None:
    watcher = Watcher(RULES)
    watcher.take([_enrolment(), *_reports(patient)], END)
    plans = watcher.last_plan_seq
    watcher.outage_until(END + hours * HOUR)
    assert watcher.last_plan_seq - plans <= 2
    assert watcher.active() == [] or watcher.active()[0].status in ("scheduled", "due", "overdue")


@settings(max_examples=30)
@given(draws)
def test_leaving_the_trial_clears_everything(patient: list[Drawn]) -> None:
    watcher = _after([_enrolment(), *_reports(patient)])
    left = replace(_enrolment(), event_id=EventId("left"), received_at=END, status=PatientStatus.WITHDRAWN)
    decision = watcher.take([left], END)
    assert decision is not None
    assert watcher.standing == {}
    assert watcher.active() == []
    said = [effect.alert.action for effect in decision.effects if isinstance(effect, SayAlert)]
    assert set(said) <= {Action.CLEARED}
