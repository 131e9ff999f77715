"""Whom and when the detector watches: consent, first dose, status. First dose Mon 5 Jan 09:00."""

import pytest

from tests.spec.bedside import Bedside, enrolled, ferritins


@pytest.mark.parametrize(
    ("status", "standing"),
    [
        pytest.param("enrolled", ["ferritin.rise 2 P2"], id="enrolled"),
        pytest.param("completed", ["ferritin.rise 2 P2"], id="completed: irAEs come late"),
        pytest.param("screening", [], id="screening"),
        pytest.param("withdrawn", [], id="withdrawn"),
        pytest.param("deceased", [], id="deceased"),
    ],
)
def test_only_the_enrolled_and_the_completed_are_watched(status: str, standing: list[str]) -> None:
    assert ferritins(enrolled(status=status), [("2 Jan", "80"), ("19 Jan", "240")]).standing() == standing


@pytest.mark.parametrize(
    ("status", "reason"),
    [pytest.param("withdrawn", "withdrawn", id="withdrawal"), pytest.param("deceased", "deceased", id="death")],
)
def test_leaving_the_trial_clears_alerts_and_stops_plans_with_the_reason(status: str, reason: str) -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")]).enrolled(status=status, received="20 Jan")
    assert bedside.standing() == []
    assert (bedside.said[-1].action, bedside.said[-1].reason) == ("cleared", reason)
    assert (bedside.plans[-1].status, bedside.plans[-1].reason) == ("stopped", reason)


def test_before_the_first_dose_only_p1_speaks_and_asks_for_nothing() -> None:
    bedside = enrolled().report("2 Jan", POTASSIUM="7.2", FERRITIN="3000", ALT="700")
    assert bedside.standing() == ["ctcae.hyperkalemia 4 P1"]
    assert bedside.plan() is None


def test_with_an_unknown_first_dose_a_dangerous_potassium_is_not_silent() -> None:
    bedside = enrolled(dose=None).report("19 Jan", POTASSIUM="7.2", FERRITIN="3000")
    assert bedside.standing() == ["ctcae.hyperkalemia 4 P1"]
    assert bedside.plan() is None


def test_a_first_dose_recorded_later_judges_the_past_again() -> None:
    bedside = ferritins(enrolled(dose=None), [("2 Jan", "80"), ("19 Jan", "240")])
    assert bedside.standing() == []
    bedside.enrolled(received="20 Jan")
    assert bedside.standing() == ["ferritin.rise 2 P2"]


@pytest.mark.parametrize(
    ("collected", "standing"),
    [
        pytest.param("19 Dec 2025 07:59", [], id="a minute before the consent: a fact only"),
        pytest.param("19 Dec 2025 08:00", ["ctcae.hyperkalemia 4 P1"], id="at the consent"),
    ],
)
def test_what_was_collected_before_the_consent_is_a_fact_only(collected: str, standing: list[str]) -> None:
    bedside = enrolled(consent="19 Dec 2025 08:00")
    assert bedside.report(collected, "20 Dec 2025 13:00", POTASSIUM="7.2").standing() == standing


def test_of_a_patient_nobody_enrolled_nothing_is_said() -> None:
    bedside = ferritins(Bedside(), [("19 Jan", "8000")])
    assert bedside.said == []
    assert len(bedside.facts) == 1


@pytest.mark.parametrize(
    ("arm", "wording"),
    [
        pytest.param("immunotherapy", "irae-suspected", id="immunotherapy"),
        pytest.param("targeted", "ae-possible", id="targeted therapy"),
        pytest.param("chemotherapy", "ae-possible", id="chemotherapy"),
    ],
)
def test_only_the_immunotherapy_arm_is_worded_as_irae(arm: str, wording: str) -> None:
    bedside = ferritins(enrolled(arm=arm), [("2 Jan", "80"), ("19 Jan", "240")])
    assert bedside.said[0].wording == wording
