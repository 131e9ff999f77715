"""HL7 time text → instant and precision. Law: a bare date is a day, not its midnight; no zone is the source's zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from services.ingest.domain.message import NULL
from services.ingest.domain.values import Precision

_PRECISION_BY_LENGTH = {
    8: Precision.DAY,
    10: Precision.HOUR,
    12: Precision.MINUTE,
    14: Precision.SECOND,
}
_VAGUE_LENGTHS = (4, 6)
_ZONE_LENGTH = 5
_NOON = 12
_LAST_SECOND = 59
_LEAP_SECOND = 60
_END_OF_DAY = 24
_OLDEST_YEAR = 1900
_ISO_DATE_LENGTH = 10
_MAXIMUM_ZONE_MINUTES = 14 * 60


@dataclass(frozen=True, slots=True)
class Stamp:
    """An instant (UTC) or None, how exactly it was said, and `odd`: it was said in a way that raises doubt."""

    at: datetime | None
    precision: Precision
    odd: bool = False


NOTHING = Stamp(None, Precision.UNKNOWN)
INVALID = Stamp(None, Precision.UNKNOWN, odd=True)


@lru_cache(maxsize=8192)
def read_time(text: str, zone: tzinfo) -> Stamp:
    """Read `YYYYMMDD[HH[MM[SS[.S]]]][+ZZZZ]`; also `YYYY-MM-DD[ HH:MM[:SS]]`. Never raises.

    Empty gives `NOTHING`; what is no time, lies before 1900 or says less than a day gives `INVALID`. `odd` besides:
    24:00, second 60, and clock times that happened twice or never where the clocks change (the first one is taken).
    """
    text = text.strip()
    if not text or text == NULL:
        return NOTHING
    digits, offset = _without_zone(_plain(text))
    digits, dot, fraction = digits.partition(".")
    if not (digits.isascii() and digits.isdigit()) or (dot and not fraction.isdigit()):
        return INVALID
    precision = _PRECISION_BY_LENGTH.get(len(digits))
    if precision is None or offset is INVALID:
        return INVALID
    return _instant(digits, precision, offset if isinstance(offset, tzinfo) else zone)


def zone_of(text: str) -> tzinfo | None:
    """Return the offset a time states, or None: it states none."""
    offset = _without_zone(text.strip())[1]
    return offset if isinstance(offset, tzinfo) else None


@lru_cache(maxsize=8192)
def read_birth_date(text: str) -> str | None:
    """Return the day of birth as YYYY-MM-DD, or None: less than a day is no birth date to compare."""
    digits = text.strip().replace("-", "")[:8]
    if len(digits) < len("YYYYMMDD") or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).isoformat()
    except ValueError:
        return None


def _plain(text: str) -> str:
    """Take the dashes and colons out of the other way to write a time; leave everything else alone."""
    day, rest = text[:_ISO_DATE_LENGTH], text[_ISO_DATE_LENGTH:]
    if day[4:5] != "-" or day[7:8] != "-" or (rest and rest[0] not in " T"):
        return text
    clock, sign, zone = rest[1:].partition("+")
    if clock.endswith("Z"):
        clock, sign, zone = clock[:-1], "+", "0000"
    return day.replace("-", "") + clock.replace(":", "") + sign + zone.replace(":", "")


def _without_zone(text: str) -> tuple[str, tzinfo | Stamp | None]:
    sign = text[-_ZONE_LENGTH : -_ZONE_LENGTH + 1]
    if sign not in {"+", "-"}:
        return text, None
    zone = text[-_ZONE_LENGTH + 1 :]
    if not (zone.isascii() and zone.isdigit()):
        return text, INVALID
    minutes = int(zone[:2]) * 60 + int(zone[2:])
    if minutes > _MAXIMUM_ZONE_MINUTES:
        return text, INVALID
    return text[:-_ZONE_LENGTH], timezone(timedelta(minutes=minutes if sign == "+" else -minutes))


def _instant(digits: str, precision: Precision, zone: tzinfo) -> Stamp:
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    hour = int(digits[8:10] or 0) if precision is not Precision.DAY else _NOON
    minute, second = int(digits[10:12] or 0), int(digits[12:14] or 0)
    late = hour == _END_OF_DAY and minute == second == 0
    leap = second == _LEAP_SECOND
    try:
        local = datetime(
            year, month, day, 0 if late else hour, minute, _LAST_SECOND if leap else second, tzinfo=zone
        ) + timedelta(days=late)
        at = local.astimezone(UTC)
    except (ValueError, OverflowError):
        return INVALID
    if year < _OLDEST_YEAR:
        return INVALID
    unsure = local.utcoffset() != local.replace(fold=1).utcoffset() and precision is not Precision.DAY
    return Stamp(at, precision, odd=late or leap or unsure)
