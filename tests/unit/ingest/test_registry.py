from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from schemas.base import Message, Precision
from schemas.clinical_event_v1 import AdverseEventGraded, BaselinePinned, ConfounderRecorded, CycleRecorded, Enrolment
from schemas.patient_v1 import Patient
from services.common.identifiers import keyed_token
from services.ingest.adapters.registry import Registrar, Subject, canonical, flat
from services.ingest.adapters.registry_bodies import (
    AdverseEventBody,
    BaselineBody,
    Body,
    ConfounderBody,
    CycleBody,
    PatientBody,
)
from services.ingest.rulebook import load_tables

KEY = b"k" * 32
ZONE = ZoneInfo("Asia/Shanghai")
RECEIVED = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
PATIENT = """{"study_id": "S-1", "arm": "immunotherapy", "status": "enrolled", "consented_at": "2026-01-05",
  "first_dose_at": "2026-01-12T09:30:00+08:00", "sex": "female", "birth_date": "1960-02-29", "name": "张三",
  "ward": "ONC-3", "cycle_days": 21, "baseline_imaging_at": null,
  "screening": {"ecog": 1, "spo2": 98.5, "serology": {"hbsag": false}}}"""
ADVERSE_EVENT = '{"term": "Hepatitis", "organ": "liver", "grade": 3, "graded_at": "2026-03-01", "attribution": "irAE"}'


def convert(analyte: str, value: Decimal, unit: str) -> tuple[Decimal, str]:
    if (analyte, unit) != ("ferritin", "mg/L"):
        raise ValueError("unknown")
    return value * 1000, "ug/L"


def subject(
    *, patient_ref: str = "AAAA-BBBB-CCCCC", source: str = "office", received_at: datetime = RECEIVED
) -> Subject:
    return Subject(
        patient_ref=patient_ref,
        authority="HOSP",
        mrn="0042",
        source=source,
        received_at=received_at,
        raw_ref="raw1",
    )


def parse(kind: type[Body], text: str) -> Body:
    return kind.model_validate_json(text, context={"zone": ZONE})


def messages(kind: type[Body], text: str, name: int | str = "", of: Subject | None = None) -> tuple[Message, ...]:
    return Registrar(KEY, convert).messages(of or subject(), name, parse(kind, text))


def test_a_patient_is_identified_on_one_topic_and_enrolled_without_identifiers_on_the_other() -> None:
    patient, enrolment = messages(PatientBody, PATIENT)

    assert isinstance(patient, Patient)
    assert (patient.mrn, patient.name, patient.birth_date, patient.ward) == ("0042", "张三", date(1960, 2, 29), "ONC-3")
    assert isinstance(enrolment, Enrolment)
    assert (enrolment.arm, enrolment.status, enrolment.cycle_days) == ("immunotherapy", "enrolled", 21)
    assert enrolment.screening == {"ecog": 1, "spo2": 98.5, "serology.hbsag": False}
    assert enrolment.birth_date_token == keyed_token(KEY, "birth-date", "1960-02-29")
    assert not {"0042", "张三", "1960"} & set(enrolment.encode().decode().replace("-", " ").split())
    assert "张三" not in enrolment.encode().decode()


def test_a_bare_date_is_noon_of_the_site_with_the_precision_of_a_day() -> None:
    _, enrolment = messages(PatientBody, PATIENT)

    assert isinstance(enrolment, Enrolment)
    assert enrolment.consented_at == datetime(2026, 1, 5, 4, tzinfo=UTC)
    assert enrolment.consented_precision is Precision.DAY
    assert enrolment.first_dose_at == datetime(2026, 1, 12, 1, 30, tzinfo=UTC)
    assert enrolment.first_dose_precision is Precision.SECOND


def test_the_same_statement_is_the_same_event_whenever_it_comes() -> None:
    first = messages(AdverseEventBody, ADVERSE_EVENT, "ae1")[-1]
    later = subject(received_at=RECEIVED.replace(hour=9))
    again = messages(AdverseEventBody, ADVERSE_EVENT.replace(", ", ","), "ae1", later)[-1]

    assert isinstance(first, AdverseEventGraded)
    assert isinstance(again, AdverseEventGraded)
    assert again.event_id == first.event_id


@pytest.mark.parametrize(
    ("text", "name", "of"),
    [
        pytest.param(ADVERSE_EVENT.replace("3,", "2,"), "ae1", subject(), id="another grade"),
        pytest.param(ADVERSE_EVENT.replace("03-01", "03-02"), "ae1", subject(), id="a further grading"),
        pytest.param(ADVERSE_EVENT, "ae2", subject(), id="another adverse event"),
        pytest.param(ADVERSE_EVENT, "ae1", subject(patient_ref="other"), id="another patient"),
        pytest.param(ADVERSE_EVENT, "ae1", subject(source="other"), id="another source"),
    ],
)
def test_another_statement_is_another_event(text: str, name: str, of: Subject) -> None:
    first = messages(AdverseEventBody, ADVERSE_EVENT, "ae1")[-1]
    other = messages(AdverseEventBody, text, name, of)[-1]

    assert isinstance(first, AdverseEventGraded)
    assert isinstance(other, AdverseEventGraded)
    assert other.event_id != first.event_id


def test_a_baseline_is_converted_without_rounding() -> None:
    tables = load_tables()
    assert canonical(tables, "FERRITIN", Decimal("999999999999999.123456789012345"), "mg/L") == (
        Decimal("999999999999999123.456789012345"),
        "ug/L",
    )


def test_a_screening_item_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        flat({"serology.hbsag": True, "serology": {"hbsag": False}})


def test_the_other_statements_become_their_events() -> None:
    cycle = messages(CycleBody, '{"administered_at": "2026-02-02T10:00:00Z", "drugs": ["pembrolizumab"]}', 2)[-1]
    iron = messages(ConfounderBody, '{"kind": "iv-iron", "at": "2026-02-03"}', "c1")[-1]
    pinned = messages(
        BaselineBody,
        '{"value": "0.25", "unit": "mg/L", "collected_at": "2026-01-10", "pinned_by": "dr-li", "reason": "r"}',
        "ferritin",
    )[-1]

    assert isinstance(cycle, CycleRecorded)
    assert (cycle.n, cycle.status, cycle.drugs) == (2, "given", ("pembrolizumab",))
    assert isinstance(iron, ConfounderRecorded)
    assert (iron.confounder, iron.confounder_id, iron.at_precision) == ("iv-iron", "c1", Precision.DAY)
    assert isinstance(pinned, BaselinePinned)
    assert (pinned.value, pinned.unit) == (Decimal("250.00"), "ug/L")


def test_a_baseline_in_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        messages(
            BaselineBody,
            '{"value": 3, "unit": "g/L", "collected_at": "2026-01-10", "pinned_by": "d", "reason": "r"}',
            "ferritin",
        )


@pytest.mark.parametrize(
    ("kind", "text", "field"),
    [
        pytest.param(AdverseEventBody, ADVERSE_EVENT.replace("3,", "6,"), "grade", id="grade 6"),
        pytest.param(AdverseEventBody, ADVERSE_EVENT.replace("3,", "-1,"), "grade", id="grade -1"),
        pytest.param(AdverseEventBody, ADVERSE_EVENT.replace("3,", '"III",'), "grade", id="a Roman grade"),
        pytest.param(AdverseEventBody, ADVERSE_EVENT.replace("3,", "true,"), "grade", id="a grade that is a truth"),
        pytest.param(AdverseEventBody, ADVERSE_EVENT.replace("3,", "3.0,"), "grade", id="a grade with a fraction"),
        pytest.param(AdverseEventBody, ADVERSE_EVENT.replace('"irAE"', '"irae"'), "attribution", id="attribution"),
        pytest.param(
            AdverseEventBody, ADVERSE_EVENT.replace("2026-03-01", "01.03.2026"), "graded_at", id="German date"
        ),
        pytest.param(
            AdverseEventBody, ADVERSE_EVENT.replace("2026-03-01", "2026-02-30"), "graded_at", id="30 February"
        ),
        pytest.param(
            AdverseEventBody, ADVERSE_EVENT.replace("2026-03-01", "2026-03-01T08:00:00"), "graded_at", id="no offset"
        ),
        pytest.param(
            AdverseEventBody, ADVERSE_EVENT.replace('"2026-03-01"', "1772000000"), "graded_at", id="Unix time"
        ),
        pytest.param(
            AdverseEventBody, ADVERSE_EVENT.replace("2026-03-01", "0026-03-01"), "graded_at", id="the year 26"
        ),
        pytest.param(AdverseEventBody, ADVERSE_EVENT.replace("term", "trem"), "trem", id="an unknown field"),
        pytest.param(PatientBody, PATIENT.replace("immunotherapy", "immuno"), "arm", id="an unknown arm"),
        pytest.param(PatientBody, PATIENT.replace("enrolled", "dead"), "status", id="an unknown status"),
        pytest.param(PatientBody, PATIENT.replace('"S-1"', '" "'), "study_id", id="a blank study id"),
        pytest.param(PatientBody, PATIENT.replace("98.5", "NaN"), "", id="not a number"),
        pytest.param(PatientBody, PATIENT.replace("21", "0"), "cycle_days", id="cycles of no days"),
        pytest.param(BaselineBody, '{"value": "1e3"}', "value", id="a baseline with an exponent"),
        pytest.param(BaselineBody, '{"value": ">40"}', "value", id="a baseline that is a bound"),
    ],
)
def test_a_body_that_is_not_understood_is_refused_by_the_name_of_its_field(
    kind: type[Body], text: str, field: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        parse(kind, text)

    assert any(field in map(str, error["loc"]) or not field for error in refusal.value.errors())


def test_nothing_of_a_refused_body_is_in_its_error() -> None:
    with pytest.raises(ValidationError) as refusal:
        parse(PatientBody, PATIENT.replace('"1960-02-29"', '"the spring of 60"'))

    assert "spring" not in str(refusal.value)


def test_nested_screening_items_get_dotted_names() -> None:
    assert flat({"a": 1, "b": {"c": None}}) == {"a": 1, "b.c": None}
