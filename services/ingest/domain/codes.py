"""OBX-3 → what was measured. Law: by code and code system, never by display name; two answers are none.

LOINC counts only with its name beside it and a right check digit: `LN` stands after many things that are no LOINC.
"""

from dataclasses import dataclass
from functools import lru_cache

from services.ingest.domain.message import component
from services.ingest.domain.profile import Profile
from services.ingest.domain.tables import CodeEntry, Tables
from services.ingest.domain.values import Code

LOINC_NAMES = frozenset({"LN", "LOINC", "LNC", "2.16.840.1.113883.6.1", "HTTP://LOINC.ORG"})
LOINC = "LN"
_LOINC_DIGITS = 7
_MAXIMUM_TEXT = 300


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an OBX-3 says. Without `entry` it is not one of our analytes; `conflict`: its two codes disagree."""

    code: Code
    entry: CodeEntry | None
    from_loinc: bool = False
    conflict: bool = False


def is_loinc(code: str) -> bool:
    """Tell whether a text has the shape of a LOINC and its right mod-10 check digit."""
    number, dash, check = code.partition("-")
    if not dash or len(check) != 1 or not number or len(number) > _LOINC_DIGITS:
        return False
    if not (number.isascii() and number.isdigit() and check.isascii() and check.isdigit()):
        return False
    return check_digit(number) == int(check)


def check_digit(number: str) -> int:
    """Return the mod-10 check digit of the digits of a LOINC."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        doubled = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += doubled // 10 + doubled % 10
    return -total % 10


@lru_cache(maxsize=8192)
def read_code(tables: Tables, profile: Profile, separators: str, text: str) -> Meaning:
    """Read OBX-3 (CWE): primary and alternate code."""
    said = [
        (component(text, first, separators), component(text, first + 2, separators).upper(), first) for first in (1, 4)
    ]
    found = [(*_look_up(tables, profile, code, system), code, system, first) for code, system, first in said if code]
    known = [item for item in found if item[0] is not None]
    named = component(text, 2, separators) or component(text, 5, separators)
    if not known:
        code, system = (found[0][2], found[0][3]) if found else ("", "")
        return Meaning(Code(code[:100] or None, system[:100] or None, named[:_MAXIMUM_TEXT] or None), None)
    best = next((item for item in known if item[1]), known[0])
    entry, from_loinc, code, system, first = best
    spoken = component(text, first + 1, separators) or named
    shown = Code(code[:100], LOINC if from_loinc else system[:100] or None, spoken[:_MAXIMUM_TEXT] or None)
    return Meaning(shown, entry, from_loinc, conflict=_disagree(found))


def _look_up(tables: Tables, profile: Profile, code: str, system: str) -> tuple[CodeEntry | None, bool]:
    """Return the entry and whether the code is a LOINC (also one that is not ours)."""
    if system in LOINC_NAMES and is_loinc(code):
        return tables.loinc.get(code), True
    target = profile.codes.get((system, code))
    if target is not None:
        return tables.loinc.get(target) or tables.analytes.get(target), False
    if not system and is_loinc(code):
        entry = tables.loinc.get(code)
        return entry, entry is not None
    return None, False


def _disagree(found: list[tuple[CodeEntry | None, bool, str, str, int]]) -> bool:
    """A LOINC that is not ours beside a code that is says: something else was measured."""
    analytes = {entry.analyte if entry else None for entry, from_loinc, *_ in found if entry or from_loinc}
    return len(analytes) > 1
