"""Units: every spelling of our table converts as the facts say, and nothing else converts."""

from decimal import Decimal

import pytest

from services.ingest.domain.profile import Profile
from services.ingest.domain.units import UnitFault, fold, read_unit
from services.ingest.domain.values import Analyte
from tests.unit.ingest.reading import PROFILE, SHANGHAI, tables

SIGNS = "|^~\\&"


def _read(
    analyte: str, text: str, *, loinc: str | None = None, profile: Profile = PROFILE
) -> Decimal | UnitFault | None:
    entry = tables().loinc[loinc] if loinc else tables().analytes[analyte]
    unit = read_unit(tables(), profile, entry, SIGNS, text, from_loinc=loinc is not None)
    return unit.factor if unit.factor is not None else unit.fault


@pytest.mark.parametrize(
    ("analyte", "text", "factor"),
    [
        ("FERRITIN", "ng/mL", "1"),
        ("FERRITIN", "NG/ML", "1"),
        ("FERRITIN", "ug/L", "1"),
        ("FERRITIN", "\u00b5g/L", "1"),
        ("FERRITIN", "\u03bcg/L", "1"),
        ("FERRITIN", "ｕｇ／Ｌ", "1"),
        ("FERRITIN", "㎍/L", "1"),
        ("FERRITIN", "mcg/L^microgram per litre^L", "1"),
        ("FERRITIN", "^ng/mL", "1"),
        ("FERRITIN", "mg/L", "1000"),
        ("FERRITIN", "pmol/L", "0.445"),
        ("PLATELETS", "x10*9/L", "1"),
        ("PLATELETS", "x10\\S\\9/L", "1"),
        ("PLATELETS", "x10^9/L", "1"),
        ("PLATELETS", "10E9/L", "1"),
        ("PLATELETS", "×10⁹/L", "1"),
        ("PLATELETS", "G/l", "1"),
        ("PLATELETS", "K/uL", "1"),
        ("PLATELETS", "10*3/uL^x10*3/uL^UCUM", "1"),
        ("PLATELETS", "cells/uL", "0.001"),
        ("PLATELETS", "10^4/µL", "10"),
        ("HEMOGLOBIN", "g/dL", "10"),
        ("HEMOGLOBIN", "G/L", "1"),
        ("ALT", "IU/L", "1"),
        ("ALT", "µkat/L", "60"),
        ("CREATININE", "UMOLL", "1"),
        ("CREATININE", "mg/dl", "88.403"),
        ("EGFR", "mL/min/1.73 sq.m.", "1"),
        ("EGFR", "mL/min/1.73m²", "1"),
        ("TSH", "mIU/L", "1"),
        ("TSH", "µIU/mL", "1"),
        ("INR", "", "1"),
        ("APTT", "sec", "1"),
        ("D_DIMER", "ng/mL FEU", "0.001"),
        ("D_DIMER", "mg/L (FEU)", "1"),
        ("ESR", "mm/hr", "1"),
        ("POTASSIUM", "mEq/L", "1"),
    ],
)
def test_a_spelling_has_its_exact_factor(analyte: str, text: str, factor: str) -> None:
    assert _read(analyte, text) == Decimal(factor)


@pytest.mark.parametrize(
    ("analyte", "text", "loinc", "expected"),
    [
        pytest.param("UREA", "mg/dL", "3094-0", Decimal("0.3570"), id="urea nitrogen"),
        pytest.param("UREA", "mg/dL", "3091-6", Decimal("0.1665"), id="urea"),
        pytest.param("UREA", "mg/dL", None, UnitFault.UNKNOWN, id="urea or its nitrogen, nobody said which"),
        pytest.param("D_DIMER", "ug/mL", "48067-3", Decimal(1), id="the code says FEU"),
        pytest.param("D_DIMER", "ug/mL", None, UnitFault.UNKNOWN, id="FEU or DDU, nobody said which"),
        pytest.param("D_DIMER", "ng/mL", "91556-1", UnitFault.UNKNOWN, id="DDU is never converted"),
        pytest.param(
            "D_DIMER", "ng/mL{FEU}", "48066-5", UnitFault.UNKNOWN, id="a DDU code with another unit is not either"
        ),
        pytest.param("CK_MB", "U/L", "32673-6", UnitFault.UNKNOWN, id="CK-MB activity"),
        pytest.param("FERRITIN", "g/L", "2276-4", UnitFault.CONFLICT, id="another quantity's unit under a LOINC"),
        pytest.param("FERRITIN", "g/L", None, UnitFault.UNKNOWN, id="the same under a source's own code"),
        pytest.param("FERRITIN", "?g/L", "2276-4", UnitFault.UNDECODABLE, id="a lost micro sign"),
        pytest.param("FERRITIN", "礸/L", "2276-4", UnitFault.UNDECODABLE, id="a micro sign read as GB18030"),
        pytest.param("FERRITIN", "", "2276-4", UnitFault.MISSING, id="none"),
        pytest.param("FERRITIN", '""', "2276-4", UnitFault.MISSING, id="HL7 null"),
        pytest.param("FERRITIN", "bushel", "2276-4", UnitFault.UNKNOWN, id="never heard of"),
        pytest.param("FERRITIN", "ug/L^mg/L", "2276-4", UnitFault.CONFLICT, id="code and text disagree"),
    ],
)
def test_a_unit_is_never_guessed(analyte: str, text: str, loinc: str | None, expected: Decimal | UnitFault) -> None:
    assert _read(analyte, text, loinc=loinc) == expected


def test_a_site_may_state_what_only_it_can_know() -> None:
    profile = Profile(
        "x",
        "HOSP",
        SHANGHAI,
        units={(Analyte("D_DIMER"), fold("mg/L")): Decimal(1)},
        default_units={Analyte("FERRITIN"): "ng/mL"},
    )
    assert _read("D_DIMER", "MG/L", profile=profile) == Decimal(1)
    assert _read("FERRITIN", "", profile=profile) == Decimal(1)


def test_superscripts_become_powers_before_they_are_folded() -> None:
    assert fold("10⁹/L") == "10^9/l"
