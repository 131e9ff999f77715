"""The rules as the domain uses them; `rulebook.py` reads them from files and checks them.

Law: numbers are exact decimals and durations, each with its criterion text, source and sign-off kept in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum

from services.detector.domain.statements import Mode, Starts, Urgency
from services.detector.domain.values import Analyte, RuleId, Sex


class When(StrEnum):
    """The condition under which a CTCAE band speaks; `baseline-high` is a baseline above its own ULN."""

    ALWAYS = "always"
    BASELINE_HIGH = "baseline-high"
    BASELINE_NOT_HIGH = "baseline-not-high"
    BELOW_LLN = "below-lln"


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound of a band nearest to normal. `value` is absolute, the others multiply a limit; several: all apply."""

    strict: bool
    value: Decimal | None = None
    uln: Decimal | None = None
    lln: Decimal | None = None
    baseline: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """One grade under one condition. Bands of a term have no gaps, so the near bound alone decides."""

    grade: int
    when: When
    near: Bound


@dataclass(frozen=True, slots=True)
class Lift:
    """A criterion on the judged analyte itself that makes an alert more urgent, never less (RULES.md 3.5).

    `fold`: at least so many times the newest comparable value of the last `within`; else `at_most`, `at_least`,
    `above` are absolute. `to` None: one step up.
    """

    note: str
    minimum_level: int
    maximum_level: int
    to: Urgency | None
    fold: Decimal | None = None
    within: timedelta = timedelta(0)
    at_most: Decimal | None = None
    at_least: Decimal | None = None
    above: Decimal | None = None
    starts: Starts | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """What every rule carries: its names, whom it concerns and the urgency per level (index 0 unused)."""

    rule_id: RuleId
    version: str
    mode: Mode
    organ: str
    roles: tuple[str, ...]
    urgencies: tuple[Urgency, ...]
    starts: tuple[Starts, ...]
    lifts: tuple[Lift, ...]


@dataclass(frozen=True, slots=True)
class CtcaeTerm:
    """One gradable term: level = grade where it exceeds the baseline grade.

    `bands_plain` and `bands_high` are the bands for a baseline that is not high or high, highest grade first.
    `from_grade` limits an analyte to the grades from there on (random glucose: 3).
    """

    routing: Routing
    ctcae_version: str
    analytes: tuple[Analyte, ...]
    high: bool
    bands_plain: tuple[Band, ...]
    bands_high: tuple[Band, ...]
    from_grade: Mapping[Analyte, int]


@dataclass(frozen=True, slots=True)
class FoldArm:
    """One arm of a ferritin level: all parts given must hold; `fold` is v >= fold x baseline."""

    above_uln: bool = False
    at_least: Decimal | None = None
    above: Decimal | None = None
    fold: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FerritinRise:
    """`arms_with[level]` and `arms_without[level]`: the arms with and without a baseline (index 0 unused)."""

    routing: Routing
    analyte: Analyte
    arms_with: tuple[tuple[FoldArm, ...], ...]
    arms_without: tuple[tuple[FoldArm, ...], ...]


Rule = CtcaeTerm | FerritinRise


@dataclass(frozen=True, slots=True)
class BaselineRules:
    """RULES.md 2."""

    before_dose: timedelta
    after_dose: timedelta


@dataclass(frozen=True, slots=True)
class RecoveryRules:
    """RULES.md 5. `fold`: at most so many times the baseline; `ranged`: analytes judged by limits, not by terms."""

    fold: Decimal
    minimum_draws: int
    counted_gap: timedelta
    run: timedelta
    ranged: frozenset[Analyte]


@dataclass(frozen=True, slots=True)
class RetestRules:
    """RULES.md 6. `draw`: the marker that defines a draw; `draw_span`: what belongs to it and to the opening."""

    draw: Analyte
    draw_span: timedelta
    after: timedelta
    window: timedelta
    single_after: timedelta
    single_window: timedelta
    single_rule: RuleId
    weekend: bool
    panel: tuple[Analyte, ...]
    silent: timedelta
    relapse: timedelta
    late_after: timedelta
    known_since_after: timedelta


@dataclass(frozen=True, slots=True)
class SiteLimit:
    """A limit of the site for results that came without one; None: any."""

    analyte: Analyte
    assay: str | None
    sex: Sex | None
    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules of the site. `fingerprint` changes with any of them: heads made by other rules are folded again."""

    fingerprint: str
    zone: tzinfo
    rules: Mapping[RuleId, Rule]
    by_analyte: Mapping[Analyte, tuple[Rule, ...]]
    looks_back: frozenset[Analyte]
    baseline: BaselineRules
    recovery: RecoveryRules
    retest: RetestRules
    limits: tuple[SiteLimit, ...] = ()
