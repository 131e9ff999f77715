from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clinical_event_v1 import LabReport as LabReportMessage
from schemas.clinical_event_v1 import decode
from schemas.dead_letter_v1 import DeadLetter
from schemas.raw_message_v1 import RawMessage
from services.ingest.domain.outcome import Header, Quarantined
from services.ingest.domain.values import (
    Analyte,
    Code,
    Comparator,
    EventId,
    LabReport,
    Original,
    PatientRef,
    Precision,
    Remark,
    Result,
    ResultId,
)
from services.ingest.translate import Raw, dead_letter, lab_report, lab_reports, quarantine_letters

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
HEADER = Header("|^~\\&", sending_application="LIS", sending_facility="LAB", message_time="2026", control_id="C1")


def a_result(value: Decimal | None = Decimal("812.0")) -> Result:
    return Result(
        ResultId("r1"),
        Analyte("FERRITIN"),
        Code("2276-4", "LN", "Ferritin"),
        value,
        Comparator.ABOVE,
        "ug/L",
        Original("812.0", "µg/L"),
        Decimal(15),
        None,
        "F",
        NOW - timedelta(hours=2),
        Precision.MINUTE,
        None,
        None,
        "Cobas",
        (Remark.HAEMOLYSED,),
        "o1",
        None,
    )


def a_report(*results: Result) -> LabReport:
    return LabReport(EventId("e1"), PatientRef("AAAA-BBE-CCCCC"), "lis", NOW, "C1", "b" * 32, None, results)


def a_raw(body: bytes = b"MSH|") -> Raw:
    return Raw(body, source="lis", transport="mllp", peer="10.0.0.1", received_at=NOW)


def read(report: LabReport) -> LabReportMessage:
    message = decode(lab_report(report, "raw1"))
    assert isinstance(message, LabReportMessage)
    return message


def test_a_report_says_on_the_topic_exactly_what_the_domain_says() -> None:
    message = read(a_report(a_result()))

    assert (message.event_id, message.patient_ref, message.source) == ("e1", "AAAA-BBE-CCCCC", "lis")
    assert (message.raw_ref, message.control_id, message.backfill) == ("raw1", "C1", False)
    assert (message.birth_date_token, message.sex_token, message.received_at) == ("b" * 32, None, NOW)
    (result,) = message.results
    for name in Result.__dataclass_fields__:
        domain, said = getattr(a_result(), name), getattr(result, name)
        if name in {"code", "original"}:
            assert said.model_dump() == {part: getattr(domain, part) for part in type(domain).__dataclass_fields__}
        else:
            assert said == domain, name


def test_the_schema_has_no_field_that_is_forgotten_and_none_is_sent_that_it_does_not_have() -> None:
    body = lab_report(a_report(a_result()), "raw1")

    assert LabReportMessage.model_validate_json(body, extra="forbid").model_fields_set == set(
        LabReportMessage.model_fields
    )


@given(value=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15))
def test_a_number_arrives_as_it_was_and_without_an_exponent(value: Decimal) -> None:
    body = lab_report(a_report(a_result(value)), "raw1")

    assert LabReportMessage.model_validate_json(body).results[0].value == value
    assert f'"value":"{value:f}"'.encode() in body


def test_texts_that_are_only_shown_are_cut_to_what_the_schema_takes() -> None:
    long = replace(a_result(), code=Code("x", "L", "n" * 500), original=Original("v" * 500, "u" * 500))

    (result,) = read(a_report(long)).results

    assert (len(result.code.text or ""), len(result.original.value or ""), len(result.original.unit or "")) == (
        300,
        300,
        100,
    )


def test_a_report_of_many_thousand_results_is_said_in_parts_that_lose_none_and_have_stable_ids() -> None:
    report = a_report(*(replace(a_result(), result_id=ResultId(f"r{number}")) for number in range(4_500)))

    parts = [LabReportMessage.model_validate_json(part) for part in lab_reports(report, "raw1")]

    assert [len(part.results) for part in parts] == [2_000, 2_000, 500]
    assert [result.result_id for part in parts for result in part.results] == [f"r{n}" for n in range(4_500)]
    assert len({part.event_id for part in parts}) == 3
    assert lab_reports(report, "raw1") == lab_reports(report, "raw1")
    assert lab_reports(a_report(a_result()), "raw1") == [lab_report(a_report(a_result()), "raw1")]


@pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe", "姓名".encode(), b"x" * 100_000])
def test_the_raw_message_is_kept_byte_for_byte(body: bytes) -> None:
    raw = a_raw(body)
    message = RawMessage.model_validate_json(raw.encode("x-application/hl7-v2+er7"))

    assert (message.body, message.raw_id, message.sha256) == (body, raw.raw_id, raw.sha256)


def test_the_same_bytes_of_the_same_source_have_the_same_id_and_others_another() -> None:
    assert a_raw().raw_id == a_raw().raw_id
    assert a_raw(b"other").raw_id != a_raw().raw_id
    assert Raw(b"MSH|", source="b", transport="mllp", peer=None, received_at=NOW).raw_id != a_raw().raw_id


def test_a_dead_letter_names_the_message_and_the_place_but_no_content() -> None:
    letter = DeadLetter.model_validate_json(dead_letter(a_raw(b"secret"), HEADER, "no_patient", "PID[1].3"))

    assert (letter.reason, letter.detail, letter.control_id) == ("no_patient", "PID[1].3", "C1")
    assert "secret" not in letter.model_dump_json()


def test_a_dead_letter_without_a_readable_header_is_still_one() -> None:
    assert DeadLetter.model_validate_json(dead_letter(a_raw(), None, "no_msh")).control_id is None


def test_quarantined_results_share_a_letter_per_patient_and_reason() -> None:
    ref = PatientRef("AAAA-BBBB-CCCCC")
    quarantined = [
        Quarantined("value_unparsable", "OBX[1]", ref),
        Quarantined("value_unparsable", "OBX[7]", ref),
        Quarantined("code_conflict", "OBX[2]", ref),
    ]

    letters = [DeadLetter.model_validate_json(letter) for _, letter in quarantine_letters(a_raw(), HEADER, quarantined)]

    assert [(letter.reason, letter.detail) for letter in letters] == [
        ("value_unparsable", "OBX[1] OBX[7]"),
        ("code_conflict", "OBX[2]"),
    ]
    assert {letter.patient_ref for letter in letters} == {ref}
