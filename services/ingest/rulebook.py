"""Reads rules/analytes.toml and the site's sources.toml into domain values. Law: strict, a slip stops the start.

Every fault is one sentence that names the file, the place and what is expected there.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from services.common.errors import Misconfigured
from services.ingest.domain.codes import is_loinc
from services.ingest.domain.profile import AckStyle, Profile, Profiles
from services.ingest.domain.tables import CodeEntry, Tables
from services.ingest.domain.units import fold
from services.ingest.domain.values import Analyte

RULES = Path(__file__).parent / "rules" / "analytes.toml"
_EXACT = re.compile(r"\d{1,12}(\.\d{1,12})?")


def _exact(text: str) -> str:
    if not _EXACT.fullmatch(text) or not Decimal(text):
        raise ValueError("must be a positive decimal number in quotes, without exponent")
    return text


def _loinc(text: str) -> str:
    if not is_loinc(text):
        raise ValueError("is no LOINC: shape or check digit is wrong")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as problem:
        raise ValueError("is no IANA time zone such as Asia/Shanghai") from problem
    return text


Factor = Annotated[str, AfterValidator(_exact)]
Loinc = Annotated[str, AfterValidator(_loinc)]
Model = TypeVar("Model", bound=BaseModel)
Words = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Meta(_Strict):
    source: Words
    extra_factors_source: Words
    dimensionless_source: Words
    approved: Words


class _Code(_Strict):
    loinc: Loinc
    unit: Words
    factors: dict[str, Factor] = {}
    source: Words | None = None
    unconvertible: Words | None = None


class _Analyte(_Strict):
    name: Words
    canonical_unit: Words
    factors: dict[str, Factor]
    note: str = ""
    source: Words
    code: list[_Code]


class _Spellings(_Strict):
    source: Words
    units: dict[str, list[Words]]


class _Rules(_Strict):
    meta: _Meta
    analyte: dict[str, _Analyte]
    spellings: _Spellings


class _SourceCode(_Strict):
    system: str
    code: Words
    analyte: str | None = None
    loinc: Loinc | None = None


class _SourceUnit(_Strict):
    analyte: Words
    unit: Words
    factor: Factor
    reason: Words


class _Source(_Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    application: str | None = None
    facility: str | None = None
    facility_name: Words | None = None
    authority: Words
    authority_aliases: list[Words] = []
    identifier_types: list[Words] = ["MR", "MRN", "MEDREC", "PI"]
    zone: Annotated[str, AfterValidator(_zone)]
    decimal_sign: Literal[".", ","] = "."
    ack_style: Literal["original", "enhanced"] = "original"
    reject_code: Literal["AE", "AR"] = "AE"
    accept_unsupported: bool = True
    refused_versions: list[str] = []
    processing_ids: list[Literal["P", "T", "D"]] = ["P"]
    live_days: Annotated[int, Field(ge=1, le=3660)] = 90
    code: list[_SourceCode] = []
    unit: list[_SourceUnit] = []
    default_units: dict[str, Words] = {}


class _Sources(_Strict):
    source: Annotated[list[_Source], Field(min_length=1)]


def load_tables(site_dir: Path | None = None) -> Tables:
    """Read the analytes: the site's own `rules/analytes.toml` where there is one, else ours. Raises Misconfigured."""
    own = site_dir / "rules" / "analytes.toml" if site_dir is not None else None
    path = own if own is not None and own.exists() else RULES
    rules = _read(path, _Rules)
    faults = list(_faults_of_rules(rules))
    if faults:
        raise Misconfigured("rules", f"{path}: {'; '.join(faults)}")
    spelled = _Speller(rules.spellings.units)
    loinc: dict[str, CodeEntry] = {}
    analytes: dict[str, CodeEntry] = {}
    for name, analyte in rules.analyte.items():
        units = spelled.factors(analyte.factors)
        declared = frozenset(fold(unit) for code in analyte.code for unit in spelled.all(code.unit)) - units.keys()
        analytes[name] = CodeEntry(Analyte(name), analyte.canonical_unit, units, declared)
        for code in analyte.code:
            loinc[code.loinc] = _code_entry(name, analyte, code, spelled, declared)
    known = {unit for entry in (*analytes.values(), *loinc.values()) for unit in (*entry.units, *entry.shown_units)}
    return Tables(loinc, analytes, frozenset(unit for unit in known if unit and not unit.isdigit()))


class _Speller:
    """Knows every spelling of a unit."""

    def __init__(self, spellings: Mapping[str, list[str]]) -> None:
        self._spellings = spellings

    def all(self, unit: str) -> list[str]:
        return [unit, *self._spellings.get(unit, [])]

    def factors(self, factors: Mapping[str, str]) -> dict[str, Decimal]:
        return {fold(name): Decimal(factor) for unit, factor in factors.items() for name in self.all(unit)}


def _code_entry(name: str, analyte: _Analyte, code: _Code, spelled: _Speller, declared: frozenset[str]) -> CodeEntry:
    """A code has its analyte's units and its own; an unconvertible one shows every unit and converts none."""
    units = spelled.factors(analyte.factors) | spelled.factors(code.factors)
    if code.unconvertible is None:
        return CodeEntry(Analyte(name), analyte.canonical_unit, units, declared)
    bare = {fold(unit.split("{")[0]) for unit in spelled.all(code.unit)}
    shown = declared | units.keys() | bare | {fold(unit) for unit in ("ng/mL", "ug/L", "ug/mL", "mg/L", "U/L")}
    return CodeEntry(Analyte(name), analyte.canonical_unit, {}, frozenset(shown))


def _faults_of_rules(rules: _Rules) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, analyte in rules.analyte.items():
        if analyte.factors.get(analyte.canonical_unit) != "1":
            yield f"analyte.{name}: the canonical unit {analyte.canonical_unit} must have the factor 1"
        yield from _ambiguous(f"analyte.{name}", analyte.factors, rules.spellings.units)
        for code in analyte.code:
            if code.loinc in seen:
                yield f"analyte.{name}: LOINC {code.loinc} already belongs to {seen[code.loinc]}"
            seen[code.loinc] = name
            if code.factors and code.source is None:
                yield f"analyte.{name}: the factors of {code.loinc} need a source"
            yield from _ambiguous(f"LOINC {code.loinc}", analyte.factors | code.factors, rules.spellings.units)


def _ambiguous(place: str, factors: Mapping[str, str], spellings: Mapping[str, list[str]]) -> Iterator[str]:
    """A spelling that folds to two factors would be a guess."""
    meaning: dict[str, Decimal] = {}
    for unit, factor in factors.items():
        for name in (unit, *spellings.get(unit, [])):
            if meaning.setdefault(fold(name), Decimal(factor)) != Decimal(factor):
                yield f"{place}: the unit {name!r} has two factors"


def load_profiles(site_dir: Path, tables: Tables) -> Profiles:
    """Read `sources.toml` of the site. Raises Misconfigured."""
    path = site_dir / "sources.toml"
    sources = _read(path, _Sources).source
    faults = [fault for source in sources for fault in _faults_of_source(source, tables)]
    names = [source.name for source in sources]
    faults += [f"two sources are called {name}" for name in sorted({name for name in names if names.count(name) > 1})]
    faults += list(_unreachable(sources))
    if faults:
        raise Misconfigured("sources", f"{path}: {'; '.join(faults)}")
    return Profiles(tuple(_profile(source) for source in sources))


def _unreachable(sources: list[_Source]) -> Iterator[str]:
    for place, source in enumerate(sources):
        for earlier in sources[:place]:
            covers = earlier.application in {None, source.application} and earlier.facility in {None, source.facility}
            if covers:
                yield f"source {source.name} is never reached: {earlier.name} before it takes the same senders"


def _faults_of_source(source: _Source, tables: Tables) -> Iterator[str]:
    place = f"source {source.name}"
    for code in source.code:
        if (code.analyte is None) == (code.loinc is None):
            yield f"{place}: code {code.code} needs either analyte or loinc"
        elif code.analyte is not None and code.analyte not in tables.analytes:
            yield f"{place}: code {code.code} names the unknown analyte {code.analyte}"
        elif code.loinc is not None and code.loinc not in tables.loinc:
            yield f"{place}: code {code.code} names LOINC {code.loinc}, which no analyte has"
    for name in {unit.analyte for unit in source.unit} | set(source.default_units):
        if name not in tables.analytes:
            yield f"{place}: unknown analyte {name}"
    stated = {(unit.analyte, fold(unit.unit)) for unit in source.unit}
    for name, unit in source.default_units.items():
        entry = tables.analytes.get(name)
        if entry is not None and fold(unit) not in entry.units and (name, fold(unit)) not in stated:
            yield f"{place}: the default unit {unit} of {name} is not convertible"


def _profile(source: _Source) -> Profile:
    return Profile(
        name=source.name,
        authority=source.authority,
        zone=ZoneInfo(source.zone),
        application=source.application,
        facility=source.facility,
        facility_name=source.facility_name,
        authority_aliases=frozenset((source.authority, *source.authority_aliases)),
        identifier_types=tuple(kind.upper() for kind in source.identifier_types),
        decimal_sign=source.decimal_sign,
        ack_style=AckStyle(source.ack_style),
        reject_code=source.reject_code,
        accept_unsupported=source.accept_unsupported,
        refused_versions=frozenset(source.refused_versions),
        processing_ids=frozenset(source.processing_ids),
        codes={(code.system.upper(), code.code): code.loinc or code.analyte or "" for code in source.code},
        units={(Analyte(unit.analyte), fold(unit.unit)): Decimal(unit.factor) for unit in source.unit},
        default_units={Analyte(name): unit for name, unit in source.default_units.items()},
        live_days=source.live_days,
    )


def _read(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError as problem:
        raise Misconfigured("file_missing", f"{path} does not exist") from problem
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise Misconfigured("file_unreadable", f"{path}: {problem}") from problem
    except ValidationError as problem:
        faults = (f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in problem.errors())
        raise Misconfigured("file_wrong", f"{path}: {'; '.join(faults)}") from problem
