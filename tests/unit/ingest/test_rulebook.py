"""The loader is strict: what is wrong in a rule or a site file stops the start with a sentence."""

from decimal import Decimal
from pathlib import Path

import pytest

from services.common.errors import Misconfigured
from services.ingest.domain.codes import is_loinc
from services.ingest.domain.units import fold
from services.ingest.rulebook import RULES, load_profiles, load_tables
from tests.unit.ingest.reading import tables

ROOT = Path(__file__).resolve().parents[3]
SOURCE = '[[source]]\nname = "lab"\nauthority = "HOSP"\nzone = "Asia/Shanghai"\n'


def _site(tmp_path: Path, text: str) -> Path:
    (tmp_path / "sources.toml").write_text(text, "utf-8")
    return tmp_path


def test_our_own_tables_hold_together() -> None:
    assert len(tables().analytes) == 55
    assert all(is_loinc(code) for code in tables().loinc)
    for entry in tables().analytes.values():
        assert entry.units[fold(entry.canonical_unit)] == Decimal(1)


def test_the_ferritin_codes_are_the_four_of_the_facts() -> None:
    assert {code for code, entry in tables().loinc.items() if entry.analyte == "FERRITIN"} == {
        "2276-4",
        "20567-4",
        "24373-3",
        "14723-1",
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param('loinc = "2276-4"', 'loinc = "2276-5"', "is no LOINC", id="check digit"),
        pytest.param('loinc = "2276-4"', 'loinc = "1742-6"', "already belongs to", id="a code twice"),
        pytest.param('"ug/L" = "1", "ug/dL" = "10"', '"ug/L" = "1", "ug/dL" = "1e1"', "decimal number", id="exponent"),
        pytest.param('"ug/L" = "1", "ug/dL" = "10"', '"ug/L" = "1", "ug/dL" = 10', "valid string", id="a float"),
        pytest.param('"ug/L" = "1", "ug/dL" = "10"', '"ug/L" = "2", "ug/dL" = "10"', "factor 1", id="canonical unit"),
        pytest.param(
            '"ug/L" = "1", "ug/dL" = "10"', '"ug/L" = "1", "UG/L" = "10"', "two factors", id="a spelling twice"
        ),
        pytest.param('name = "Ferritin"', 'name = "Ferritin"\nnick = "F"', "nick", id="unknown key"),
        pytest.param('source = "ctcae_facts.yaml, analytes, FERRITIN"\n', "", "source", id="no source"),
        pytest.param("[meta]", "[meta", "Expected", id="no TOML"),
    ],
)
def test_a_wrong_rule_file_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = RULES.read_text("utf-8")
    assert old in text
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "analytes.toml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(Misconfigured, match=said):
        load_tables(tmp_path)


def test_a_site_without_own_rules_has_ours(tmp_path: Path) -> None:
    assert load_tables(tmp_path).loinc.keys() == tables().loinc.keys()


def test_the_example_site_is_well_formed() -> None:
    profiles = load_profiles(ROOT / "deploy" / "site", tables())
    assert profiles.choose("ANYBODY", "ANYWHERE") is not None
    central = profiles.choose("LIS", "X")
    assert central is not None
    assert central.name == "central-lab"


def test_the_first_source_that_matches_is_taken(tmp_path: Path) -> None:
    other = SOURCE.replace('"lab"', '"poct"\napplication = "POCT"\nfacility = "ICU"')
    profiles = load_profiles(
        _site(tmp_path, other + SOURCE.replace("authority", 'application = "LIS"\nauthority')), tables()
    )
    chosen = (profiles.choose("POCT", "ICU"), profiles.choose("LIS", ""))
    names = [profile.name for profile in chosen if profile is not None]
    assert names == ["poct", "lab"]
    assert profiles.choose("POCT", "WARD") is None
    assert profiles.named("poct") is profiles.entries[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "source", id="empty"),
        pytest.param(SOURCE + SOURCE, "two sources are called lab", id="a name twice"),
        pytest.param(SOURCE + SOURCE.replace("lab", "other"), "never reached", id="an entry nobody reaches"),
        pytest.param(SOURCE.replace("Asia/Shanghai", "Peking"), "IANA", id="zone"),
        pytest.param(SOURCE + "colour = 1\n", "colour", id="unknown key"),
        pytest.param(
            SOURCE + '[[source.code]]\nsystem = "L"\ncode = "X"\n', "needs either", id="a code without target"
        ),
        pytest.param(
            SOURCE + '[[source.code]]\nsystem = "L"\ncode = "X"\nanalyte = "Y"\n', "unknown analyte", id="analyte"
        ),
        pytest.param(
            SOURCE + '[[source.code]]\nsystem = "L"\ncode = "X"\nloinc = "86914-9"\n', "no analyte has", id="LOINC"
        ),
        pytest.param(SOURCE + '[source.default_units]\nFERRITIN = "bushel"\n', "not convertible", id="default unit"),
        pytest.param(
            SOURCE + '[[source.unit]]\nanalyte = "FERRITIN"\nunit = "x"\nfactor = "2"\n',
            "reason",
            id="a factor without reason",
        ),
    ],
)
def test_a_wrong_site_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        load_profiles(_site(tmp_path, text), tables())


def test_a_missing_site_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"sources\.toml does not exist"):
        load_profiles(tmp_path, tables())
