"""A value with a comparator stands for an interval; a criterion is met if all of it meets it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.domain.intervals import every, is_above, is_below, is_beyond, some
from services.detector.domain.values import Comparator

ABOVE, AT_LEAST, BELOW, AT_MOST = Comparator.ABOVE, Comparator.AT_LEAST, Comparator.BELOW, Comparator.AT_MOST
numbers = st.decimals(min_value="0.01", max_value=100, places=2)
comparators = st.sampled_from([None, *Comparator])
TINY = Decimal("0.001")


@pytest.mark.parametrize(
    ("value", "comparator", "strict", "met"),
    [
        pytest.param("10", None, True, False, id="10 > 10"),
        pytest.param("10", None, False, True, id="10 >= 10"),
        pytest.param("10", ABOVE, True, True, id="every value above 10 is > 10"),
        pytest.param("10", AT_LEAST, True, None, id="10 or more may be 10"),
        pytest.param("10", AT_LEAST, False, True, id="10 or more is >= 10"),
        pytest.param("9", ABOVE, False, None, id="above 9 may be less than 10"),
        pytest.param("10", BELOW, False, False, id="below 10 is never >= 10"),
        pytest.param("10", AT_MOST, True, False, id="at most 10 is never > 10"),
        pytest.param("10", AT_MOST, False, None, id="at most 10 may be 10"),
        pytest.param("11", BELOW, True, None, id="below 11 may be above 10"),
    ],
)
def test_a_bound_meets_a_limit_or_does_not_or_may(
    value: str, comparator: Comparator | None, strict: bool, met: bool | None
) -> None:
    assert is_above(Decimal(value), comparator, Decimal(10), strict=strict) is met


def _members(value: Decimal, comparator: Comparator | None) -> list[Decimal]:
    """Return values of the interval, its ends among them."""
    match comparator:
        case Comparator.ABOVE:
            return [value + TINY, value + 1000]
        case Comparator.AT_LEAST:
            return [value, value + TINY, value + 1000]
        case Comparator.BELOW:
            return [TINY, value - TINY]
        case Comparator.AT_MOST:
            return [TINY, value - TINY, value]
        case _:
            return [value]


@given(numbers, comparators, numbers, st.booleans(), st.booleans())
def test_the_answer_is_that_of_every_value_of_the_interval(
    value: Decimal, comparator: Comparator | None, limit: Decimal, high: bool, strict: bool
) -> None:
    answers = {is_beyond(v, None, limit, high=high, strict=strict) for v in _members(value, comparator) if v > 0}
    met = is_beyond(value, comparator, limit, high=high, strict=strict)
    assert met is (answers.pop() if len(answers) == 1 else None)


def test_below_is_the_contrary_of_at_or_above() -> None:
    assert is_below(Decimal(9), None, Decimal(10), strict=True) is True
    assert is_below(Decimal(9), ABOVE, Decimal(10), strict=True) is None


def test_one_false_decides_all_and_one_true_decides_any() -> None:
    assert (every(True, None, False), every(True, None), every(True, True)) == (False, None, True)
    assert (some(False, None, True), some(False, None), some(False, False)) == (True, None, False)
