"""Three-valued comparison of a measured value, which may be a bound, with a number.

A value is an interval: (low, low_closed, high, high_closed); None stands for "no end". Answers: True met by every
value of the interval, False by none, None otherwise.
"""

from dataclasses import dataclass
from decimal import Decimal

Verdict = bool | None


@dataclass(frozen=True)
class Interval:
    """All values that the measured one may be."""

    low: Decimal | None
    low_closed: bool
    high: Decimal | None
    high_closed: bool


def interval(value: Decimal, comparator: str | None) -> Interval:
    """Return the interval that a value with a comparator stands for; results are never negative."""
    zero = Decimal(0)
    if comparator == ">":
        return Interval(value, False, None, False)
    if comparator == ">=":
        return Interval(value, True, None, False)
    if comparator == "<":
        return Interval(zero, False, value, False)
    if comparator == "<=":
        return Interval(zero, False, value, True)
    return Interval(value, True, value, True)


def at_least(v: Interval, bound: Decimal | None) -> Verdict:
    """v >= bound."""
    if bound is None:
        return None
    if v.low is not None and v.low >= bound:
        return True
    if v.high is not None and (v.high < bound or (v.high == bound and not v.high_closed)):
        return False
    return None


def above(v: Interval, bound: Decimal | None) -> Verdict:
    """v > bound."""
    if bound is None:
        return None
    if v.low is not None and (v.low > bound or (v.low == bound and not v.low_closed)):
        return True
    if v.high is not None and v.high <= bound:
        return False
    return None


def negate(verdict: Verdict) -> Verdict:
    """Not."""
    return None if verdict is None else not verdict


def at_most(v: Interval, bound: Decimal | None) -> Verdict:
    """v <= bound."""
    return negate(above(v, bound))


def below(v: Interval, bound: Decimal | None) -> Verdict:
    """v < bound."""
    return negate(at_least(v, bound))


def both(*verdicts: Verdict) -> Verdict:
    """Kleene's and."""
    if any(verdict is False for verdict in verdicts):
        return False
    return None if any(verdict is None for verdict in verdicts) else True


def either(*verdicts: Verdict) -> Verdict:
    """Kleene's or."""
    if any(verdict is True for verdict in verdicts):
        return True
    return None if any(verdict is None for verdict in verdicts) else False
