"""What is known of a patient, made from events in any order: the record, and the moments of the course.

Law: order-free. The last call received counts, the current version of a result counts, and what is collected, graded
or received after `now` does not exist yet. A report that contradicts the registry is not a fact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from services.detector.domain.baseline import Baseline
from services.detector.domain.calcium import with_corrected_calcium
from services.detector.domain.results import placed_at
from services.detector.domain.statements import BaselineKind
from services.detector.domain.values import (
    AdverseEventGraded,
    Arm,
    BaselinePinned,
    CycleRecorded,
    Enrolment,
    EpisodeClosed,
    EpisodeConfirmed,
    Event,
    LabReport,
    LabResult,
    PatientStatus,
    Precision,
    Sex,
)
from services.detector.domain.versions import by_result, current_versions, may_move

Act = EpisodeClosed | EpisodeConfirmed
Called = TypeVar("Called", Enrolment, CycleRecorded, AdverseEventGraded, BaselinePinned)


@dataclass(frozen=True, slots=True)
class Record:
    """What the registry says now. `dose_at`: the first dose, else the earliest given cycle."""

    status: PatientStatus | None = None
    arm: Arm | None = None
    consented_at: datetime | None = None
    consented_by_day: bool = False
    dose_at: datetime | None = None
    dose_by_day: bool = False
    sex: Sex = Sex.UNKNOWN
    birth_date_token: str | None = None
    sex_token: str | None = None
    pins: dict[str, Baseline] = field(default_factory=dict)

    def is_monitored(self) -> bool:
        """Return whether anything may stand for this patient (RULES.md 4.2)."""
        return self.status in (PatientStatus.ENROLLED, PatientStatus.COMPLETED)

    def contradicts(self, report: LabReport) -> bool:
        """Return whether the report names another birth date or sex than the registry."""
        return _differs(self.birth_date_token, report.birth_date_token) or _differs(self.sex_token, report.sex_token)


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything that has one and the same clinical time. Acts come last."""

    at: datetime
    results: tuple[LabResult, ...] = ()
    gradings: tuple[AdverseEventGraded, ...] = ()
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """`next_at`: the earliest time of something known that lies after `now`."""

    record: Record
    moments: tuple[Moment, ...]
    newest_versions: tuple[LabResult, ...]
    conflicting: tuple[LabReport, ...]
    next_at: datetime | None
    corrected_orders: tuple[str, ...]


def _differs(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _last(calls: Iterable[Called]) -> Called | None:
    return max(calls, key=lambda call: (call.received_at, call.event_id), default=None)


def _last_per(calls: Iterable[tuple[object, Called]]) -> list[Called]:
    kept: dict[object, Called] = {}
    for key, call in calls:
        old = kept.get(key)
        if old is None or (call.received_at, call.event_id) > (old.received_at, old.event_id):
            kept[key] = call
    return list(kept.values())


def record_of(events: Sequence[Event], now: datetime) -> Record:
    """Return what the registry calls among `events` (received by `now`) say together."""
    known = [event for event in events if event.received_at <= now]
    pins = {
        str(pin.analyte): Baseline(BaselineKind.PINNED, pin.value, pin.collected_at)
        for pin in _last_per((pin.analyte, pin) for pin in known if isinstance(pin, BaselinePinned))
    }
    enrolment = _last(event for event in known if isinstance(event, Enrolment))
    if enrolment is None:
        return Record(pins=pins)
    dose_at, dose_by_day = enrolment.first_dose_at, enrolment.first_dose_precision is Precision.DAY
    cycle = None if dose_at is not None else _first_given_cycle(known, now)
    if cycle is not None:
        dose_at, dose_by_day = cycle.administered_at, cycle.administered_precision is Precision.DAY
    return Record(
        status=enrolment.status, arm=enrolment.arm, consented_at=enrolment.consented_at,
        consented_by_day=enrolment.consented_precision is Precision.DAY, dose_at=dose_at, dose_by_day=dose_by_day,
        sex=enrolment.sex, birth_date_token=enrolment.birth_date_token, sex_token=enrolment.sex_token, pins=pins,
    )  # fmt: skip


def _first_given_cycle(known: Sequence[Event], now: datetime) -> CycleRecorded | None:
    cycles = _last_per((event.n, event) for event in known if isinstance(event, CycleRecorded))
    given = [cycle for cycle in cycles if cycle.given and cycle.administered_at <= now]
    return min(given, key=lambda cycle: (cycle.administered_at, cycle.n), default=None)


def facts_of(events: Sequence[Event], now: datetime) -> Facts:
    """Return everything that `events` establish at `now`."""
    record = record_of(events, now)
    reports = [event for event in events if isinstance(event, LabReport)]
    conflicting = tuple(report for report in reports if record.contradicts(report))
    versions = [
        result
        for report in reports
        if report.received_at <= now and not record.contradicts(report)
        for result in report.results
    ]
    results = standing_results(versions)
    moments = _moments(results, _gradings(events, now), _acts(events), now)
    later = [at for at in _times(events, results, record) if at > now]
    return Facts(
        record,
        moments,
        _newest_versions(moments, versions),
        conflicting,
        min(later, default=None),
        _corrected_orders(versions),
    )


def _corrected_orders(versions: Iterable[LabResult]) -> tuple[str, ...]:
    return tuple(sorted({v.order_key for v in versions if v.order_key is not None and may_move(v)}))


def standing_results(versions: Sequence[LabResult]) -> list[LabResult]:
    """Return the current version of every result."""
    if len({version.result_id for version in versions}) == len(versions) and not _corrected_orders(versions):
        return list(versions)
    standing: list[LabResult] = []
    for group in by_result(versions).values():
        if len(group) == 1 and not (group[0].status == "C" and group[0].value is None):
            standing.append(group[0])
        else:
            standing.extend(current_versions(group))
    return standing


def _newest_versions(moments: Sequence[Moment], versions: Sequence[LabResult]) -> tuple[LabResult, ...]:
    """All versions behind the results of the newest moment: what a second report of it needs."""
    if not moments:
        return ()
    names = {result.result_id for result in moments[-1].results}
    groups = by_result(versions).values()
    return tuple(version for group in groups if any(v.result_id in names for v in group) for version in group)


def _gradings(events: Sequence[Event], now: datetime) -> list[AdverseEventGraded]:
    known = (e for e in events if isinstance(e, AdverseEventGraded) and e.received_at <= now)
    return _last_per(((grading.adverse_event_id, grading.graded_at), grading) for grading in known)


def _acts(events: Sequence[Event]) -> list[Act]:
    return [event for event in events if isinstance(event, EpisodeClosed | EpisodeConfirmed)]


def _moments(
    results: Sequence[LabResult], gradings: Sequence[AdverseEventGraded], acts: Sequence[Act], now: datetime
) -> tuple[Moment, ...]:
    at: dict[datetime, list[LabResult | AdverseEventGraded | Act]] = {}
    for result in results:
        at.setdefault(placed_at(result), []).append(result)
    for grading in gradings:
        at.setdefault(grading.graded_at, []).append(grading)
    for act in acts:
        at.setdefault(act.at, []).append(act)
    moments = [_moment(time, things) for time, things in sorted(at.items(), key=lambda item: item[0]) if time <= now]
    return with_corrected_calcium(moments)


def _moment(time: datetime, things: Sequence[LabResult | AdverseEventGraded | Act]) -> Moment:
    return Moment(
        time,
        in_order(thing for thing in things if isinstance(thing, LabResult)),
        tuple(sorted((t for t in things if isinstance(t, AdverseEventGraded)), key=lambda grading: grading.event_id)),
        tuple(
            sorted((t for t in things if isinstance(t, EpisodeClosed | EpisodeConfirmed)), key=lambda act: act.event_id)
        ),
    )


def in_order(results: Iterable[LabResult]) -> tuple[LabResult, ...]:
    """Return the results of one moment in an order that does not depend on arrival."""
    return tuple(sorted(results, key=lambda result: result.result_id))


def _times(events: Sequence[Event], results: Sequence[LabResult], record: Record) -> Iterable[datetime]:
    yield from (event.received_at for event in events)
    yield from (placed_at(result) for result in results)
    for event in events:
        match event:
            case AdverseEventGraded():
                yield event.graded_at
            case EpisodeClosed() | EpisodeConfirmed():
                yield event.at
            case CycleRecorded() if record.dose_at is None or record.dose_at > event.administered_at:
                yield event.administered_at
            case _:
                pass


def received_by(events: Sequence[Event], at: datetime) -> list[Event]:
    """Return the events known at `at`; an act is known at its own time."""
    return [event for event in events if event.received_at <= at and not isinstance(event, EpisodeClosed)]
