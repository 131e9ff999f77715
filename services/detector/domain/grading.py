"""Grade a result by a CTCAE term, and say which higher grades cannot be excluded (RULES.md 3.4).

Law: the highest matching band wins. A band whose limit is missing cannot match; if none matches and one was
undecidable, the result is ungradable, which is never "normal".
"""

from dataclasses import dataclass
from decimal import Decimal

from services.detector.domain.baseline import Baseline, fold_base
from services.detector.domain.intervals import is_beyond
from services.detector.domain.rules import Band, CtcaeTerm, When
from services.detector.domain.values import Comparator


@dataclass(frozen=True, slots=True)
class Graded:
    """`grade` is certain; `ceiling` is the highest grade not excluded. grade 0 and ceiling > 0: ungradable."""

    grade: int
    ceiling: int


NORMAL = Graded(0, 0)


def _near(band: Band, low: Decimal | None, high: Decimal | None, base: Decimal | None) -> Decimal | None:
    """Return the near bound in the unit of the value; None: it needs a limit that is missing.

    A bound against the baseline and the ULN holds past both; without a baseline the ULN alone speaks.
    """
    near = band.near
    if near.value is not None:
        return near.value
    if near.uln is not None:
        limit = None if high is None else near.uln * high
        if near.baseline is not None and base is not None and limit is not None:
            return max(limit, near.baseline * base)
        return limit
    if near.lln is not None:
        return None if low is None else near.lln * low
    assert near.baseline is not None
    assert base is not None
    return near.baseline * base


def _only_baseline(band: Band) -> bool:
    near = band.near
    return near.baseline is not None and near.uln is None


def grade(
    term: CtcaeTerm,
    value: Decimal,
    comparator: Comparator | None,
    low: Decimal | None,
    high: Decimal | None,
    baseline: Baseline | None,
) -> Graded:
    """Grade a value (canonical unit) with its own limits against the patient's baseline.

    A missing baseline is "baseline not high": bands against the baseline alone do not speak.
    """
    base = fold_base(baseline)
    upper = (baseline.high if baseline.high is not None else high) if baseline is not None else None
    is_high = base is not None and upper is not None and base > upper
    upward = term.high
    ceiling = 0
    for band in term.bands_high if is_high else term.bands_plain:
        if base is None and _only_baseline(band):
            continue
        near = _near(band, low, high, base)
        strict = band.near.strict
        if band.when is When.BELOW_LLN and near is not None:
            if low is None:
                near = None
            elif near >= low:
                near, strict = low, True
        if near is None:
            met = None
        elif comparator is None:
            met = (value > near or (not strict and value == near)) if upward else (
                value < near or (not strict and value == near))  # fmt: skip
        else:
            met = is_beyond(value, comparator, near, high=upward, strict=strict)
        if met:
            return Graded(band.grade, max(ceiling, band.grade))
        if met is None and not ceiling:
            ceiling = band.grade
    return Graded(0, ceiling) if ceiling else NORMAL


def baseline_grade(term: CtcaeTerm, baseline: Baseline | None, low: Decimal | None, high: Decimal | None) -> int:
    """Return the grade of the baseline graded against itself, with its own limits, else those of the result."""
    if baseline is None:
        return 0
    own_low = baseline.low if baseline.low is not None else low
    own_high = baseline.high if baseline.high is not None else high
    return grade(term, baseline.value, None, own_low, own_high, baseline).grade
