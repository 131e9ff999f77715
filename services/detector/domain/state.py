"""What is carried from one moment of a patient's course to the next; its size does not grow with the history.

Law: an Accumulator is never changed once made. The mappings in it are shared, so they are replaced, not written to.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from services.detector.domain.baseline import Baseline, Candidate
from services.detector.domain.statements import Starts, Urgency
from services.detector.domain.values import LabResult, RuleId

SeriesPoint = tuple[datetime, Decimal, str, bool]
"""Collected at, value, comparator or "", usable."""

Companion = tuple[str, datetime, str]
"""Analyte, instant, status letter or THERE."""

THERE = "*"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The result a flag stands on, and what it was compared with."""

    result: LabResult
    at: datetime
    low: Decimal | None
    high: Decimal | None
    baseline: Baseline | None
    grade: int | None
    baseline_grade: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The newest evaluation of a rule that met a level; a clear one is not kept."""

    level: int
    at: datetime
    starts: Starts
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The level people have accepted, set by the evaluation at `at`; 0 is not kept."""

    level: int
    at: datetime
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing alert of a rule in the open scope: worst level and urgency of its flags."""

    rule_id: RuleId
    level: int
    urgency: Urgency
    first_at: datetime
    first_result: str
    last_at: datetime
    inputs: tuple[str, ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ScopeEnd:
    """The newest end of a scope in which a rule stood."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class GradedEvent:
    """What the gradings of one adverse event say so far."""

    grade: int
    at: datetime
    worst: int
    accepted: int
    accepted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of an episode: from an opening to an end. `after`: what is later is after the opening.

    `runs` maps an analyte to the first and newest collection of its current recovered run. `panel` maps an analyte to
    its companion of the newest draw. `drawn_at` are the newest draws after the opening, oldest first, at most 16.
    """

    key: str
    ordinal: int
    number: int
    opened_at: datetime
    after: datetime
    starters: tuple[RuleId, ...] = ()
    inputs: tuple[str, ...] = ()
    adverse_events: tuple[str, ...] = ()
    draws: int = 0
    counted: int = 0
    last_counted_at: datetime | None = None
    drawn_at: tuple[datetime, ...] = ()
    runs: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    panel: dict[str, str] = field(default_factory=dict)
    confirmed_at: datetime | None = None
    ended: ScopeEnd | None = None


@dataclass(frozen=True, slots=True)
class Single:
    """The one repeat asked for by a watch whose first flag was at `first_at`."""

    rule_id: RuleId
    first_at: datetime
    first_result: str
    answered_at: datetime | None = None
    ended: ScopeEnd | None = None


@dataclass(frozen=True, slots=True)
class Accumulator:
    """Everything the next moment, the standing alerts and the plan need of the moments so far."""

    own: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)
    provisional: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)
    previous: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)
    usable_at: dict[str, datetime] = field(default_factory=dict)
    series: dict[str, tuple[SeriesPoint, ...]] = field(default_factory=dict)
    nearby: tuple[Companion, ...] = ()
    calcium: tuple[LabResult, ...] = ()
    newest: dict[str, Evaluated] = field(default_factory=dict)
    accepted: dict[str, Accepted] = field(default_factory=dict)
    events: dict[str, GradedEvent] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    ended: dict[str, ScopeEnd] = field(default_factory=dict)
    phase: Phase | None = None
    phase_ended: ScopeEnd | None = None
    single: Single | None = None
    draw_at: datetime | None = None


class Course:
    """An accumulator while one or many moments are added to it; `log` collects evaluations where closures need them."""

    __slots__ = (
        "accepted", "calcium", "draw_at", "ended", "events", "log", "nearby", "newest", "own", "phase", "phase_ended",
        "previous", "provisional", "series", "single", "standing", "usable_at",
    )  # fmt: skip

    def __init__(self, start: Accumulator) -> None:
        self.own = dict(start.own)
        self.provisional = dict(start.provisional)
        self.previous = dict(start.previous)
        self.usable_at = dict(start.usable_at)
        self.series = dict(start.series)
        self.nearby = start.nearby
        self.calcium = start.calcium
        self.newest = dict(start.newest)
        self.accepted = dict(start.accepted)
        self.events = dict(start.events)
        self.standing = dict(start.standing)
        self.ended = dict(start.ended)
        self.phase = start.phase
        self.phase_ended = start.phase_ended
        self.single = start.single
        self.draw_at = start.draw_at
        self.log: list[Evaluation | GradedFlag] | None = None

    def freeze(self) -> Accumulator:
        """Return what has been accumulated; the course may go on."""
        return Accumulator(
            dict(self.own), dict(self.provisional), dict(self.previous), dict(self.usable_at), dict(self.series),
            self.nearby, self.calcium, dict(self.newest), dict(self.accepted), dict(self.events),
            dict(self.standing), dict(self.ended), self.phase, self.phase_ended, self.single, self.draw_at,
        )  # fmt: skip

    def open_phase(self) -> Phase | None:
        """Return the phase of the open episode, if one is open."""
        phase = self.phase
        return phase if phase is not None and phase.ended is None else None


@dataclass(slots=True)
class Evaluation:
    """A rule at one moment: the worst over the results of that moment, and the worst over the usable ones alone."""

    rule_id: RuleId
    at: datetime
    inputs: tuple[str, ...]
    level: int = 0
    ceiling: int = 0
    usable_level: int = 0
    usable_ceiling: int = 0
    any_usable: bool = False
    urgency: Urgency = Urgency.P4
    starts: Starts = Starts.NOTHING
    evidence: Evidence | None = None
    before_dose: bool = False

    def is_usable(self) -> bool:
        """Return whether usable results alone show the same level."""
        if not self.any_usable or self.usable_level != self.level:
            return False
        return self.level > 0 or self.usable_ceiling == 0


@dataclass(frozen=True, slots=True)
class GradedFlag:
    """A grading of an adverse event on the course's log."""

    adverse_event_id: str
    at: datetime
    grade: int
    key: str
