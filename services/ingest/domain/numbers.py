"""OBX-5 and OBX-7 → numbers, bounds, or a named reason why not. Law: exactly as written, no float, no guess."""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from services.ingest.domain.message import NULL, unescape
from services.ingest.domain.units import fold
from services.ingest.domain.values import Comparator

_COMPARATORS = {
    "<": Comparator.BELOW,
    "<=": Comparator.AT_MOST,
    "=<": Comparator.AT_MOST,
    "≤": Comparator.AT_MOST,
    "⩽": Comparator.AT_MOST,
    "≦": Comparator.AT_MOST,
    ">": Comparator.ABOVE,
    ">=": Comparator.AT_LEAST,
    "=>": Comparator.AT_LEAST,
    "≥": Comparator.AT_LEAST,
    "⩾": Comparator.AT_LEAST,
    "≧": Comparator.AT_LEAST,
    "=": None,
    "": None,
}
_NUMBER = r"(?:\d{1,15}(?:[.,]\d{1,15})?|[.,]\d{1,15})"
_VALUE = re.compile(rf"([<>=≤≥≦≧⩽⩾]{{0,2}})\s*([+-]?{_NUMBER})\s*([↑↓HL]{{0,2}}|.*)", re.DOTALL)
_TWO_SIDED = re.compile(rf"(-?{_NUMBER})\s*(?:-{{1,3}}|to|TO)\s*({_NUMBER})\s*(.*)", re.DOTALL)
_TWO_SIDED_BELOW_ZERO = re.compile(rf"(-{_NUMBER})\s*(?:-|to|TO)\s*(-{_NUMBER})\s*(.*)", re.DOTALL)
_ONE_SIDED = re.compile(rf"([<>=≤≥≦≧⩽⩾]{{1,2}})\s*(-?{_NUMBER})\s*(.*)", re.DOTALL)
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−－~～〜", "-"))
_GOES_ON = re.compile(r"[\d.,^:+\-⁰¹²³⁴⁵⁶⁷⁸⁹₀-₉①-⑳¼½¾⁄]|[eE][+-]?\d|/\s*\d")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width signs as their usual ones. NFKC would do more: it makes 52 of a 5 with the footnote 2."""
_ENTITY = re.compile(r"&(?:lt|gt|le|ge|#\d+);", re.IGNORECASE)
_GLUED = frozenset({"", "↑", "↓", "↑↑", "↓↓", "H", "L", "HH", "LL"})
_NOT_NUMBERS = frozenset({"nan", "inf", "infinity", "+inf", "-inf", "-infinity"})
_MAXIMUM_TEXT = 100
_TEXT_TYPES = frozenset({"ED", "RP"})
_TIME_TYPES = {"DT": (8,), "TM": (4, 6), "TS": (8, 12, 14), "DTM": (8, 12, 14), "DR": (8, 12, 14)}
"""Digits that a date or a time has: such an OBX-5 is no number, even under the code of one."""


@dataclass(frozen=True, slots=True)
class Number:
    """What an OBX-5 says: a number or bound; else `text` alone (no number was meant); else `fault` (one was)."""

    value: Decimal | None
    comparator: Comparator | None = None
    text: str | None = None
    unit: str = ""
    fault: str | None = None


@lru_cache(maxsize=16384)
def read_number(kind: str, text: str, separators: str, decimal_sign: str) -> Number:
    """Read OBX-5 whatever OBX-2 (`kind`) says; it is a hint, not a contract.

    Faults: `value_repeats`, `value_unparsable`. Grammar: [comparator] number [unit or ↑ ↓ H L]; of SN
    only comparator^number.
    """
    if not text or text == NULL or kind in _TEXT_TYPES:
        return Number(None)
    if separators[2] in text:
        repeats = [part for part in text.split(separators[2]) if part.strip()]
        if len(repeats) > 1:
            return _several(repeats, separators)
        text = repeats[0] if repeats else ""
    parts = [unescape(part, separators).strip() for part in text.split(separators[1])]
    if kind in _TIME_TYPES and parts[0].isdecimal() and len(parts[0]) in _TIME_TYPES[kind]:
        return Number(None, text=parts[0], fault="value_unparsable")
    if not any(parts[1:]):
        return _simple(parts[0], decimal_sign)
    return _structured(parts, decimal_sign)


def _several(repeats: list[str], separators: str) -> Number:
    """Nobody can say which of two numbers is meant; several texts are a text."""
    whole = " ".join(unescape(part, separators) for part in repeats)
    if any(char.isdigit() for char in whole):
        return Number(None, text=whole[:_MAXIMUM_TEXT], fault="value_repeats")
    return Number(None, text=whole[:_MAXIMUM_TEXT])


def _structured(parts: list[str], decimal_sign: str) -> Number:
    """SN: `>^90` is a bound, `^182` a number; a titre or a range is no number. A coded text is its words."""
    comparator, number, *rest = parts
    if comparator.translate(_WIDE) in _COMPARATORS and not any(rest):
        return _simple(comparator + number, decimal_sign)
    words = " ".join(part for part in parts if part)[:_MAXIMUM_TEXT]
    return _no_number(words.translate(_WIDE), words)


def _simple(written: str, decimal_sign: str) -> Number:
    text = written.translate(_WIDE).strip()
    if not text or text == NULL:
        return Number(None)
    match = _VALUE.fullmatch(text)
    if match is None:
        return _no_number(text, written)
    sign, digits, after = match.groups()
    after = after.strip()
    value = _decimal(digits, decimal_sign)
    if sign not in _COMPARATORS or value is None or _GOES_ON.match(after):
        return Number(None, text=written[:_MAXIMUM_TEXT], fault="value_unparsable")
    if after in _GLUED:
        return Number(value, _COMPARATORS[sign], written[:_MAXIMUM_TEXT])
    return Number(value, _COMPARATORS[sign], written[:_MAXIMUM_TEXT], unit=after)


def _no_number(text: str, written: str) -> Number:
    """`Negative` is a text; `?7`, `1.2.3`, `--` and `NaN` were meant to be numbers."""
    meant = text.casefold() in _NOT_NUMBERS or not any(char.isalpha() or char == "?" for char in text)
    meant = meant or any(char.isdigit() for char in text[:2]) or _ENTITY.match(text) is not None
    return Number(None, text=written[:_MAXIMUM_TEXT], fault="value_unparsable" if meant else None)


def _decimal(digits: str, decimal_sign: str) -> Decimal | None:
    """Read a number whose decimal sign is agreed; the other sign is ambiguous and makes it none."""
    other = "," if decimal_sign == "." else "."
    if other in digits:
        return None
    return Decimal(digits.replace(",", "."))


@dataclass(frozen=True, slots=True)
class Limits:
    """Reference limits as sent; `understood` is false where the text says something that is no limit."""

    low: Decimal | None = None
    high: Decimal | None = None
    understood: bool = True


NO_LIMITS = Limits()
NOT_UNDERSTOOD = Limits(understood=False)


@lru_cache(maxsize=8192)
def read_limits(text: str, unit: str, separators: str, decimal_sign: str) -> Limits:
    """Read OBX-7: `lo - hi` or `< x`, in brackets or not, with the result's own `unit` after it or not; else text."""
    plain = unescape(text, separators).replace("\xa0", " ").translate(_WIDE).translate(_DASHES)
    plain = plain.strip().removeprefix("[").removesuffix("]").removeprefix("(").removesuffix(")").strip()
    if not plain or plain == NULL:
        return NO_LIMITS
    one = _ONE_SIDED.fullmatch(plain)
    if one is not None:
        sign, number, after = one.groups()
        return _one_sided(sign, _decimal(number, decimal_sign), fits=_same_unit(after, unit))
    two = _TWO_SIDED.fullmatch(plain) or _TWO_SIDED_BELOW_ZERO.fullmatch(plain)
    if two is None:
        return NOT_UNDERSTOOD
    low, high = _decimal(two[1], decimal_sign), _decimal(two[2], decimal_sign)
    if low is None or high is None or low > high or not _same_unit(two[3], unit):
        return NOT_UNDERSTOOD
    return Limits(low, high)


def _one_sided(sign: str, bound: Decimal | None, *, fits: bool) -> Limits:
    comparator = _COMPARATORS.get(sign)
    if bound is None or comparator is None or not fits:
        return NOT_UNDERSTOOD
    return Limits(high=bound) if comparator in {Comparator.BELOW, Comparator.AT_MOST} else Limits(low=bound)


def _same_unit(after: str, unit: str) -> bool:
    return not after or fold(after) == fold(unit)
