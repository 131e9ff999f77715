"""Calcium corrected for albumin, where the laboratory did not report it (RULES.md 1.6).

Ca + 0.02 x (40 - albumin g/L), mmol/L. Without albumin the total speaks for high calcium only: with the usual low
albumin it understates, so high is safe to believe and low is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from services.detector.domain.results import UNCORRECTED, Standing, placed_at, resulted_at, standing_of
from services.detector.domain.values import Analyte, LabResult, ResultId

if TYPE_CHECKING:
    from services.detector.domain.facts import Moment

TOTAL, CORRECTED, ALBUMIN = Analyte("CALCIUM_TOTAL"), Analyte("CALCIUM_CORRECTED"), Analyte("ALBUMIN")
INVOLVED = frozenset({TOTAL, CORRECTED, ALBUMIN})
SPAN = timedelta(hours=2)
SLOPE = Decimal("0.02")
NORMAL_ALBUMIN_G_PER_L = Decimal(40)


def with_corrected_calcium(moments: Sequence[Moment]) -> tuple[Moment, ...]:
    """Add the derived values to the moments at which they count."""
    involved = [result for moment in moments for result in moment.results if result.analyte in INVOLVED]
    if not any(result.analyte == TOTAL for result in involved):
        return tuple(moments)
    derived: dict[datetime, list[LabResult]] = {}
    for result in involved:
        if result.analyte == TOTAL:
            value = derive(result, involved)
            if value is not None:
                derived.setdefault(placed_at(value), []).append(value)
    return tuple(
        replace(moment, results=(*moment.results, *sorted(derived[moment.at], key=lambda r: r.result_id)))
        if moment.at in derived
        else moment
        for moment in moments
    )


def with_derived(results: tuple[LabResult, ...], earlier: Sequence[LabResult]) -> tuple[LabResult, ...]:
    """Add to the results of the newest moment what follows from them and from those of the 2 h before."""
    involved = [*earlier, *(result for result in results if result.analyte in INVOLVED)]
    derived = [derive(result, involved) for result in results if result.analyte == TOTAL]
    return (*results, *sorted((value for value in derived if value is not None), key=lambda r: r.result_id))


def derive(total: LabResult, others: Iterable[LabResult]) -> LabResult | None:
    """Return the corrected value of a total calcium; None: it was reported, or the total has no number."""
    if standing_of(total) is Standing.NOTHING:
        return None
    at = placed_at(total)
    near = [
        other for other in others if abs(placed_at(other) - at) <= SPAN and standing_of(other) is not Standing.NOTHING
    ]
    if any(other.analyte == CORRECTED for other in near):
        return None
    albumins = [other for other in near if other.analyte == ALBUMIN and other.comparator is None]
    if not albumins:
        return _named(replace(total, remarks=(*total.remarks, UNCORRECTED)))
    return _corrected(total, max(albumins, key=_newest))


def _newest(result: LabResult) -> tuple[datetime, datetime, Decimal]:
    assert result.value is not None
    return placed_at(result), resulted_at(result), result.value


def _corrected(total: LabResult, albumin: LabResult) -> LabResult:
    assert total.value is not None
    assert albumin.value is not None
    later = max((total, albumin), key=placed_at)
    in_doubt = "time-suspect" in later.remarks
    doubtful = not standing_of(total) is standing_of(albumin) is Standing.USABLE
    return _named(
        replace(
            total,
            value=total.value + SLOPE * (NORMAL_ALBUMIN_G_PER_L - albumin.value),
            collected_at=later.collected_at,
            collected_precision=later.collected_precision,
            resulted_at=max(resulted_at(total), resulted_at(albumin)),
            received_at=max(total.received_at, albumin.received_at),
            remarks=("time-suspect",) if in_doubt else (),
            status="P" if doubtful else total.status,
        )
    )


def _named(result: LabResult) -> LabResult:
    return replace(result, analyte=CORRECTED, result_id=ResultId(f"{result.result_id}~corrected"))
