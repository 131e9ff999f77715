"""What a result may be used for: its class, its place in time, what it can be compared with (RULES.md 1.3 to 1.5).

Law: doubt raises, doubt never clears.
"""

from datetime import datetime
from decimal import Decimal
from enum import IntEnum

from services.detector.domain.rules import SiteLimit
from services.detector.domain.values import LabResult, Precision, Sex

PRELIMINARY = frozenset("PRSION")
FINAL = frozenset("FABVU")
CORRECTED = frozenset("C")
DELETED = frozenset("DWX")
SENSITIVE_TO_HAEMOLYSIS = frozenset({"POTASSIUM", "LDH", "AST", "FERRITIN", "PHOSPHATE", "MAGNESIUM"})
METHOD_CODES = {
    "LDH": frozenset({"14804-9", "14805-6"}),
    "TROPONIN_I": frozenset({"89579-7"}),
    "TROPONIN_T": frozenset({"67151-1"}),
}
UNCORRECTED = "uncorrected-total"
ZERO = Decimal(0)


class Standing(IntEnum):
    """What a result may do: nothing, flag by itself, flag, everything."""

    NOTHING = 0
    TIME_DOUBTFUL = 1
    DOUBTFUL = 2
    USABLE = 3


def standing_of(result: LabResult) -> Standing:
    """Return what the current version of a result may be used for."""
    status = result.status
    if result.value is None or result.unit is None or status in DELETED:
        return Standing.NOTHING
    if not result.remarks and (status in FINAL or status in CORRECTED):
        # Most results end here.
        if result.collected_at is None or result.collected_precision is Precision.UNKNOWN:
            return Standing.TIME_DOUBTFUL
        return Standing.USABLE
    if _is_time_doubtful(result):
        return Standing.TIME_DOUBTFUL
    haemolysed = "haemolysed" in result.remarks and result.analyte in SENSITIVE_TO_HAEMOLYSIS
    certain = (status in FINAL or status in CORRECTED) and not haemolysed and UNCORRECTED not in result.remarks
    return Standing.USABLE if certain else Standing.DOUBTFUL


def _is_time_doubtful(result: LabResult) -> bool:
    unknown = result.collected_at is None or result.collected_precision is Precision.UNKNOWN
    return unknown or "time-suspect" in result.remarks


def resulted_at(result: LabResult) -> datetime:
    """Return when a version was stated: as its source says, else when we received it."""
    return result.resulted_at or result.received_at


def placed_at(result: LabResult) -> datetime:
    """Return the instant at which a result counts: its collection, or where that is in doubt when it was resulted."""
    collected_at = result.collected_at
    if collected_at is None or result.collected_precision is Precision.UNKNOWN or "time-suspect" in result.remarks:
        return resulted_at(result)
    return collected_at


def method_of(analyte: str, code: str | None) -> str:
    """Return the method group within which values of an analyte may be compared."""
    codes = METHOD_CODES.get(analyte)
    return code if codes and code in codes and code is not None else ""


def limits_of(result: LabResult, limits: tuple[SiteLimit, ...], sex: Sex) -> tuple[Decimal | None, Decimal | None]:
    """Return (LLN, ULN) of a result: as sent, else the site's, else None. A ULN of 0 or less is none."""
    low, high = result.reference_low, result.reference_high
    if high is not None and high <= ZERO:
        high = None
    if not limits or (low is not None and high is not None):
        return low, high
    for limit in limits:
        fits = limit.analyte == result.analyte and limit.assay in (None, result.assay)
        if fits and limit.sex in (None, sex):
            return limit.low if low is None else low, limit.high if high is None else high
    return low, high
