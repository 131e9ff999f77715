"""Laws of grading that hold for every term, value and limit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.domain.baseline import Baseline
from services.detector.domain.grading import grade
from services.detector.domain.rules import CtcaeTerm
from services.detector.domain.statements import BaselineKind
from services.detector.domain.values import Comparator
from tests.spec.bedside import RULES

TERMS = [rule for rule in RULES.rules.values() if isinstance(rule, CtcaeTerm)]
numbers = st.decimals(min_value="0.01", max_value=5000, places=2)
limits = st.one_of(st.none(), numbers)
baselines = st.one_of(st.none(), numbers)


def _baseline(value: Decimal | None) -> Baseline | None:
    return None if value is None else Baseline(BaselineKind.OWN, value, None)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: str(term.routing.rule_id))
@given(numbers, numbers, limits, limits, baselines)
def test_worse_values_never_have_a_lower_grade(
    term: CtcaeTerm, one: Decimal, other: Decimal, low: Decimal | None, high: Decimal | None, base: Decimal | None
) -> None:
    milder, worse = sorted([one, other], reverse=not term.high)
    mild = grade(term, milder, None, low, high, _baseline(base))
    bad = grade(term, worse, None, low, high, _baseline(base))
    assert bad.grade >= mild.grade
    assert bad.ceiling >= mild.ceiling or bad.grade == bad.ceiling


@pytest.mark.parametrize("term", TERMS, ids=lambda term: str(term.routing.rule_id))
@given(numbers, st.sampled_from(list(Comparator)), st.decimals("0.01", 50, places=2), limits, baselines)
def test_a_bound_is_never_graded_higher_than_any_value_it_stands_for(
    term: CtcaeTerm, value: Decimal, comparator: Comparator, step: Decimal, high: Decimal | None, base: Decimal | None
) -> None:
    low = None if high is None else high / 2
    upward = comparator in (Comparator.ABOVE, Comparator.AT_LEAST)
    member = value + step if upward else max(value - step, value / 2)
    bound = grade(term, value, comparator, low, high, _baseline(base))
    exact = grade(term, member, None, low, high, _baseline(base))
    assert bound.grade <= exact.grade
    assert exact.grade <= bound.ceiling
