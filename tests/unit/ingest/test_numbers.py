"""OBX-5 and OBX-7: exact numbers, bounds, and what must never become one."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.numbers import Limits, read_limits, read_number
from services.ingest.domain.values import Comparator

SIGNS = "|^~\\&"


@pytest.mark.parametrize(
    ("text", "value", "comparator"),
    [
        pytest.param("812", "812", None, id="number"),
        pytest.param("0.10", "0.10", None, id="a final nought stays"),
        pytest.param("   7 ", "7", None, id="blanks"),
        pytest.param("<7", "7", Comparator.BELOW, id="below"),
        pytest.param("<=7", "7", Comparator.AT_MOST, id="at most"),
        pytest.param("≤ 7", "7", Comparator.AT_MOST, id="at most, one sign"),
        pytest.param(">^40000", "40000", Comparator.ABOVE, id="structured numeric"),
        pytest.param("＞４００００", "40000", Comparator.ABOVE, id="full width"),
        pytest.param("≥5", "5", Comparator.AT_LEAST, id="at least"),
        pytest.param("=^25", "25", None, id="equals"),
        pytest.param("12 H", "12", None, id="a flag glued on"),
        pytest.param("12↑", "12", None, id="an arrow glued on"),
        pytest.param("~5", "5", None, id="an empty repetition"),
        pytest.param(".8", "0.8", None, id="without the nought before the point"),
        pytest.param("<.05", "0.05", Comparator.BELOW, id="a bound without it"),
    ],
)
def test_numbers_are_read_exactly(text: str, value: str, comparator: Comparator | None) -> None:
    number = read_number("ST", text, SIGNS, ".")
    assert (str(number.value), number.comparator, number.fault) == (value, comparator, None)


@pytest.mark.parametrize(
    "text",
    [
        "?7",
        "1.2.3",
        "12,5",
        "1,250",
        "--",
        "1e9",
        "1E+17",
        "NaN",
        "Infinity",
        "1^:^128",
        "3^-^5",
        "><5",
        "2+",
        "12 345",
        "1/2",
        "9" * 40,
        ".",
        "..5",
        "1..5",
        ",5",
        "5.",
        "5²",
        "5.2¹",
        "10⁹",
        "5①",
        "½",
        "5½",
        "<>^5",
        "&gt;40000",
        "&#62;40000",
        "\\T\\lt;5",
    ],
)
def test_what_was_meant_as_a_number_and_is_none_is_a_fault(text: str) -> None:
    number = read_number("NM", text, SIGNS, ".")
    assert (number.value, number.fault) == (None, "value_unparsable")


def test_two_numbers_are_no_number() -> None:
    assert read_number("NM", "27~25", SIGNS, ".").fault == "value_repeats"


@pytest.mark.parametrize("text", ["", '""', "阴性", "Negative", "SEE NOTE", "TNP", "溶血", "?", "Neg~Pos"])
def test_a_text_is_no_number_and_no_fault(text: str) -> None:
    number = read_number("ST", text, SIGNS, ".")
    assert (number.value, number.fault) == (None, None)


def test_a_document_is_no_number() -> None:
    assert read_number("ED", "^application^pdf^Base64^JVBERi0xLjQ=", SIGNS, ".").text is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param("DT", "20260101", id="a day"),
        pytest.param("TS", "202601011230", id="a time with its day"),
        pytest.param("DTM", "20260101123000", id="a time to the second"),
        pytest.param("TM", "0812", id="a time of day"),
    ],
)
def test_a_date_under_the_code_of_an_analyte_is_no_number(kind: str, text: str) -> None:
    assert read_number(kind, text, SIGNS, ".").fault == "value_unparsable"
    assert read_number("ST", text, SIGNS, ".").value is not None


def test_a_number_that_calls_itself_a_date_is_a_number() -> None:
    assert read_number("DT", "812", SIGNS, ".").value == Decimal(812)


def test_the_comma_counts_where_it_is_agreed() -> None:
    assert read_number("NM", "12,5", SIGNS, ",").value == Decimal("12.5")
    assert read_number("NM", "12.5", SIGNS, ",").fault == "value_unparsable"


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        pytest.param("30-400", "30", "400", id="plain"),
        pytest.param("[ 30 - 400 ]", "30", "400", id="brackets and blanks"),
        pytest.param("30～400", "30", "400", id="wave dash"),
        pytest.param("30--400", "30", "400", id="two dashes"),
        pytest.param("3–5", "3", "5", id="en dash"),
        pytest.param("3 to 5", "3", "5", id="to"),
        pytest.param("-2.0-3.0", "-2.0", "3.0", id="below nought"),
        pytest.param("-5 - -2", "-5", "-2", id="both below nought"),
        pytest.param("<150", None, "150", id="only an upper limit"),
        pytest.param(">=30", "30", None, id="only a lower limit"),
        pytest.param("<8 ug/L", None, "8", id="with its own unit"),
        pytest.param(".5-1.2", "0.5", "1.2", id="without the nought before the point"),
        pytest.param("[ ]", None, None, id="nothing"),
    ],
)
def test_limits(text: str, low: str | None, high: str | None) -> None:
    expected = Limits(Decimal(low) if low else None, Decimal(high) if high else None)
    assert read_limits(text, "µg/L", SIGNS, ".") == expected


@pytest.mark.parametrize(
    "text",
    ["0-2-7.2", ">2-7.2", "Negative", "400-30", "30-400 mg/L", "<4 = S, >= 32 = R", "N-N", "30_400", "1,2-3", "0-5²"],
)
def test_what_is_no_limit_is_none(text: str) -> None:
    assert read_limits(text, "ug/L", SIGNS, ".") == Limits(understood=False)


@given(value=st.decimals(min_value=0, max_value=10**9, places=4, allow_nan=False, allow_infinity=False))
def test_a_written_decimal_comes_back_digit_by_digit(value: Decimal) -> None:
    assert str(read_number("NM", format(value, "f"), SIGNS, ".").value) == format(value, "f")


@given(text=st.text(max_size=60))
def test_no_text_makes_it_crash(text: str) -> None:
    number = read_number("NM", text, SIGNS, ".")
    assert number.value is None or number.fault is None
    read_limits(text, "ug/L", SIGNS, ".")
