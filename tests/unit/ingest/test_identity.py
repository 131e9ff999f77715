"""Whose result it is: the source's rules, one step after the other, and never a guess."""

import pytest

from services.ingest.domain.identity import Chosen, choose_patient, order_number, sex_of
from services.ingest.domain.profile import Profile
from tests.unit.ingest.reading import SHANGHAI

SIGNS = "|^~\\&"
PROFILE = Profile("lab", "HOSP", SHANGHAI, authority_aliases=frozenset({"HOSP", "1.2.3"}))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        pytest.param("P1^^^HOSP^MR", Chosen("HOSP", "P1"), id="record number of our authority"),
        pytest.param("P1", Chosen("HOSP", "P1"), id="a bare number"),
        pytest.param("P1^^^&1.2.3&ISO^MR", Chosen("HOSP", "P1"), id="authority by its OID"),
        pytest.param("P1^^^OTHER^MR", Chosen("OTHER", "P1"), id="the same number elsewhere is another patient"),
        pytest.param("V1^^^HOSP^VN~P1^^^HOSP^MR", Chosen("HOSP", "P1"), id="record number before a visit number"),
        pytest.param(
            "X9^^^OTHER^MR~P1^^^HOSP^PI", Chosen("HOSP", "P1"), id="our authority before a foreign record number"
        ),
        pytest.param("X9^^^OTHER^PI~P1^^^^MR", Chosen("HOSP", "P1"), id="record number without authority"),
        pytest.param("P1^^^HOSP^MR~P1^^^HOSP^MR", Chosen("HOSP", "P1"), id="the same twice"),
        pytest.param("1101^^^PRC^NI~P1", "patient_ambiguous", id="a number without type beside a national one"),
        pytest.param("1101^^^PRC^NI", "patient_ambiguous", id="only a national number"),
        pytest.param("P1^^^HOSP^MR~P2^^^HOSP^MR", "patient_ambiguous", id="two record numbers of ours"),
        pytest.param("P1^^^A^MR~P2^^^B^MR", "patient_ambiguous", id="two foreign record numbers"),
        pytest.param("P1^^^A^XX~P2^^^B^XX", "patient_ambiguous", id="two of no known kind"),
        pytest.param('P1^^^""^MR', Chosen("HOSP", "P1"), id="HL7 null for an authority"),
        pytest.param("", "no_patient", id="none"),
        pytest.param('""', "no_patient", id="HL7 null"),
        pytest.param("^^^HOSP^MR", "no_patient", id="an authority without a number"),
    ],
)
def test_the_patient_is_chosen_by_rule(text: str, chosen: Chosen | str) -> None:
    assert choose_patient(["PID", "1", "OLD", text], SIGNS, "2.5", PROFILE) == chosen


def test_old_versions_may_have_the_number_in_pid_2() -> None:
    assert choose_patient(["PID", "1", "P7", ""], SIGNS, "2.3", PROFILE) == Chosen("HOSP", "P7")
    assert choose_patient(["PID", "1", "P7", ""], SIGNS, "2.5", PROFILE) == "no_patient"
    assert choose_patient(None, SIGNS, "2.5", PROFILE) == "no_patient"


@pytest.mark.parametrize(
    ("text", "sex"), [("F", "female"), ("m", "male"), ("女", "female"), ("1", "male"), ("O", None), ("", None)]
)
def test_sex_is_compared_only_where_it_says_something(text: str, sex: str | None) -> None:
    assert sex_of(text, SIGNS) == sex


def test_an_order_is_named_by_its_filler_else_by_its_placer() -> None:
    both = order_number(["OBR", "1", "O1", "F1^LIS"], ["ORC", "RE", "O1", "F1^LIS"], SIGNS)
    assert both == order_number(["OBR", "1", "O2", "F1"], ["ORC", "RE", "O1", "F1^LIS"], SIGNS)
    assert both == order_number(["OBR"], ["ORC", "RE", "", "F1^LIS"], SIGNS)
    assert order_number(["OBR", "1", "F1^LIS", ""], None, SIGNS) not in {both, ""}
    assert order_number(["OBR"], None, SIGNS) == ""
