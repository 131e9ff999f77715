"""The patient's own baseline of an analyte: pinned, own, provisional or none (RULES.md 2).

Law: a baseline is never guessed. What may not be compared, is censored upwards or was never measured gives none.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.detector.domain.intervals import RANK, UPWARD, ZERO
from services.detector.domain.results import METHOD_CODES, method_of, resulted_at
from services.detector.domain.statements import BaselineKind
from services.detector.domain.values import Comparator, LabResult


@dataclass(frozen=True, slots=True)
class Baseline:
    """A value to compare with, and its limits where its own sample had them."""

    kind: BaselineKind
    value: Decimal
    collected_at: datetime | None
    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A usable value kept because a later result may be compared with it. `order`: when resulted, for ties."""

    as_baseline: Baseline
    comparator: Comparator | None
    collected_at: datetime
    order: datetime
    specimen: str | None
    assay: str | None
    method: str

    @property
    def value(self) -> Decimal:
        """The value to compare with; of a censored one its bound."""
        return self.as_baseline.value


def candidate_of(
    result: LabResult, at: datetime, low: Decimal | None, high: Decimal | None, kind: BaselineKind
) -> Candidate:
    """Keep what a later comparison needs of a usable result; `kind`: of the baseline it may become."""
    assert result.value is not None
    return Candidate(
        Baseline(kind, result.value, at, low, high), result.comparator, at, resulted_at(result),
        result.specimen, result.assay, method_of(result.analyte, result.code),
    )  # fmt: skip


def is_comparable(candidate: Candidate, result: LabResult) -> bool:
    """Return whether two values of one analyte may be compared (RULES.md 1.5)."""
    specimen, assay = candidate.specimen, candidate.assay
    if specimen != result.specimen and specimen is not None and result.specimen is not None:
        return False
    if assay != result.assay and assay is not None and result.assay is not None:
        return False
    method = method_of(result.analyte, result.code) if result.analyte in METHOD_CODES else ""
    return candidate.method == method


def _same_key(one: Candidate, other: Candidate) -> bool:
    return one.specimen == other.specimen and one.assay == other.assay and one.method == other.method


def _place(one: Candidate) -> tuple[datetime, datetime, Decimal, int]:
    """By collection, then result, then value; of equal numbers the one that stands for larger values comes last."""
    return one.collected_at, one.order, one.value, RANK[one.comparator]


def _is_later(one: Candidate, other: Candidate) -> bool:
    return _place(one) > _place(other)


def with_newest(kept: tuple[Candidate, ...], new: Candidate) -> tuple[Candidate, ...]:
    """Keep the newest candidate of each kind of sample."""
    for at, old in enumerate(kept):
        if _same_key(old, new):
            return (*kept[:at], new, *kept[at + 1 :]) if _is_later(new, old) else kept
    return (*kept, new)


def with_first(kept: tuple[Candidate, ...], new: Candidate) -> tuple[Candidate, ...]:
    """Keep the first candidate of each kind of sample, by the order in which "newest" is the last."""
    for at, old in enumerate(kept):
        if _same_key(old, new):
            return (*kept[:at], new, *kept[at + 1 :]) if _is_later(old, new) else kept
    return (*kept, new)


def newest_comparable(kept: tuple[Candidate, ...], result: LabResult) -> Candidate | None:
    """Return the newest candidate that `result` may be compared with."""
    found: Candidate | None = None
    for candidate in kept:
        if is_comparable(candidate, result) and (found is None or _is_later(candidate, found)):
            found = candidate
    return found


def first_comparable(kept: tuple[Candidate, ...], result: LabResult) -> Candidate | None:
    """Return the earliest candidate that `result` may be compared with."""
    found: Candidate | None = None
    for candidate in kept:
        if is_comparable(candidate, result) and (found is None or _is_later(found, candidate)):
            found = candidate
    return found


def baseline_for(
    result: LabResult, pin: Baseline | None, own: tuple[Candidate, ...], provisional: tuple[Candidate, ...]
) -> Baseline | None:
    """Return the baseline of a result collected after the first dose; None: only absolute criteria speak.

    A pin wins, whatever was measured. A newest own value above the measuring range ends the search: the state before
    the dose was "above x", an older low value would invent a rise.
    """
    if pin is not None:
        return pin
    found = newest_comparable(own, result) if own else None
    if found is None and provisional:
        found = first_comparable(provisional, result)
    if found is None or found.comparator in UPWARD:
        return None
    return found.as_baseline


def fold_base(baseline: Baseline | None) -> Decimal | None:
    """Return the value to multiply; a baseline of 0 or less is none for folds."""
    return baseline.value if baseline is not None and baseline.value > ZERO else None
