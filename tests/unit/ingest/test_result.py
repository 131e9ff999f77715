"""One observation: the column it ends in, what is exact, what is doubted, what its notes say."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from services.ingest.domain.outcome import Ignored
from services.ingest.domain.values import Comparator, Precision, Remark
from tests.support.hl7 import A_PATIENT, ALT, FERRITIN, a_header, a_message, an_observation, an_order
from tests.unit.ingest.reading import published, read, result_of

CREATININE = "2160-0^Creatinine^LN"


def _quarantine_of(frame: bytes) -> list[tuple[str, str]]:
    outcome = read(frame)
    assert isinstance(outcome, Ignored), outcome
    return [(item.position, item.reason) for item in outcome.quarantined]


def test_value_and_limits_are_converted_by_one_exact_multiplication() -> None:
    result = result_of(
        a_message(
            an_order(),
            an_observation("123456789012345.123456789012345", code=CREATININE, unit="mg/dL", limits="0.5-1.1"),
        )
    )
    assert result.value == Decimal("10913950519058345.948950519058335035")
    assert (result.reference_low, result.reference_high) == (Decimal("44.2015"), Decimal("97.2433"))
    assert (result.unit, result.original.value, result.original.unit) == (
        "umol/L",
        "123456789012345.123456789012345",
        "mg/dL",
    )


def test_a_bound_stays_a_bound() -> None:
    result = result_of(a_message(an_order(), an_observation(">40", unit="mg/L")))
    assert (result.value, result.comparator) == (Decimal(40000), Comparator.ABOVE)


@pytest.mark.parametrize("unit", ["", "bushel", "?g/L"])
def test_a_number_without_a_known_unit_is_shown_and_never_canonical(unit: str) -> None:
    result = result_of(a_message(an_order(), an_observation("812", unit=unit)))
    assert (result.value, result.comparator, result.unit, result.reference_high) == (None, None, None, None)
    assert result.original.value == "812"


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        pytest.param(an_observation("1,250"), "value_unparsable", id="an ambiguous number"),
        pytest.param(an_observation("1~2"), "value_repeats", id="two numbers"),
        pytest.param(an_observation("-3"), "value_negative", id="below nought"),
        pytest.param(an_observation("3 mg/L"), "value_unparsable", id="two units"),
        pytest.param(an_observation(unit="g/L"), "unit_conflict", id="another quantity's unit"),
        pytest.param(an_observation(status="?"), "status_unknown", id="unknown status"),
        pytest.param(an_observation(status=""), "status_unknown", id="no status"),
        pytest.param(an_observation(code=FERRITIN + "^1742-6^ALT^LN"), "code_conflict", id="two analytes"),
        pytest.param("OBX|1|NM|2276-4^F^LN|812|ug/L|||||F", "field_shift", id="fields moved by one"),
    ],
)
def test_what_cannot_be_understood_is_quarantined_under_its_name(segment: str, reason: str) -> None:
    assert _quarantine_of(a_message(an_order(), segment)) == [("OBX[1]", reason)]


@pytest.mark.parametrize("status", ["C", "D", "W", "X"])
@pytest.mark.parametrize(
    "segment",
    [
        pytest.param(an_observation("---"), id="dashes"),
        pytest.param(an_observation("?7"), id="an unsure number"),
        pytest.param(an_observation("1~2"), id="two numbers"),
        pytest.param(an_observation("-3"), id="below nought"),
        pytest.param(an_observation("3 mg/L"), id="two units"),
        pytest.param(an_observation(unit="g/L"), id="another quantity's unit"),
    ],
)
def test_what_takes_a_result_back_is_heard_whatever_it_says_instead(segment: str, status: str) -> None:
    first = result_of(a_message(an_order(), an_observation()))
    back = result_of(a_message(an_order(), segment.removesuffix("F") + status))

    assert (back.result_id, back.status, back.value) == (first.result_id, status, None)


def test_what_takes_a_result_of_unknown_identity_back_is_quarantined() -> None:
    outcome = read(a_message(an_order(), an_observation(code=FERRITIN + "^1742-6^ALT^LN", status="W")))
    assert isinstance(outcome, Ignored)
    assert [quarantined.reason for quarantined in outcome.quarantined] == ["code_conflict"]


def test_urine_under_a_blood_loinc_contradicts_itself() -> None:
    frame = a_message(an_order(), an_observation(), "SPM|1|S1||Urine")
    assert _quarantine_of(frame) == [("OBX[1]", "specimen_conflict")]


def test_the_sources_own_code_in_urine_is_no_analyte_of_ours() -> None:
    outcome = read(a_message(an_order(), an_observation(code="FER^x^L"), "SPM|1|S1||UR"))
    assert isinstance(outcome, Ignored)
    assert (outcome.reason, outcome.tally.unmapped) == ("no_mapped_result", 1)


@pytest.mark.parametrize("words", ["SER", "serum", "血清", "SER^Serum^HL70487", "^Serum"])
def test_the_usual_words_for_a_specimen_are_one_code(words: str) -> None:
    assert result_of(a_message(an_order(), an_observation(), f"SPM|1|S1||{words}")).specimen == "SER"


def test_a_cancelled_order_cancels_all_its_results() -> None:
    assert result_of(a_message(an_order()[:-1] + "X", an_observation())).status == "X"


@pytest.mark.parametrize("status", ["I", "O", "N"])
def test_a_pending_result_has_no_number_yet(status: str) -> None:
    result = result_of(a_message(an_order(), an_observation("?7", status=status)))
    assert (result.value, result.status, result.unit) == (None, status, "ug/L")


def test_notes_hold_for_what_they_stand_after() -> None:
    frame = a_message(
        an_order(),
        "NTE|1|L|lipaemic",
        an_observation(),
        "NTE|1|L|haemolysed",
        an_observation("30", code=ALT, unit="U/L"),
        an_observation("specimen clotted", code="X^Comment^L", kind="TX"),
    )
    ferritin, alt = published(frame).reports[0].results
    assert ferritin.remarks == (Remark.CLOTTED, Remark.HAEMOLYSED, Remark.LIPAEMIC)
    assert alt.remarks == (Remark.CLOTTED, Remark.LIPAEMIC)


def test_a_word_instead_of_a_number_is_a_remark() -> None:
    result = result_of(a_message(an_order(), an_observation("溶血", kind="ST")))
    assert (result.value, result.remarks) == (None, (Remark.HAEMOLYSED,))


@pytest.mark.parametrize(
    ("collected", "suspect"),
    [
        pytest.param("20260120121000", False, id="ten minutes ahead of us"),
        pytest.param("20260120121001", True, id="a second more"),
        pytest.param("20251022120000", False, id="ninety days ago"),
        pytest.param("20251022115959", True, id="a second more than ninety days ago"),
        pytest.param("20260120", False, id="today, no clock"),
        pytest.param("20260122", True, id="the day after tomorrow"),
        pytest.param("19500101", True, id="before birth"),
    ],
)
def test_a_collection_time_that_cannot_be_is_doubted(collected: str, *, suspect: bool) -> None:
    result = result_of(a_message(an_order(collected=collected, resulted="20260130"), an_observation()))
    assert (Remark.TIME_SUSPECT in result.remarks) is suspect


@pytest.mark.parametrize(
    ("collected", "resulted", "suspect"),
    [
        pytest.param("20260119100000", "20260119100000", False, id="at once"),
        pytest.param("20260119100001", "20260119100000", True, id="after its own result"),
        pytest.param("20260119100030", "202601191000", False, id="within the minute the result says"),
        pytest.param("20260119", "20260119020000", False, id="a day that began before the result"),
        pytest.param("20260119150000", "20260119", False, id="a result that only says the day"),
    ],
)
def test_a_specimen_is_older_than_its_result(collected: str, resulted: str, *, suspect: bool) -> None:
    result = result_of(a_message(an_order(collected=collected, resulted=resulted), an_observation()))
    assert (Remark.TIME_SUSPECT in result.remarks) is suspect


def test_without_order_time_the_specimen_the_observation_and_the_arrival_are_asked_in_turn() -> None:
    bare = an_order(collected="")
    specimen = "SPM|1|S1||SER|||||||||||||20260119070000^20260119070500"
    observed = an_observation() + "|||20260119073000"
    arrived = bare.replace("|||||||||||||||20260119102500", "|||||||20260119074500||||||||20260119102500")
    at = datetime(2026, 1, 18, 23, 0, tzinfo=UTC)
    assert result_of(a_message(bare, observed, specimen)).collected_at == at
    assert result_of(a_message(bare, observed)).collected_at == at + timedelta(minutes=30)
    late = result_of(a_message(arrived, an_observation()))
    assert (late.collected_at, late.remarks) == (at + timedelta(minutes=45), (Remark.TIME_SUSPECT,))
    none = result_of(a_message(bare, an_observation()))
    assert (none.collected_at, none.collected_precision) == (None, Precision.UNKNOWN)


def test_the_result_time_is_the_orders_else_the_messages() -> None:
    assert result_of(a_message()).resulted_at == datetime(2026, 1, 19, 2, 25, tzinfo=UTC)
    fallback = a_message(an_order(resulted=""), an_observation(), header=a_header(sent="20260119113000+0900"))
    assert result_of(fallback).resulted_at == datetime(2026, 1, 19, 2, 30, tzinfo=UTC)


def test_each_result_goes_to_the_patient_before_it() -> None:
    other = A_PATIENT.replace("P000123", "P000999")
    reports = published(a_message(an_order(), an_observation("1"), other, an_order(), an_observation("2"))).reports
    assert [report.results[0].value for report in reports] == [Decimal(1), Decimal(2)]
    assert len({report.patient_ref for report in reports}) == 2


def test_one_number_with_two_birth_dates_makes_two_reports_to_be_compared() -> None:
    twin = A_PATIENT.replace("19600101", "19700101")
    first, second = published(a_message(an_order(), an_observation(), twin, an_order(), an_observation("5"))).reports
    assert first.patient_ref == second.patient_ref
    assert first.birth_date_token != second.birth_date_token


def test_a_representation_of_a_report_shows_no_value() -> None:
    assert "812" not in repr(published(a_message()).reports)


def test_nothing_of_one_patient_is_carried_to_the_next() -> None:
    other = A_PATIENT.replace("P000123", "P000999")
    first = [
        an_order(),
        an_observation(),
        "ORC|RE||F1^OTHER",
        other,
        "NTE|1|L|haemolysed",
        an_order(filler=""),
        an_observation(),
    ]
    _, report = published(a_message(*first)).reports
    alone = result_of(a_message(an_order(filler=""), an_observation(), patient=other))
    assert report.results == (alone,)


def test_a_time_said_oddly_is_doubted_even_where_it_is_possible() -> None:
    result = result_of(a_message(an_order(collected="20260118240000"), an_observation()))
    assert result.collected_at == datetime(2026, 1, 18, 16, 0, tzinfo=UTC)
    assert result.remarks == (Remark.TIME_SUSPECT,)


def test_the_order_of_observations_says_nothing() -> None:
    ferritin, alt = an_observation(), an_observation("30", code=ALT, unit="U/L")
    one, two = (published(a_message(an_order(), *pair)).reports[0] for pair in ((ferritin, alt), (alt, ferritin)))
    assert one.event_id == two.event_id
