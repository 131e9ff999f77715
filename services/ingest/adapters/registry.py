"""Statements of the registry → events. Law: no identifier in an event; the same statement has the same id.

The id of an event is a hash of who said what about whom, so a call that is repeated is answered with the id it had.
Every call is published, with its own time of receipt: of A, B and A again the last call counts, and readers that keep
what they have seen keep it by id and time of receipt.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, TypeVar

from schemas.base import Message, Precision
from schemas.clinical_event_v1 import (
    AdverseEventGraded,
    BaselinePinned,
    ClinicalEvent,
    ConfounderRecorded,
    CycleRecorded,
    Enrolment,
)
from schemas.patient_v1 import Patient
from services.common.clock import Now
from services.common.identifiers import keyed_token, stable_id
from services.ingest.adapters.registry_bodies import (
    AdverseEventBody,
    BaselineBody,
    Body,
    ConfounderBody,
    CycleBody,
    Moment,
    PatientBody,
    Scalar,
)
from services.ingest.domain.tables import Tables
from services.ingest.domain.units import fold

EXACT = Context(prec=200)
EARLIEST = datetime.min.replace(tzinfo=UTC)
CLOCK_TICK = timedelta(microseconds=1)
CLOCK_SLEW = timedelta(seconds=1)
Event = TypeVar("Event", bound=ClinicalEvent)
Convert = Callable[[str, Decimal, str], tuple[Decimal, str]]
"""(analyte, value, unit as written) → value in the canonical unit and that unit. Raises ValueError for a person."""


def canonical(tables: Tables, analyte: str, value: Decimal, unit: str) -> tuple[Decimal, str]:
    """Return the value in the analyte's canonical unit. Raises ValueError with a sentence."""
    entry = tables.analytes.get(analyte)
    if entry is None:
        raise ValueError("is of an analyte that is not known")
    factor = entry.units.get(fold(unit))
    if factor is None:
        raise ValueError(f"is in a unit that cannot be converted to {entry.canonical_unit}")
    return EXACT.multiply(value, factor), entry.canonical_unit


class CallClock:
    """Gives each call a time of receipt that no earlier one has: of two calls the later one counts, by this time.

    A clock that is set back by a second does not put calls out of their order; set back by more, it is believed.
    """

    def __init__(self, now: Now) -> None:
        self._now = now
        self._last = EARLIEST

    def __call__(self) -> datetime:
        """Return the time of receipt of the call that is made now."""
        now = self._now()
        if now <= self._last <= now + CLOCK_SLEW:
            now = self._last + CLOCK_TICK
        self._last = now
        return now


@dataclass(frozen=True, slots=True)
class Subject:
    """Of whom a call speaks, who says it and when it came. `mrn` never leaves for another topic than `patients.v1`."""

    patient_ref: str
    authority: str
    mrn: str
    source: str
    received_at: datetime
    raw_ref: str

    def __repr__(self) -> str:
        return f"Subject({self.patient_ref})"


def _event(kind: type[Event], subject: Subject, **fields: Any) -> Event:  # noqa: ANN401 - pydantic checks them
    """Return an event whose id is a hash of who said what about whom; no identifier goes into it."""
    content = json.dumps(fields, sort_keys=True, default=str)
    name = str(kind.model_fields["kind"].default)
    return kind(
        event_id=stable_id(name, subject.source, subject.patient_ref, content),
        patient_ref=subject.patient_ref,
        source=subject.source,
        received_at=subject.received_at,
        raw_ref=subject.raw_ref,
        **fields,
    )


class Registrar:
    """Makes events of bodies; holds the site's key because birth date and sex travel as keyed tokens only."""

    def __init__(self, site_key: bytes, convert: Convert) -> None:
        self._site_key, self._convert = site_key, convert

    def messages(self, subject: Subject, name: int | str, body: Body) -> tuple[Message, ...]:
        """Return what the statement puts on the topics, the event last. Raises ValueError."""
        match body:
            case PatientBody():
                return self.patient(subject, body), self.enrolment(subject, body)
            case CycleBody():
                return (self.cycle(subject, int(name), body),)
            case AdverseEventBody():
                return (self.adverse_event(subject, str(name), body),)
            case ConfounderBody():
                return (self.confounder(subject, str(name), body),)
            case BaselineBody():
                return (self.baseline(subject, str(name), body),)
            case _:
                raise TypeError(type(body).__name__)

    def patient(self, subject: Subject, body: PatientBody) -> Patient:
        """Return who the patient is, for `patients.v1`."""
        return Patient(
            patient_ref=subject.patient_ref,
            assigning_authority=subject.authority,
            mrn=subject.mrn,
            study_id=body.study_id,
            name=body.name,
            birth_date=body.birth_date,
            sex=body.sex,
            ward=body.ward,
            language=body.language,
            arm=body.arm,
            status=body.status,
            updated_at=subject.received_at,
        )

    def enrolment(self, subject: Subject, body: PatientBody) -> Enrolment:
        """Return the registry's word on a patient, without identifiers."""
        return _event(
            Enrolment,
            subject,
            study_id=body.study_id,
            arm=body.arm,
            status=body.status,
            consented_at=_at(body.consented_at),
            consented_precision=_precision(body.consented_at),
            first_dose_at=_at(body.first_dose_at),
            first_dose_precision=_precision(body.first_dose_at),
            sex=body.sex,
            birth_date_token=self._token("birth-date", body.birth_date.isoformat() if body.birth_date else None),
            sex_token=self._token("sex", body.sex if body.sex in ("female", "male") else None),
            cycle_days=body.cycle_days,
            baseline_imaging_at=_at(body.baseline_imaging_at),
            screening=flat(body.screening or {}),
        )

    def _token(self, kind: str, text: str | None) -> str | None:
        return keyed_token(self._site_key, kind, text) if text else None

    def cycle(self, subject: Subject, n: int, body: CycleBody) -> CycleRecorded:
        """Return a treatment cycle."""
        return _event(
            CycleRecorded,
            subject,
            n=n,
            administered_at=body.administered_at.at,
            administered_precision=body.administered_at.precision,
            drugs=body.drugs,
            status=body.status,
        )

    def adverse_event(self, subject: Subject, adverse_event_id: str, body: AdverseEventBody) -> AdverseEventGraded:
        """Return one grading of an adverse event."""
        return _event(
            AdverseEventGraded,
            subject,
            adverse_event_id=adverse_event_id,
            term=body.term,
            organ=body.organ,
            grade=body.grade,
            graded_at=body.graded_at.at,
            graded_precision=body.graded_at.precision,
            assessor=body.assessor,
            attribution=body.attribution,
        )

    def confounder(self, subject: Subject, confounder_id: str, body: ConfounderBody) -> ConfounderRecorded:
        """Return something that may explain a finding otherwise."""
        return _event(
            ConfounderRecorded,
            subject,
            confounder_id=confounder_id,
            confounder=body.kind,
            at=body.at.at,
            at_precision=body.at.precision,
        )

    def baseline(self, subject: Subject, analyte: str, body: BaselineBody) -> BaselinePinned:
        """Return a pinned baseline in the canonical unit. Raises ValueError."""
        value, unit = self._convert(analyte, body.value, body.unit)
        return _event(
            BaselinePinned,
            subject,
            analyte=analyte,
            value=value,
            unit=unit,
            collected_at=body.collected_at.at,
            pinned_by=body.pinned_by,
            reason=body.reason,
        )


def _at(moment: Moment | None) -> datetime | None:
    return moment.at if moment else None


def _precision(moment: Moment | None) -> Precision:
    return moment.precision if moment else Precision.SECOND


def flat(screening: Mapping[str, Scalar | Mapping[str, Scalar]]) -> dict[str, Scalar]:
    """Return nested screening items under dotted names: {"serology": {"hbsag": ..}} becomes "serology.hbsag".

    Raises ValueError for an item that is named twice.
    """
    flattened: dict[str, Scalar] = {}
    for name, item in screening.items():
        items = (
            {f"{name}.{inner}": scalar for inner, scalar in item.items()} if isinstance(item, Mapping) else {name: item}
        )
        if items.keys() & flattened.keys():
            raise ValueError("names an item twice")
        flattened |= items
    return flattened
