"""What is agreed with one source of messages, and which profile a message belongs to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from enum import StrEnum

from services.ingest.domain.values import Analyte


class AckStyle(StrEnum):
    """`ENHANCED` answers CA, CE, CR and honours MSH-15; `ORIGINAL` always answers AA, AE, AR."""

    ORIGINAL = "original"
    ENHANCED = "enhanced"


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """One source. `application` and `facility` match MSH-3.1 and MSH-4.1; None matches everything.

    `authority` names the patients' number space in refs; ids whose assigning authority is one of `authority_aliases`
    belong to it, ids without one too. `codes`: (system upper case, code) -> analyte or LOINC. `units`: (analyte, folded
    unit) -> exact factor to the canonical unit. `default_units`: unit of results that come without one.
    """

    name: str
    authority: str
    zone: tzinfo
    application: str | None = None
    facility: str | None = None
    facility_name: str | None = None
    authority_aliases: frozenset[str] = frozenset()
    identifier_types: tuple[str, ...] = ("MR", "MRN", "MEDREC", "PI")
    decimal_sign: str = "."
    ack_style: AckStyle = AckStyle.ORIGINAL
    reject_code: str = "AE"
    accept_unsupported: bool = True
    refused_versions: frozenset[str] = frozenset()
    processing_ids: frozenset[str] = frozenset({"P"})
    codes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    units: Mapping[tuple[Analyte, str], Decimal] = field(default_factory=dict)
    default_units: Mapping[Analyte, str] = field(default_factory=dict)
    live_days: int = 90
    """Results collected longer ago than this on a live feed are `time-suspect`."""


@dataclass(frozen=True, slots=True, eq=False)
class Profiles:
    """The profiles of a site in the order of their file; the first that matches is taken."""

    entries: tuple[Profile, ...]

    def choose(self, application: str, facility: str) -> Profile | None:
        """Return the profile of a sender by MSH-3.1 and MSH-4.1, or None: nobody agreed on anything with it."""
        for profile in self.entries:
            if profile.application in {None, application} and profile.facility in {None, facility}:
                return profile
        return None

    def named(self, name: str) -> Profile | None:
        """Return the profile with this name."""
        return next((profile for profile in self.entries if profile.name == name), None)


@dataclass(frozen=True, slots=True, eq=False)
class Naming:
    """How persons are named outside: both are keyed, so they come from the shell.

    `patient_ref(authority, mrn)`; `token(kind, text)` with kind `birth-date` (text YYYY-MM-DD) or `sex` (female, male).
    """

    patient_ref: Callable[[str, str], str]
    token: Callable[[str, str], str]
