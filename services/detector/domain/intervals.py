"""Compare a measured value, which may be only a bound, with an exact limit: met, not met or unknown (RULES.md 1.2).

`>x` stands for every value above x, `<x` for every value between 0 and x. A criterion is met if all of them meet it.
"""

from decimal import Decimal

from services.detector.domain.values import Comparator

ZERO = Decimal(0)
UPWARD = (Comparator.ABOVE, Comparator.AT_LEAST)
RANK = {Comparator.BELOW: -2, Comparator.AT_MOST: -1, None: 0, Comparator.AT_LEAST: 1, Comparator.ABOVE: 2}
"""Order of values with the same number."""


def is_above(value: Decimal, comparator: Comparator | None, limit: Decimal, *, strict: bool) -> bool | None:
    """Return whether the value is > limit (`strict`) or >= limit; None: some of its interval is and some is not."""
    if comparator is None:
        return value > limit if strict else value >= limit
    if comparator in UPWARD:
        open_end = comparator is Comparator.ABOVE or not strict
        return True if value > limit or (open_end and value == limit) else None
    if limit < ZERO or (limit == ZERO and strict):
        return True
    excluded = value < limit or (value == limit and (strict or comparator is Comparator.BELOW))
    return False if excluded else None


def is_below(value: Decimal, comparator: Comparator | None, limit: Decimal, *, strict: bool) -> bool | None:
    """Return whether the value is < limit (`strict`) or <= limit; None as in `is_above`."""
    opposite = is_above(value, comparator, limit, strict=not strict)
    return None if opposite is None else not opposite


def is_beyond(
    value: Decimal, comparator: Comparator | None, limit: Decimal, *, high: bool, strict: bool
) -> bool | None:
    """Return whether the value lies past the limit in the direction of harm."""
    if high:
        return is_above(value, comparator, limit, strict=strict)
    return is_below(value, comparator, limit, strict=strict)


def every(*terms: bool | None) -> bool | None:
    """Return whether all hold: one that does not decides, else one unknown leaves it unknown."""
    if False in terms:
        return False
    return None if None in terms else True


def some(*terms: bool | None) -> bool | None:
    """Return whether one holds: one that does decides, else one unknown leaves it unknown."""
    if True in terms:
        return True
    return None if None in terms else False
