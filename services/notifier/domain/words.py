"""The words of one language, and how it writes numbers, units and times.

Pure: the catalogue is an argument; `adapters/templates.py` reads it from `templates/<language>/words.toml`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import StrEnum

from services.notifier.domain.evidence import Reading


class Language(StrEnum):
    """The languages every message and page exists in."""

    ZH = "zh"
    EN = "en"


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
GROUPED_FROM = 10_000
UNITS = {"ug/L": "µg/L", "umol/L": "µmol/L", "10*9/L": "×10⁹/L", "10*12/L": "×10¹²/L", "uU/mL": "µU/mL", "1": ""}
COMPARATORS = {"<=": "≤", ">=": "≥"}


@dataclass(frozen=True, slots=True)
class Words:
    """A catalogue: section, key, text. `zone` is the site's; every time is written in it."""

    language: Language
    catalogue: Mapping[str, Mapping[str, str]]
    zone: tzinfo

    def say(self, section: str, key: str, **values: object) -> str:
        """Return the text of a key with its places filled in. Raises KeyError: a missing text is a bug."""
        return self.catalogue[section][key].format_map(values)

    def name(self, section: str, key: str | None) -> str:
        """Return the name of a thing; what the catalogue does not know keeps its own name."""
        return "" if key is None else self.catalogue[section].get(key, key)

    def names(self, section: str, keys: Iterable[str]) -> str:
        """Return several names as a list in a sentence."""
        return self.catalogue["form"]["comma"].join(self.name(section, key) for key in keys)

    def knows(self, section: str, key: str) -> bool:
        """Tell whether the catalogue has a text for this key."""
        return key in self.catalogue[section]

    def number(self, value: Decimal) -> str:
        """Write a number with all its digits; English groups thousands from 10,000 on."""
        plain = format(value, "f")
        return f"{Decimal(plain):,f}" if self.language is Language.EN and abs(value) >= GROUPED_FROM else plain

    def amount(self, value: Decimal, unit: str | None = None, comparator: str | None = None) -> str:
        """Write a value with its comparator and unit."""
        sign = COMPARATORS.get(comparator or "", comparator or "")
        shown = f"{sign} {self.number(value)}".strip()
        return f"{shown} {UNITS.get(unit, unit)}".strip() if unit else shown

    def reading(self, reading: Reading) -> str:
        """Write the value of a reading."""
        return self.amount(reading.value, reading.unit, reading.comparator)

    def limits(self, reading: Reading) -> str:
        """Write the reference limits that were sent with a value."""
        low, high = reading.reference_low, reading.reference_high
        if low is None and high is None:
            return self.say("form", "no_limits")
        if low is None:
            return f"≤ {self.amount(high or Decimal(0), reading.unit)}"
        if high is None:
            return f"≥ {self.amount(low, reading.unit)}"
        return f"{self.number(low)}–{self.amount(high, reading.unit)}"

    def day(self, at: datetime) -> str:
        """Write the site's calendar day of an instant."""
        local = at.astimezone(self.zone)
        if self.language is Language.ZH:
            return f"{local.year}年{local.month}月{local.day}日"
        return f"{local.day} {MONTHS[local.month - 1]} {local.year}"

    def time(self, at: datetime, *, by_day: bool = False) -> str:
        """Write an instant in site time."""
        return self.day(at) if by_day else f"{self.day(at)} {at.astimezone(self.zone):%H:%M}"

    def zone_name(self, at: datetime) -> str:
        """Write which clock the times are read on."""
        offset = f"{at.astimezone(self.zone):%z}"
        return f"{self.zone}, UTC{offset[:3]}:{offset[3:5]}"
