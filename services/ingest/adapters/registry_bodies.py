"""What bodies the registry API takes. Law: strict; what is not understood is refused by its field's name.

A bare date means that day, 12:00 in the site's zone, with precision `day`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
)

from schemas.base import Precision
from schemas.clinical_event_v1 import Arm, Attribution, ConfounderKind, PatientStatus, Sex
from services.ingest.adapters.tokens import Grant

BARE_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
INSTANT = re.compile(
    BARE_DATE.pattern + r"[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
SAY_WHEN = "must be a date (2026-01-31) or a time with its offset (2026-01-31T08:30:00+08:00)"
NOON = time(12)
EARLIEST_YEAR = 1900
LATEST_YEAR = 9998
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INSTANT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def _without_controls(text: str) -> str:
    """Databases take no NUL, and nobody means a control character."""
    if CONTROLS.search(text):
        raise ValueError("must not hold control characters")
    return text


Printed = Annotated[str, AfterValidator(_without_controls)]
Text = Annotated[Printed, Field(min_length=1, max_length=200, pattern=r"\S")]
Scalar = Printed | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in UTC and how exactly it was stated."""

    at: datetime
    precision: Precision


def _moment(given: object, info: ValidationInfo) -> Moment:
    if not isinstance(given, str):
        raise ValueError(SAY_WHEN)  # noqa: TRY004 - pydantic takes ValueError only
    try:
        if BARE_DATE.fullmatch(given):
            at = datetime.combine(date.fromisoformat(given), NOON, _zone(info))
            return Moment(_plausible(at), Precision.DAY)
        if INSTANT.fullmatch(given):  # the parser itself takes 20261120 for seconds since 1970
            return Moment(_plausible(_INSTANT.validate_python(given)), Precision.SECOND)
    except _Implausible:
        raise
    except ValueError:
        pass  # its sentence would repeat what was sent
    raise ValueError(SAY_WHEN)


class _Implausible(ValueError):
    """A time that is one and cannot be meant."""


def _plausible(at: datetime) -> datetime:
    if not EARLIEST_YEAR <= at.year <= LATEST_YEAR:
        raise _Implausible(f"must be of the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    return at.astimezone(UTC)


def _birth(day: date) -> date:
    if day.year < EARLIEST_YEAR:
        raise ValueError(f"must not be before {EARLIEST_YEAR}")
    return day


def _zone(info: ValidationInfo) -> ZoneInfo:
    context: Mapping[str, Any] = info.context or {}
    zone = context.get("zone")
    assert isinstance(zone, ZoneInfo)
    return zone


When = Annotated[Moment, PlainValidator(_moment)]


class Body(BaseModel):
    """A body is strict: no unknown fields, no numbers in strings, no naive times."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class PatientBody(Body):
    """`PUT /v1/patients/{mrn}`."""

    study_id: Text
    arm: Arm
    status: PatientStatus
    consented_at: When | None = None
    first_dose_at: When | None = None
    sex: Sex = "unknown"
    birth_date: Annotated[date, AfterValidator(_birth)] | None = Field(default=None, repr=False)
    name: Text | None = Field(default=None, repr=False)
    ward: Text | None = None
    language: Text | None = None
    cycle_days: int | None = Field(default=None, ge=1, le=365)
    baseline_imaging_at: When | None = None
    screening: dict[Printed, Scalar | dict[Printed, Scalar]] | None = Field(default=None, max_length=200)


class CycleBody(Body):
    """`PUT /v1/patients/{mrn}/cycles/{n}`."""

    administered_at: When
    drugs: tuple[Text, ...] = Field(default=(), max_length=50)
    status: Literal["given", "not-given"] = "given"


class AdverseEventBody(Body):
    """`PUT /v1/patients/{mrn}/adverse-events/{id}`. Another `graded_at` is a further grading."""

    term: Text
    organ: Text | None = None
    grade: int = Field(ge=0, le=5)
    graded_at: When
    assessor: Text | None = None
    attribution: Attribution = "undetermined"


class ConfounderBody(Body):
    """`PUT /v1/patients/{mrn}/confounders/{id}`."""

    kind: ConfounderKind
    at: When


def _decimal(given: object) -> Decimal:
    """Digits as text, or a JSON number as pydantic read it: a float's shortest text is what the client wrote."""
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError("must be a number, best as a decimal string")  # noqa: TRY004 - pydantic takes ValueError only
    text = str(given)
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", text):
        raise ValueError("must be a plain decimal number, not below 0")
    return Decimal(text)


class BaselineBody(Body):
    """`PUT /v1/patients/{mrn}/baselines/{analyte}`. `unit` as the site writes it; it is converted."""

    value: Annotated[Decimal, PlainValidator(_decimal)]
    unit: Text
    collected_at: When
    pinned_by: Text
    reason: Text


@dataclass(frozen=True, slots=True)
class Statement:
    """One call of the registry API: who says what about whom. `name` is the last part of the path, if it has one."""

    grant: Grant
    mrn: str = field(repr=False)
    name: int | str
    body: Body = field(repr=False)
    content: bytes = field(repr=False)
    peer: str | None = None
