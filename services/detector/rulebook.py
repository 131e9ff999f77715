"""Reads `rules/*.toml`, ours and the site's, into the domain's rules. Law: strict; a typing error stops the start.

A file of the same name in `SITE_DIR/rules/` replaces single keys of our tables, in the same format. Every fault is one
sentence that names the file, the table and the key, and what is expected there.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from services.common.errors import Misconfigured
from services.common.site import site_zone
from services.detector.domain.rules import (
    Band,
    BaselineRules,
    Bound,
    CtcaeTerm,
    FerritinRise,
    FoldArm,
    Lift,
    RecoveryRules,
    RetestRules,
    Routing,
    Rule,
    Rulebook,
    SiteLimit,
    When,
)
from services.detector.domain.statements import Mode, Starts, Urgency
from services.detector.domain.values import Analyte, RuleId, Sex

RULES = Path(__file__).parent / "rules"
_EXACT = re.compile(r"\d{1,12}(\.\d{1,12})?")
UrgencyName = Literal["P1", "P2", "P3", "P4"]


def _exact(text: str) -> str:
    if not _EXACT.fullmatch(text):
        raise ValueError('must be a decimal number in quotes, such as "2.0"')
    return text


Number = Annotated[str, AfterValidator(_exact)]
Words = Annotated[str, Field(min_length=1)]
Model = TypeVar("Model", bound="_Strict")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Sourced(_Strict):
    criterion: Words
    source: Words
    approved: Words


class _Bound(_Strict):
    value: Number | None = None
    uln: Number | None = None
    lln: Number | None = None
    baseline: Number | None = None


class _Band(_Strict):
    grade: Annotated[int, Field(ge=1, le=4)]
    when: Literal["always", "baseline-high", "baseline-not-high", "below-lln"] = "always"
    gt: _Bound | None = None
    ge: _Bound | None = None
    lt: _Bound | None = None
    le: _Bound | None = None


class _Term(_Sourced):
    edition: Words
    analytes: Annotated[list[Words], Field(min_length=1)]
    unit: Words
    direction: Literal["high", "low"]
    from_grade: dict[str, int] = {}
    bands: Annotated[list[_Band], Field(min_length=1)]


class _Lift(_Strict):
    note: Words
    criterion: Words
    source: Words
    levels: Annotated[list[int], Field(min_length=1)]
    to: Literal["P1", "P2", "P3", "one-step-up"]
    fold: Number | None = None
    within_hours: Number = "0"
    at_most: Number | None = None
    at_least: Number | None = None
    above: Number | None = None
    starts: Literal["single", "every-3-days"] | None = None


class _Routing(_Sourced):
    version: Words
    mode: Literal["live", "shadow"]
    organ: Words
    roles: Annotated[list[Words], Field(min_length=1)]
    urgency: Annotated[list[UrgencyName | Literal["-"]], Field(min_length=1, max_length=4)]
    lifts: list[_Lift] = []


class _Arm(_Strict):
    above_uln: bool = False
    at_least: Number | None = None
    above: Number | None = None
    fold: Number | None = None


class _Level(_Strict):
    level: Annotated[int, Field(ge=1, le=9)]
    name: Words
    urgency: UrgencyName
    starts: Literal["none", "single", "every-3-days"]
    criterion: Words
    source: Words
    with_baseline: Annotated[list[_Arm], Field(min_length=1)]
    without_baseline: list[_Arm]


class _Rise(_Strict):
    version: Words
    mode: Literal["live", "shadow"]
    analyte: Words
    unit: Words
    organ: Words
    roles: Annotated[list[Words], Field(min_length=1)]
    source: Words
    approved: Words
    levels: Annotated[list[_Level], Field(min_length=1)]
    lifts: list[_Lift] = []


class _Ferritin(_Strict):
    rise: Annotated[_Rise, Field(alias="ferritin.rise")]


class _BaselineTable(_Sourced):
    before_dose_hours: Number
    after_dose_hours: Number


class _BaselineFile(_Strict):
    baseline: _BaselineTable


class _RecoveryTable(_Sourced):
    minimum_draws: Annotated[int, Field(ge=1, le=99)]
    counted_gap_hours: Number
    run_hours: Number
    fold: Number
    ranged: list[Words]


class _RecoveryFile(_Strict):
    recovery: _RecoveryTable


class _Draw(_Sourced):
    marker: Words
    span_hours: Number


class _Cadence(_Sourced):
    after_hours: Number
    window_hours: Number
    weekend: Literal["nearest-working-day", "as-it-falls"]
    silent_hours: Number
    late_after_hours: Number
    panel: Annotated[list[Words], Field(min_length=1)]


class _Single(_Sourced):
    rule: Words
    after_hours: Number
    window_hours: Number


class _Episode(_Sourced):
    relapse_hours: Number
    known_since_hours: Number


class _RetestFile(_Strict):
    draw: _Draw
    every_3_days: Annotated[_Cadence, Field(alias="every-3-days")]
    single: _Single
    episode: _Episode


class _Limit(_Strict):
    analyte: Words
    assay: Words | None = None
    sex: Literal["female", "male"] | None = None
    low: Number | None = None
    high: Number | None = None
    source: Words


class _LimitsFile(_Strict):
    limit: list[_Limit] = []


class _UnitsFile(_Strict):
    units: dict[str, Words]


def load_rulebook(site_dir: Path | None = None) -> Rulebook:
    """Read the rules as shipped with the site's changes, in the site's zone. Raises Misconfigured."""
    return load(site_dir, site_zone(site_dir if site_dir is not None else Path()))


def load(site_dir: Path | None, zone: tzinfo) -> Rulebook:
    """Read the rules for a site whose days begin in `zone`. Raises Misconfigured."""
    return _Reader(site_dir).rulebook(zone)


class _Reader:
    """Reads each file once and remembers the text behind the fingerprint."""

    def __init__(self, site_dir: Path | None) -> None:
        self._own = site_dir / "rules" if site_dir is not None else None
        self._seen: dict[str, Any] = {}
        self._units: Mapping[str, str] = self._model("units.toml", _UnitsFile).units

    def rulebook(self, zone: tzinfo) -> Rulebook:
        rules: list[Rule] = [*self._terms(), self._rise()]
        by_analyte: dict[Analyte, list[Rule]] = {}
        for rule in rules:
            for analyte in rule.analytes if isinstance(rule, CtcaeTerm) else (rule.analyte,):
                by_analyte.setdefault(analyte, []).append(rule)
        retest = self._retest({rule.routing.rule_id for rule in rules})
        baseline, recovery, limits = self._baseline(), self._recovery(), self._limits()
        text = json.dumps({"zone": str(zone), **self._seen}, sort_keys=True)
        return Rulebook(
            fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
            zone=zone,
            rules={rule.routing.rule_id: rule for rule in rules},
            by_analyte={analyte: tuple(driven) for analyte, driven in by_analyte.items()},
            looks_back=frozenset(_looking_back(by_analyte)),
            baseline=baseline,
            recovery=recovery,
            retest=retest,
            limits=limits,
        )

    def _tables(self, name: str) -> Mapping[str, Any]:
        """Return our tables with the site's keys in place of ours."""
        ours = _parsed(RULES / name) if (RULES / name).exists() else {}
        own = self._own / name if self._own is not None else None
        if own is None or not own.exists():
            self._seen[name] = ours
            return ours
        merged = dict(ours)
        for table, keys in _parsed(own).items():
            known = merged.get(table)
            merged[table] = {**known, **keys} if isinstance(known, dict) and isinstance(keys, dict) else keys
        self._seen[name] = merged
        return merged

    def _place(self, name: str) -> str:
        own = self._own / name if self._own is not None else None
        return f"{RULES / name}" if own is None or not own.exists() else f"{own} over {RULES / name}"

    def _model(self, name: str, model: type[Model]) -> Model:
        return self._checked(name, model, self._tables(name), "")

    def _checked(self, name: str, model: type[Model], data: object, table: str) -> Model:
        try:
            return model.model_validate(data)
        except ValidationError as problem:
            sentences = "; ".join(_sentence(table, fault) for fault in problem.errors())
            raise Misconfigured("rules", f"{self._place(name)}: {sentences}") from problem

    def _refuse(self, name: str, table: str, sentence: str) -> Misconfigured:
        return Misconfigured("rules", f"{self._place(name)}: [{table}] {sentence}")

    def _analyte(self, name: str, table: str, analyte: str) -> Analyte:
        if analyte not in self._units:
            raise self._refuse(name, table, f"names {analyte}, which is no analyte of ours")
        return Analyte(analyte)

    def _terms(self) -> Iterator[CtcaeTerm]:
        file, routing_file = "ctcae_v5.toml", "ctcae_routing.toml"
        terms, routings = self._tables(file), self._tables(routing_file)
        if odd := sorted(set(terms) ^ set(routings)):
            raise self._refuse(routing_file, odd[0], f"stands in only one of {file} and {routing_file}")
        for slug in terms:
            term = self._checked(file, _Term, terms[slug], slug)
            routing = self._checked(routing_file, _Routing, routings[slug], slug)
            yield self._term(slug, term, routing)

    def _term(self, slug: str, term: _Term, routing: _Routing) -> CtcaeTerm:
        file = "ctcae_v5.toml"
        analytes = tuple(self._analyte(file, slug, analyte) for analyte in term.analytes)
        if wrong := [analyte for analyte in analytes if self._units[analyte] != term.unit]:
            raise self._refuse(file, slug, f"unit: {term.unit!r} is not the canonical unit of {wrong[0]}")
        if faults := list(_faults_of_bands(term)):
            raise self._refuse(file, slug, f"bands: {'; '.join(faults)}")
        grades = {band.grade for band in term.bands}
        stated = {level for level, urgency in enumerate(routing.urgency, 1) if urgency != "-"}
        if stated != grades:
            raise self._refuse(
                "ctcae_routing.toml", slug, f"urgency: is for grades {sorted(stated)}, bands for {sorted(grades)}"
            )
        urgencies = [Urgency.P4, *(Urgency.P4 if text == "-" else Urgency(text) for text in routing.urgency)]
        starts = [
            Starts.EVERY_3_DAYS if level > 1 and urgency is not Urgency.P4 else Starts.NOTHING
            for level, urgency in enumerate(urgencies)
        ]
        return CtcaeTerm(
            Routing(
                RuleId(f"ctcae.{slug}"), routing.version, Mode(routing.mode), routing.organ, tuple(routing.roles),
                tuple(urgencies), tuple(starts),
                tuple(self._lift("ctcae_routing.toml", slug, lift) for lift in routing.lifts),
            ),
            term.edition, analytes, term.direction == "high",
            _bands(term, {"always", "below-lln", "baseline-not-high"}),
            _bands(term, {"always", "below-lln", "baseline-high"}),
            {self._analyte(file, slug, analyte): grade for analyte, grade in term.from_grade.items()},
        )  # fmt: skip

    def _lift(self, name: str, table: str, lift: _Lift) -> Lift:
        absolute = [lift.at_most, lift.at_least, lift.above]
        if (lift.fold is None) == all(number is None for number in absolute):
            raise self._refuse(name, table, f"lift {lift.note}: needs either fold or at_most, at_least, above")
        return Lift(
            lift.note, min(lift.levels), max(lift.levels), None if lift.to == "one-step-up" else Urgency(lift.to),
            _decimal(lift.fold), _hours(lift.within_hours), _decimal(lift.at_most), _decimal(lift.at_least),
            _decimal(lift.above), Starts(lift.starts) if lift.starts is not None else None,
        )  # fmt: skip

    def _rise(self) -> FerritinRise:
        name, table = "ferritin.toml", "ferritin.rise"
        rise = self._model(name, _Ferritin).rise
        analyte = self._analyte(name, table, rise.analyte)
        if rise.unit != self._units[analyte]:
            raise self._refuse(name, table, f"unit: {rise.unit!r} is not the canonical unit of {analyte}")
        if [level.level for level in rise.levels] != list(range(1, len(rise.levels) + 1)):
            raise self._refuse(name, table, "levels: must be numbered 1, 2, 3 ... in this order")
        if any(not _speaks(arm) for level in rise.levels for arm in (*level.with_baseline, *level.without_baseline)):
            raise self._refuse(name, table, "levels: an arm without any criterion would always be met")
        if any(arm.fold or arm.above_uln for level in rise.levels for arm in level.without_baseline):
            raise self._refuse(name, table, "levels: without_baseline takes at_least and above only")
        return FerritinRise(
            Routing(
                RuleId(table), rise.version, Mode(rise.mode), rise.organ, tuple(rise.roles),
                (Urgency.P4, *(Urgency(level.urgency) for level in rise.levels)),
                (Starts.NOTHING, *(Starts(level.starts) for level in rise.levels)),
                tuple(self._lift(name, table, lift) for lift in rise.lifts),
            ),
            analyte,
            ((), *(tuple(_arm(arm) for arm in level.with_baseline) for level in rise.levels)),
            ((), *(tuple(_arm(arm) for arm in level.without_baseline) for level in rise.levels)),
        )  # fmt: skip

    def _baseline(self) -> BaselineRules:
        table = self._model("baseline.toml", _BaselineFile).baseline
        return BaselineRules(_hours(table.before_dose_hours), _hours(table.after_dose_hours))

    def _recovery(self) -> RecoveryRules:
        table = self._model("recovery.toml", _RecoveryFile).recovery
        ranged = frozenset(self._analyte("recovery.toml", "recovery", analyte) for analyte in table.ranged)
        return RecoveryRules(
            Decimal(table.fold), table.minimum_draws, _hours(table.counted_gap_hours), _hours(table.run_hours), ranged
        )

    def _retest(self, rule_ids: set[RuleId]) -> RetestRules:
        name = "retest.toml"
        file = self._model(name, _RetestFile)
        cadence, single = file.every_3_days, file.single
        if single.rule not in rule_ids:
            raise self._refuse(name, "single", f"rule: there is no rule {single.rule}")
        return RetestRules(
            self._analyte(name, "draw", file.draw.marker), _hours(file.draw.span_hours),
            _hours(cadence.after_hours), _hours(cadence.window_hours),
            _hours(single.after_hours), _hours(single.window_hours), RuleId(single.rule),
            cadence.weekend == "nearest-working-day",
            tuple(sorted(self._analyte(name, "every-3-days", analyte) for analyte in cadence.panel)),
            _hours(cadence.silent_hours), _hours(file.episode.relapse_hours), _hours(cadence.late_after_hours),
            _hours(file.episode.known_since_hours),
        )  # fmt: skip

    def _limits(self) -> tuple[SiteLimit, ...]:
        return tuple(
            SiteLimit(
                self._analyte("limits.toml", "limit", limit.analyte), limit.assay,
                Sex(limit.sex) if limit.sex is not None else None, _decimal(limit.low), _decimal(limit.high),
            )
            for limit in self._model("limits.toml", _LimitsFile).limit
        )  # fmt: skip


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as problem:
        raise Misconfigured("rules", f"{path}: {problem}") from problem


def _sentence(table: str, fault: ErrorDetails) -> str:
    where = [str(part) for part in fault["loc"]]
    place = table or (where.pop(0) if where else "")
    key = ".".join(where)
    return f"[{place}] {key}: {fault['msg']}" if key else f"[{place}] {fault['msg']}"


def _decimal(text: str | None) -> Decimal | None:
    return Decimal(text) if text is not None else None


def _hours(text: str) -> timedelta:
    """Exact to the microsecond: 0.01 h is 36 s."""
    return timedelta(microseconds=int(Decimal(text) * 3_600_000_000))


def _arm(arm: _Arm) -> FoldArm:
    return FoldArm(arm.above_uln, _decimal(arm.at_least), _decimal(arm.above), _decimal(arm.fold))


def _speaks(arm: _Arm) -> bool:
    return arm.above_uln or any(number is not None for number in (arm.at_least, arm.above, arm.fold))


def _looking_back(by_analyte: Mapping[Analyte, Sequence[Rule]]) -> Iterator[Analyte]:
    for analyte, rules in by_analyte.items():
        if any(lift.fold is not None for rule in rules for lift in rule.routing.lifts):
            yield analyte


def _near(band: _Band, *, high: bool) -> tuple[bool, _Bound] | None:
    """Return (strict, bound) of the side nearest to normal."""
    strict, loose = (band.gt, band.ge) if high else (band.lt, band.le)
    if (strict is None) == (loose is None):
        return None
    return (True, strict) if strict is not None else (False, loose) if loose is not None else None


def _far(band: _Band, *, high: bool) -> tuple[bool, _Bound] | None:
    """Return (whether the bound itself lies beyond this band, bound) of the side away from normal."""
    strict, loose = (band.lt, band.gt)[not high], (band.le, band.ge)[not high]
    if strict is not None:
        return False, strict
    return (True, loose) if loose is not None else None


def _faults_of_bands(term: _Term) -> Iterator[str]:
    """Bands under one condition and reference follow each other without gap or overlap: far bound = next near bound."""
    high = term.direction == "high"
    for band in term.bands:
        if _near(band, high=high) is None:
            yield f"grade {band.grade}: needs exactly one bound nearest to normal, {'gt or ge' if high else 'lt or le'}"
            return
        if not _near(band, high=high)[1].model_dump(exclude_none=True):  # type: ignore[index]
            yield f"grade {band.grade}: a bound needs value, uln, lln or baseline"
            return
    for lower, upper in zip(term.bands, term.bands[1:], strict=False):
        far = _far(lower, high=high)
        if far is None:
            continue
        near = _near(upper, high=high)
        assert near is not None
        if upper.when != lower.when or upper.grade <= lower.grade:
            yield f"grade {lower.grade}: ends at a bound but no higher grade follows"
        elif near[1] != far[1] or near[0] is not far[0]:
            yield f"grades {lower.grade} and {upper.grade}: overlap or leave a gap"


def _bands(term: _Term, conditions: set[str]) -> tuple[Band, ...]:
    """Return the bands that speak under these conditions, highest grade first."""
    bands = []
    for band in term.bands:
        near = _near(band, high=term.direction == "high")
        if band.when in conditions and near is not None:
            strict, bound = near
            numbers = (_decimal(bound.value), _decimal(bound.uln), _decimal(bound.lln), _decimal(bound.baseline))
            bands.append(Band(band.grade, When(band.when), Bound(strict, *numbers)))
    return tuple(sorted(bands, key=lambda band: -band.grade))
