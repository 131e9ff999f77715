"""Corrections, deletions, duplicates and late results, in whatever order they come."""

from itertools import permutations

import pytest

from services.detector.domain.values import EventId, LabReport
from tests.spec.bedside import REF, a_result, at, enrolled, ferritins


def _standing_after(*versions: tuple[str, str, str]) -> set[tuple[str, ...]]:
    """Return what stands after (status, value, resulted) of one result, over all orders of arrival."""
    outcomes = set()
    for order in permutations(versions):
        bedside = enrolled().report("2 Jan", FERRITIN="80")
        for number, (status, text, resulted) in enumerate(order):
            result = a_result("FERRITIN", text, "19 Jan", status=status, resulted_at=at(resulted))
            bedside.take(LabReport(EventId(f"v{number}"), REF, at("20 Jan 12:00"), (result,)))
        outcomes.add(tuple(bedside.standing()))
    return outcomes


P, F, C = ("P", "240", "19 Jan 09:00"), ("F", "240", "19 Jan 10:00"), ("C", "100", "19 Jan 11:00")


@pytest.mark.parametrize(
    ("versions", "standing"),
    [
        pytest.param([F], ("ferritin.rise 2 P2",), id="final"),
        pytest.param([P], ("ferritin.rise 2 P2",), id="a preliminary raises"),
        pytest.param([F, C], (), id="corrected to harmless"),
        pytest.param([F, ("D", "", "19 Jan 11:00")], (), id="deleted"),
        pytest.param([F, ("W", "240", "19 Jan 11:00")], (), id="posted to the wrong patient"),
        pytest.param([F, C, ("F", "240", "19 Jan 12:00")], (), id="an echo of the old value after the correction"),
        pytest.param([P, C, ("F", "240", "19 Jan 12:00")], (), id="an echo of the preliminary value"),
        pytest.param([F, C, ("F", "100", "19 Jan 12:00"), ("F", "240", "19 Jan 13:00")], (), id="both values echoed"),
        pytest.param(
            [F, ("D", "", "19 Jan 11:00"), ("F", "250", "19 Jan 12:00")],
            ("ferritin.rise 2 P2",),
            id="a new value after a deletion",
        ),
        pytest.param(
            [F, ("P", "90", "19 Jan 11:00")], ("ferritin.rise 2 P2",), id="a preliminary never replaces a final"
        ),
        pytest.param([F, ("F", "", "19 Jan 11:00")], ("ferritin.rise 2 P2",), id="a comment never replaces a number"),
        pytest.param([F, ("C", "", "19 Jan 11:00")], (), id="a correction without a number deletes"),
        pytest.param([P, ("U", "", "19 Jan 11:00")], ("ferritin.rise 2 P2",), id="U confirms the preliminary value"),
        pytest.param(
            [("F", "100", "19 Jan 10:00"), ("F", "240", "19 Jan 10:00")],
            ("ferritin.rise 2 P2",),
            id="the larger of a tie",
        ),
    ],
)
def test_the_same_version_stands_in_every_order_of_arrival(
    versions: list[tuple[str, str, str]], standing: tuple[str, ...]
) -> None:
    assert _standing_after(*versions) == {standing}


def test_a_correction_back_restores_what_was_withdrawn_under_the_same_name() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")])
    bedside.corrected("19 Jan", "19 Jan 11:00", FERRITIN="100").corrected("19 Jan", "19 Jan 12:00", FERRITIN="240")
    assert bedside.standing() == ["ferritin.rise 2 P2"]
    assert [alert.action for alert in bedside.said] == ["raised", "withdrawn", "raised"]
    assert len({alert.alert_id for alert in bedside.said}) == 1


def test_a_correction_to_a_lower_level_revises() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "600")])
    bedside.corrected("19 Jan", "19 Jan 11:00", FERRITIN="250")
    assert bedside.heard() == ["raised ferritin.rise 3 P2", "revised ferritin.rise 2 P2"]
    assert bedside.said[1].supersedes == bedside.said[0].seq


def test_a_correction_to_a_higher_level_escalates() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "250")])
    bedside.corrected("19 Jan", "19 Jan 11:00", FERRITIN="600")
    assert bedside.heard() == ["raised ferritin.rise 2 P2", "escalated ferritin.rise 3 P2"]


def test_a_corrected_baseline_is_a_corrected_judgement() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")])
    bedside.corrected("2 Jan", "20 Jan", FERRITIN="180")
    assert bedside.heard() == ["raised ferritin.rise 2 P2", "withdrawn ferritin.rise 2 P2"]


def test_a_correction_of_the_collection_time_moves_the_one_result_of_its_order() -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="80")
    wrong = a_result("FERRITIN", "240", "4 Feb", order_key="order-7")
    right = a_result("FERRITIN", "240", "19 Jan", order_key="order-7", status="C", resulted_at=at("4 Feb 11:00"))
    bedside.take(LabReport(EventId("wrong"), REF, at("4 Feb 10:00"), (wrong,)))
    bedside.take(LabReport(EventId("right"), REF, at("4 Feb 11:00"), (right,)))
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"


def test_a_correction_of_the_time_may_arrive_before_what_it_corrects() -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="80")
    wrong = a_result("FERRITIN", "240", "4 Feb", order_key="order-7")
    right = a_result("FERRITIN", "240", "19 Jan", order_key="order-7", status="C", resulted_at=at("4 Feb 11:00"))
    bedside.take(LabReport(EventId("right"), REF, at("4 Feb 11:00"), (right,)))
    bedside.take(LabReport(EventId("wrong"), REF, at("4 Feb 12:00"), (wrong,)))
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"


def test_a_report_of_another_birth_date_is_no_fact_and_is_said_to_be_none() -> None:
    bedside = enrolled(birth_date_token="token-a").report("2 Jan", FERRITIN="80")
    bedside.results(a_result("FERRITIN", "240", "19 Jan"), birth_date_token="token-b")
    assert bedside.standing() == []
    assert bedside.dead == ["identity_conflict"]


def test_a_corrected_registry_restores_what_was_kept_out() -> None:
    bedside = enrolled(birth_date_token="token-a").report("2 Jan", FERRITIN="80")
    bedside.results(a_result("FERRITIN", "240", "19 Jan"), birth_date_token="token-b")
    bedside.enrolled(birth_date_token="token-b", received="20 Jan")
    assert bedside.standing() == ["ferritin.rise 2 P2"]


@pytest.mark.parametrize(
    ("received", "late"),
    [
        pytest.param("22 Jan 08:00", False, id="72 h after its collection: news"),
        pytest.param("22 Jan 08:01", True, id="a minute more: known since"),
    ],
)
def test_what_arrives_late_is_told_as_known_since(received: str, late: bool) -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="80").report("19 Jan", received, FERRITIN="240")
    assert bedside.said[0].late is late


def test_a_late_p1_that_is_still_the_newest_pages() -> None:
    bedside = enrolled().report("19 Jan", "25 Jan", POTASSIUM="7.2")
    assert (bedside.said[0].urgency, bedside.said[0].late) == ("P1", False)


def test_a_late_p1_that_has_been_overtaken_does_not_page() -> None:
    bedside = enrolled().report("24 Jan", POTASSIUM="4.2").report("19 Jan", "25 Jan", POTASSIUM="7.2")
    assert (bedside.said[0].urgency, bedside.said[0].late) == ("P1", True)
