"""What happens to the patients of a simulated ward: a seeded list of events, each with the time it reaches us.

Law: the seed decides everything. Values move between baselines, rises and recoveries; transport repeats, delays and
reorders; laboratories correct, delete and send the preliminary first.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.detector.domain.values import (
    AdverseEventGraded,
    Analyte,
    Arm,
    BaselinePinned,
    Comparator,
    CycleRecorded,
    Enrolment,
    EpisodeClosed,
    Event,
    EventId,
    LabReport,
    LabResult,
    PatientRef,
    PatientStatus,
    Precision,
    ResultId,
)

BEGINNING = datetime(2026, 1, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
USUAL: dict[str, tuple[str, str | None, str]] = {
    "FERRITIN": ("80", "15", "150"),
    "ALT": ("25", None, "40"),
    "BILIRUBIN_TOTAL": ("12", None, "21"),
    "CREATININE": ("70", "45", "104"),
    "POTASSIUM": ("4.2", "3.5", "5.3"),
    "SODIUM": ("140", "137", "147"),
    "HEMOGLOBIN": ("140", "130", "175"),
    "PLATELETS": ("220", "125", "350"),
    "CALCIUM_TOTAL": ("2.3", "2.11", "2.52"),
    "ALBUMIN": ("44", "40", "55"),
    "CRP": ("3", None, "5"),
    "IL6": ("2", None, "7"),
}
GENTLE = frozenset({"POTASSIUM", "SODIUM", "HEMOGLOBIN", "CALCIUM_TOTAL", "ALBUMIN"})
FALLING = frozenset({"SODIUM", "HEMOGLOBIN", "PLATELETS", "ALBUMIN"})


@dataclass(frozen=True)
class Arrival:
    """An event and when it reaches the detector; a repeat has the content of another and an event id of its own."""

    at: datetime
    event: Event


class Patient:
    """The course of one patient, drawn from `rng`."""

    def __init__(self, number: int, rng: random.Random, days: int) -> None:
        self.ref = PatientRef(f"SIM0-0000-{number:05d}")
        self.rng = rng
        self.days = days
        self.number = 0
        self.severity = dict.fromkeys(USUAL, 1.0)

    def _id(self) -> EventId:
        self.number += 1
        return EventId(f"{self.ref}-{self.number}")

    def arrivals(self) -> list[Arrival]:
        """Return everything that reaches the detector about this patient, by time of arrival."""
        events = [*self._registry(), *self._draws(), *self._words()]
        arrivals = [Arrival(event.received_at, event) for event in events]
        arrivals.extend(self._repeats(arrivals))
        return sorted(arrivals, key=lambda arrival: (arrival.at, arrival.event.event_id))

    def _registry(self) -> Iterator[Event]:
        """Enrolment at the beginning or late, sometimes without a first dose, sometimes ending in a withdrawal."""
        rng = self.rng
        dose: datetime | None = BEGINNING + rng.randrange(0, 5) * DAY
        known = rng.random() < 0.85
        enrolled_at = BEGINNING - rng.choice([5, 1, -3]) * DAY
        arm = rng.choice(list(Arm))
        call = Enrolment(
            self._id(), self.ref, enrolled_at, PatientStatus.ENROLLED, arm, BEGINNING - 14 * DAY,
            first_dose_at=dose if known else None, birth_date_token="token-a",
        )  # fmt: skip
        yield call
        if not known and dose is not None and rng.random() < 0.7:
            yield CycleRecorded(self._id(), self.ref, dose + rng.randrange(1, 400) * HOUR, 1, dose)
        if rng.random() < 0.2:
            status = rng.choice([PatientStatus.COMPLETED, PatientStatus.WITHDRAWN, PatientStatus.DECEASED])
            left_at = BEGINNING + rng.randrange(20, max(21, self.days)) * DAY
            yield replace(call, event_id=self._id(), received_at=left_at, status=status, first_dose_at=dose)

    def _draws(self) -> Iterator[Event]:
        rng = self.rng
        moment = BEGINNING - 6 * DAY + rng.randrange(0, 48) * HOUR
        end = BEGINNING + self.days * DAY
        while moment < end:
            self._drift()
            yield from self._panel(moment)
            moment += rng.choice([2, 6, 24, 24, 48, 71, 72, 72, 73, 96, 168]) * HOUR

    def _drift(self) -> None:
        """Let some analytes rise, some recover."""
        for analyte in USUAL:
            chance = self.rng.random()
            if chance < 0.05:
                mild = analyte in GENTLE
                self.severity[analyte] = self.rng.choice([1.1, 1.3, 1.6] if mild else [1.4, 2.0, 3.1, 5.2, 9.0])
            elif chance < 0.30:
                self.severity[analyte] = 1.0

    def _panel(self, moment: datetime) -> Iterator[Event]:
        """One draw, as one message or split, with the mishaps of a laboratory."""
        rng = self.rng
        results = tuple(self._result(a, moment) for a in USUAL if rng.random() < (0.9 if a == "FERRITIN" else 0.5))
        if not results:
            return
        delay = rng.choice([1, 1, 1, 2, 5, 30, 90]) * HOUR + rng.randrange(0, 3600) * timedelta(seconds=1)
        parts = [results[::2], results[1::2]] if rng.random() < 0.3 else [results]
        for part in parts:
            if part:
                yield self._report(part, moment + delay)
                delay += rng.randrange(0, 7200) * timedelta(seconds=1)
        for result in results:
            yield from self._later_version(result, moment + delay)

    def _later_version(self, result: LabResult, since: datetime) -> Iterator[Event]:
        rng = self.rng
        chance = rng.random()
        when = since + rng.choice([1, 3, 20, 100]) * HOUR
        if result.status == "P":
            yield self._report((replace(result, status="F", resulted_at=when),), when)
        elif chance < 0.02 and result.value is not None:
            corrected = replace(
                result, status="C", value=result.value * Decimal(rng.choice(["0.4", "2.5"])), resulted_at=when
            )
            yield self._report((corrected,), when)
            if rng.random() < 0.4:
                yield self._report((replace(corrected, value=result.value, resulted_at=when + HOUR),), when + 2 * HOUR)
        elif chance < 0.03:
            yield self._report((replace(result, status=rng.choice("DWX"), value=None, resulted_at=when),), when)
        elif chance < 0.035 and result.collected_at is not None:
            moved = result.collected_at - rng.choice([3, 26]) * HOUR
            yield self._report(
                (replace(result, status="C", collected_at=moved, resulted_at=when,
                         result_id=ResultId(f"{result.result_id}-moved")),), when
            )  # fmt: skip

    def _result(self, analyte: str, moment: datetime) -> LabResult:
        rng = self.rng
        usual, low, high = USUAL[analyte]
        factor = Decimal(str(self.severity[analyte] * rng.choice([0.95, 1.0, 1.05])))
        value = (Decimal(usual) / factor if analyte in FALLING else Decimal(usual) * factor).quantize(Decimal("0.01"))
        doubt = rng.random()
        return LabResult(
            ResultId(f"{self.ref}|{analyte}|{moment.isoformat()}"), Analyte(analyte), value,
            None if doubt < 0.005 else "canonical", "P" if doubt > 0.93 else "F", moment, moment + HOUR, moment,
            Comparator.ABOVE if doubt > 0.99 else None, Decimal(low) if low else None,
            None if 0.02 < doubt < 0.03 else Decimal(high),
            Precision.DAY if 0.03 < doubt < 0.04 and moment.hour == 4 else Precision.SECOND,
            rng.choice([None, None, None, "SER", "PLAS"]) if doubt < 0.1 else None, None,
            ("haemolysed",) if 0.9 < doubt < 0.92 else ("time-suspect",) if 0.92 < doubt < 0.93 else (),
            order_key=f"{self.ref}|{analyte}|{moment.isoformat()}", source="simulated-lab",
        )  # fmt: skip

    def _report(self, results: tuple[LabResult, ...], received_at: datetime) -> LabReport:
        came = tuple(replace(result, received_at=received_at) for result in results)
        wrong = self.rng.random() < 0.003
        return LabReport(self._id(), self.ref, received_at, came, "token-b" if wrong else "token-a")

    def _words(self) -> Iterator[Event]:
        """Gradings, pins and closures by people."""
        rng = self.rng
        end = max(11, self.days)
        if rng.random() < 0.3:
            at = BEGINNING + rng.randrange(10, end) * DAY
            for grade in (rng.choice([1, 2, 3]), 1, 0):
                yield AdverseEventGraded(self._id(), self.ref, at + rng.randrange(1, 50) * HOUR, "AE-1", grade, at)
                at += rng.randrange(2, 15) * DAY
        if rng.random() < 0.1:
            at = BEGINNING + rng.randrange(10, end) * DAY
            yield BaselinePinned(self._id(), self.ref, at, Analyte("FERRITIN"), Decimal(rng.choice([60, 200])), "dr-a")
        for _ in range(rng.choice([0, 0, 1, 2])):
            at = BEGINNING + rng.randrange(10 * 24, end * 24) * HOUR
            yield EpisodeClosed(self._id(), self.ref, at + timedelta(seconds=2), at, "infection", "dr-a")

    def _repeats(self, arrivals: list[Arrival]) -> Iterator[Arrival]:
        """Some messages come again, by the same way (same event id) or another (a new one)."""
        for arrival in arrivals:
            if self.rng.random() < 0.05:
                later = arrival.at + self.rng.randrange(1, 200) * HOUR
                yield Arrival(later, arrival.event)
                if isinstance(arrival.event, LabReport):
                    results = tuple(replace(result, received_at=later) for result in arrival.event.results)
                    yield Arrival(
                        later, replace(arrival.event, event_id=self._id(), received_at=later, results=results)
                    )
