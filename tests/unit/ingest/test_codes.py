"""Codes: LOINC by name and check digit, a source's own by its map, never by display name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.codes import check_digit, is_loinc, read_code
from tests.unit.ingest.reading import PROFILE, tables

SIGNS = "|^~\\&"


@pytest.mark.parametrize(
    ("text", "analyte", "code", "system"),
    [
        pytest.param("2276-4^Ferritin^LN", "FERRITIN", "2276-4", "LN", id="primary"),
        pytest.param("FER^Ferritin^L^2276-4^Ferritin^LN", "FERRITIN", "2276-4", "LN", id="alternate"),
        pytest.param("2276-4^x^2.16.840.1.113883.6.1", "FERRITIN", "2276-4", "LN", id="LOINC by its OID"),
        pytest.param("2276-4^x^http://loinc.org", "FERRITIN", "2276-4", "LN", id="LOINC by its address"),
        pytest.param("2276-4^Ferritin", "FERRITIN", "2276-4", "LN", id="a LOINC that does not say so"),
        pytest.param("FER^whatever^L", "FERRITIN", "FER", "L", id="the source's own code"),
        pytest.param("^^^FER^Ferritin^L", "FERRITIN", "FER", "L", id="the source's own code in the alternate"),
        pytest.param("X^x^99Z^FER^x^L", "FERRITIN", "FER", "L", id="unknown and known"),
    ],
)
def test_a_code_has_its_analyte(text: str, analyte: str, code: str, system: str) -> None:
    meaning = read_code(tables(), PROFILE, SIGNS, text)
    assert meaning.entry is not None
    assert (meaning.entry.analyte, meaning.code.value, meaning.code.system) == (analyte, code, system)
    assert not meaning.conflict


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2276-5^Ferritin^LN", id="wrong check digit"),
        pytest.param("IRON^Ferritin^LN", id="a name marked as LOINC"),
        pytest.param("86914-9^Ferritin goal^LN", id="a goal"),
        pytest.param("Ferritin-Index^Ferritin^L", id="an index"),
        pytest.param("FERR^Ferritin^L", id="a display name that would tempt"),
        pytest.param("FER^Ferritin^99OTHER", id="the code in another system"),
        pytest.param("2276-4^Ferritin^99LAB", id="a LOINC's digits in another system"),
        pytest.param("", id="nothing"),
        pytest.param("^^^^^", id="only separators"),
    ],
)
def test_everything_else_has_none(text: str) -> None:
    assert read_code(tables(), PROFILE, SIGNS, text).entry is None


@pytest.mark.parametrize("text", ["2276-4^x^LN^1742-6^x^LN", "FER^x^L^1742-6^x^LN", "FER^x^L^86914-9^Ferritin goal^LN"])
def test_two_codes_that_disagree_are_a_conflict(text: str) -> None:
    assert read_code(tables(), PROFILE, SIGNS, text).conflict


@pytest.mark.parametrize("code", sorted(["2276-4", "20567-4", "1742-6", "718-7", "30934-4", "89579-7"]))
def test_real_loincs_have_their_check_digit(code: str) -> None:
    assert is_loinc(code)
    assert not is_loinc(f"{code[:-1]}{(int(code[-1]) + 1) % 10}")


@given(number=st.integers(1, 9_999_999), place=st.integers(0, 6), step=st.integers(1, 9))
def test_one_wrong_digit_is_always_seen(number: int, place: int, step: int) -> None:
    digits = str(number)
    place %= len(digits)
    wrong = f"{digits[:place]}{(int(digits[place]) + step) % 10}{digits[place + 1 :]}"
    assert check_digit(digits) != check_digit(wrong)
