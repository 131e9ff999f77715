"""Unit text → exact factor. Law: a unit is never guessed; what is not in the table converts nothing.

A folded unit is a spelling without the differences that carry no meaning: case, blanks, brackets, the two micro signs.
"""

import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from services.ingest.domain.message import NULL, unescape
from services.ingest.domain.profile import Profile
from services.ingest.domain.tables import CodeEntry, Tables

_SUPERSCRIPTS = {ord(sign): f"^{digit}" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")} | {ord("⁻"): "^-"}
_MEANINGLESS = str.maketrans({"µ": "u", "μ": "u", "×": "x", "·": ".", "∙": "."} | dict.fromkeys("{}[]() \t\n\xa0"))
_UNDECODABLE = ("?", "\ufffd", "礸", "碌", "Â", "Î", "¦", "Ã")


class UnitFault(StrEnum):
    """Why a unit converts nothing. `CONFLICT`: it is another quantity's unit, so the code or the unit is wrong."""

    MISSING = "unit_missing"
    UNKNOWN = "unit_unknown"
    UNDECODABLE = "unit_undecodable"
    CONFLICT = "unit_conflict"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as sent (None: none was), and the exact factor to the canonical unit or the reason why there is none."""

    text: str | None
    factor: Decimal | None
    fault: UnitFault | None = None


def fold(text: str) -> str:
    """Return the spelling by which units are compared. Superscripts become ^n first: NFKC would make 10⁹ into 109."""
    plain = unicodedata.normalize("NFKC", text.translate(_SUPERSCRIPTS)).translate(_MEANINGLESS)
    return plain.casefold()


@lru_cache(maxsize=8192)
def read_unit(  # the arguments are the key of the cache: a feed repeats the same few hundred
    tables: Tables, profile: Profile, entry: CodeEntry, separators: str, text: str, *, from_loinc: bool
) -> Unit:
    """Read OBX-6 (CWE) for one code: the site's own word first, then the table, then why not."""
    spellings = _spellings(text, separators)
    shown = spellings[-1][:100] if spellings else None
    if not spellings:
        default = profile.default_units.get(entry.analyte, "")
        factor = _factor(profile, entry, default)
        return Unit(None, factor, None if factor is not None else UnitFault.MISSING)
    factors = {factor for spelling in spellings if (factor := _factor(profile, entry, spelling)) is not None}
    if len(factors) == 1:
        return Unit(shown, factors.pop())
    if len(factors) > 1:
        return Unit(shown, None, UnitFault.CONFLICT)
    return Unit(shown, None, _why_not(tables, entry, spellings, from_loinc=from_loinc))


def _spellings(text: str, separators: str) -> list[str]:
    """What may be the unit, best last: its text, its code, and the whole field (an unescaped caret splits `10^9/L`)."""
    if not text or text == NULL:
        return []
    parts = [unescape(part, separators).strip() for part in text.split(separators[1])]
    candidates = [part for part in (*parts[1:2], parts[0]) if part and part != NULL]
    whole = unescape(text, separators).strip()
    if len(parts) == 2 and parts[1][:1].isdigit() and whole not in candidates:  # noqa: PLR2004 - code and text
        candidates.append(whole)
    return candidates


def _factor(profile: Profile, entry: CodeEntry, spelling: str) -> Decimal | None:
    folded = fold(spelling)
    stated = profile.units.get((entry.analyte, folded))
    return stated if stated is not None else entry.units.get(folded)


def _why_not(tables: Tables, entry: CodeEntry, spellings: list[str], *, from_loinc: bool) -> UnitFault:
    folded = {fold(spelling) for spelling in spellings}
    if folded & entry.shown_units:
        return UnitFault.UNKNOWN
    if any(sign in spelling for spelling in spellings for sign in _UNDECODABLE):
        return UnitFault.UNDECODABLE
    if from_loinc and folded & tables.known_units:
        return UnitFault.CONFLICT
    return UnitFault.UNKNOWN
