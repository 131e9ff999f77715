"""Calcium corrected for albumin, where the laboratory did not report it."""

from decimal import Decimal

import pytest

from services.detector.domain.calcium import derive
from tests.spec.bedside import a_result, enrolled


@pytest.mark.parametrize(
    ("albumin_at", "value", "doubtful"),
    [
        pytest.param("19 Jan 08:00", "2.40", False, id="same draw"),
        pytest.param("19 Jan 10:00", "2.40", False, id="exactly 2 h later"),
        pytest.param("19 Jan 06:00", "2.40", False, id="exactly 2 h earlier"),
        pytest.param("19 Jan 10:01", "2.20", True, id="too far: the total, high direction only"),
    ],
)
def test_albumin_within_two_hours_corrects(albumin_at: str, value: str, doubtful: bool) -> None:
    total, albumin = a_result("CALCIUM_TOTAL", "2.20", "19 Jan"), a_result("ALBUMIN", "30", albumin_at)
    derived = derive(total, [total, albumin])
    assert derived is not None
    assert derived.value == Decimal(value)
    assert bool(derived.remarks) is doubtful


def test_a_reported_corrected_value_wins() -> None:
    total, reported = a_result("CALCIUM_TOTAL", "2.2", "19 Jan"), a_result("CALCIUM_CORRECTED", "2.5", "19 Jan 09:00")
    assert derive(total, [total, reported]) is None


def test_a_low_total_without_albumin_says_nothing_and_a_high_one_does() -> None:
    bedside = enrolled().report("19 Jan", CALCIUM_TOTAL="1.2")
    assert bedside.standing() == []
    bedside.report("20 Jan", CALCIUM_TOTAL="3.5")
    assert bedside.standing() == ["ctcae.hypercalcemia-corrected 4 P1"]


def test_an_albumin_that_comes_later_judges_the_calcium_again() -> None:
    bedside = enrolled().report("19 Jan", CALCIUM_TOTAL="1.6").report("19 Jan 09:00", ALBUMIN="35")
    assert "ctcae.hypocalcemia-corrected 3 P2" in bedside.standing()
    bedside = enrolled().report("19 Jan", CALCIUM_TOTAL="3.5").report("19 Jan 09:00", ALBUMIN="55")
    assert bedside.standing() == ["ctcae.hypercalcemia-corrected 3 P2"]
    assert bedside.heard()[-1] == "revised ctcae.hypercalcemia-corrected 3 P2"
