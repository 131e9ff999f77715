"""The rule file of analytes is what the facts say, digit by digit."""

import tomllib

import pytest

from tools import generate_tables


def test_the_checked_in_file_is_fresh() -> None:
    assert generate_tables.TARGET.read_text("utf-8") == generate_tables.render()


@pytest.mark.parametrize(
    ("analyte", "unit", "factor"),
    [
        ("FERRITIN", "pmol/L", "0.445"),
        ("GLUCOSE", "mg/dL", "0.05551"),
        ("CREATININE", "mg/dL", "88.403"),
        ("PLATELETS", "/uL", "0.001"),
    ],
)
def test_factors_are_copied_digit_by_digit(analyte: str, unit: str, factor: str) -> None:
    rules = tomllib.loads(generate_tables.render())
    assert rules["analyte"][analyte]["factors"][unit] == factor
