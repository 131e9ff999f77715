"""The analytes we know: their codes, canonical units and exact factors.

Made by rulebook.py from rules/analytes.toml.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from services.ingest.domain.values import Analyte


@dataclass(frozen=True, slots=True, eq=False)
class CodeEntry:
    """What one code means. `units`: folded unit -> factor. `shown_units`: right for the code, not convertible."""

    analyte: Analyte
    canonical_unit: str
    units: Mapping[str, Decimal]
    shown_units: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """`loinc`: code -> entry; `analytes`: analyte -> entry, for a source's own codes; `known_units`: folded."""

    loinc: Mapping[str, CodeEntry]
    analytes: Mapping[str, CodeEntry]
    known_units: frozenset[str]
