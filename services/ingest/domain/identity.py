"""Who a message is about and what a result is called. Law: never by a name, never by order of arrival.

The same result always gets the same id, whatever message, format or path it comes by.
"""

import hashlib
from dataclasses import dataclass

from services.ingest.domain.message import NULL, component, unescape
from services.ingest.domain.profile import Profile
from services.ingest.domain.structure import Fields

_UNIT = "\x1f"
"""Stands between the parts of a key; no part can hold it, control characters are stripped from every text."""
ID_LENGTH = 32
_FOREIGN_TYPES = frozenset(
    {"SS", "SSN", "NI", "NNCHN", "PRC", "DL", "PPN", "PASSPORT", "AN", "VN", "ACCT", "PRC-ID", "IDCARD", "MB", "HC"}
)
_SEX = {
    "F": "female",
    "FEMALE": "female",
    "女": "female",
    "2": "female",
    "M": "male",
    "MALE": "male",
    "男": "male",
    "1": "male",
}


@dataclass(frozen=True, slots=True)
class Identifier:
    """One repetition of PID-3 (CX)."""

    value: str
    authority: str
    universal: str
    kind: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The patient's number and the space it is unique in."""

    authority: str
    value: str


def field_of(fields: Fields | None, number: int) -> str:
    """Return field `number` as sent, or nothing."""
    return fields[number] if fields is not None and number < len(fields) else ""


def hashed(text: str) -> str:
    """Return the id of a natural key, 32 hex digits of a SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def key(*parts: str) -> str:
    """Return the natural key made of parts."""
    return _UNIT.join(parts)


def choose_patient(pid: Fields | None, separators: str, version: str, profile: Profile) -> Chosen | str:
    """Return the patient's number by the source's rules, or why not: `no_patient`, `patient_ambiguous`.

    In this order: a medical record number of our authority; any number of our authority; a medical record number;
    the only number. National and insurance numbers are never taken.
    """
    text = field_of(pid, 3)
    if not text.strip(separators[1] + separators[2] + ' "') and version.startswith(("2.1", "2.2", "2.3")):
        text = field_of(pid, 2)
    found = [_identifier(part, separators) for part in text.split(separators[2])]
    found = [identifier for identifier in found if identifier.value]
    if not found:
        return "no_patient"
    allowed = [identifier for identifier in found if identifier.kind not in _FOREIGN_TYPES]
    ours = [identifier for identifier in allowed if _is_ours(identifier, profile)]
    for group in (*_by_type(ours, profile), ours, *_by_type(allowed, profile), allowed if len(found) == 1 else []):
        chosen = {_named(identifier, profile) for identifier in group}
        if chosen:
            return chosen.pop() if len(chosen) == 1 else "patient_ambiguous"
    return "patient_ambiguous"


def _identifier(text: str, separators: str) -> Identifier:
    authority = component(text, 4, separators)
    universal = ""
    if text.count(separators[1]) >= 3:  # noqa: PLR2004 - CX-4
        parts = [unescape(part, separators).strip() for part in text.split(separators[1])[3].split(separators[4])]
        authority, universal = ("" if part == NULL else part for part in (*parts, "")[:2])
    return Identifier(component(text, 1, separators), authority, universal, component(text, 5, separators).upper())


def _is_ours(identifier: Identifier, profile: Profile) -> bool:
    return identifier.authority in profile.authority_aliases or identifier.universal in profile.authority_aliases


def _by_type(identifiers: list[Identifier], profile: Profile) -> list[list[Identifier]]:
    return [[item for item in identifiers if item.kind == kind] for kind in profile.identifier_types]


def _named(identifier: Identifier, profile: Profile) -> Chosen:
    stated = identifier.authority or identifier.universal
    if not stated or _is_ours(identifier, profile):
        return Chosen(profile.authority, identifier.value)
    return Chosen(stated, identifier.value)


def sex_of(text: str, separators: str) -> str | None:
    """Return `female` or `male`; everything else is nothing to compare. Digits after GB/T 2261.1."""
    return _SEX.get(component(text, 1, separators).upper())


def order_number(obr: Fields | None, orc: Fields | None, separators: str) -> str:
    """Return the filler order number with its namespace, else the placer's, marked as such, else nothing."""
    for place, mark in ((3, "filler"), (2, "placer")):
        numbers = [_entity(field_of(fields, place), separators) for fields in (obr, orc)]
        numbers = [number for number in numbers if number[0]]
        if numbers:
            value, namespace = numbers[0]
            namespace = namespace or next((space for other, space in numbers if other == value and space), "")
            return key(mark, value, namespace)
    return ""


def _entity(text: str, separators: str) -> tuple[str, str]:
    """EI: the number and its namespace (or universal id)."""
    text = text.split(separators[2], 1)[0]
    return component(text, 1, separators), component(text, 2, separators) or component(text, 3, separators)
