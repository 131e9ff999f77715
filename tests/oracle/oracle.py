"""What stands and what is due, recomputed from all facts at every instant: RULES 2, 3.2, 3.4, 3.5, 4, 5, 6.1, 6.2.

Out of its scope, as of this version: patterns, hyper, trajectory, held flags, guideline clocks, every-4-cycles, merges,
what a closure had not yet received (4.6), panel lists.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tests.oracle.facts import Patient, Reading, Row, gather, instant
from tests.oracle.grades import SHADOW, URGENCY, Base, baseline_grade, driving, ferritin_levels, grades, slugs_of
from tests.oracle.logic import Verdict, above, at_least, at_most, both, either

H = timedelta(hours=1)
RISE = "ferritin.rise"
RISE_URGENCY = {1: "P3", 2: "P2", 3: "P2"}
STARTS_3_DAYS, STARTS_SINGLE, STARTS_NOTHING = "every-3-days", "single", "none"
CENTRAL_BAND = {
    "TROPONIN_T", "TROPONIN_I", "NT_PROBNP", "BNP", "PHOSPHATE", "TSH", "FT4", "CORTISOL", "D_DIMER",
}  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """What one rule says at one instant."""

    rule: str
    at: datetime
    level: int
    urgency: str
    starts: str
    inputs: frozenset[str]
    lowers: bool
    clear: bool
    newest: bool


@dataclass
class Flagged:
    """The flags of one rule in one scope, summed up."""

    level: int
    urgency: str
    first: datetime
    last: datetime
    inputs: set[str]


@dataclass
class Episode:
    """One phase of an episode."""

    opened: datetime
    by_flag: bool
    standing: dict[str, Flagged] = field(default_factory=dict)
    starting: dict[str, set[str]] = field(default_factory=dict)
    adverse: set[str] = field(default_factory=set)
    ended: datetime | None = None
    reason: str | None = None

    @property
    def after(self) -> datetime:
        """Draws count strictly later than this."""
        return self.opened + (2 * H if self.by_flag else timedelta(0))


@dataclass(frozen=True)
class Verdicts:
    """The answer: rule -> (level, urgency, first flag), and the active plan (kind, due at, overdue at, draw)."""

    standing: dict[str, tuple[int, str, datetime]]
    plan: tuple[str, datetime, datetime, int] | None
    episode_opened: datetime | None
    phases: int


class Oracle:
    """Walks the instants of one patient."""

    def __init__(self, patient: Patient) -> None:
        self.p = patient
        self.accepted: dict[str, Evaluation] = {}
        self.newest: dict[str, Evaluation] = {}
        self.newest_grading: dict[str, tuple[int, int]] = {}
        self.accepted_ae: dict[str, int] = {}
        self.watches: dict[str, Flagged] = {}
        self.episode: Episode | None = None
        self.phases: list[Episode] = []
        self.singles: Flagged | None = None
        self.by_analyte: dict[str, list[Reading]] = {}
        for reading in patient.readings:
            self.by_analyte.setdefault(reading.analyte, []).append(reading)

    # -- baseline ---------------------------------------------------------------------------------------------
    def before_first_dose(self, r: Reading) -> bool:
        dose = self.p.first_dose
        if dose is None:
            return True
        if r.day_only or self.p.first_dose_day:
            return self.p.site_date(r.at) <= self.p.site_date(dose)
        return r.at <= dose

    def comparable(self, a: Reading, b: Reading) -> bool:
        return (
            not (a.specimen and b.specimen and a.specimen != b.specimen)
            and not (a.assay and b.assay and a.assay != b.assay)
            and a.method == b.method
        )

    def baseline(self, r: Reading) -> Base:
        none, dose = Base("none"), self.p.first_dose
        if dose is None or self.before_first_dose(r):
            return none
        if r.analyte in self.p.pins:
            return self.checked(Base("pinned", self.p.pins[r.analyte], r.lln, r.uln))
        pool = [o for o in self.by_analyte[r.analyte] if o.usable and self.comparable(o, r)]
        own = [o for o in pool if self.before_first_dose(o) and (o.at >= dose - 672 * H)]
        if own:
            return self.from_reading("own", own[-1], r)
        later = [o for o in pool if not self.before_first_dose(o) and o.at <= dose + 168 * H]
        if later and later[0].at < r.at:
            return self.from_reading("provisional", later[0], r)
        return none

    def from_reading(self, kind: str, o: Reading, r: Reading) -> Base:
        if o.comparator in (">", ">="):
            return Base("none")
        lln, uln = (o.lln, o.uln) if (o.lln is not None or o.uln is not None) else (r.lln, r.uln)
        return self.checked(Base(kind, o.value, lln if lln is not None else r.lln, uln if uln is not None else r.uln))

    def checked(self, base: Base) -> Base:
        return base if base.value is not None and base.value > 0 else Base("none")

    # -- evaluation -------------------------------------------------------------------------------------------
    def previous(self, r: Reading, hours: int) -> Decimal | None:
        pool = [
            o
            for o in self.by_analyte[r.analyte]
            if o.usable and self.comparable(o, r) and r.at - hours * H <= o.at < r.at
        ]
        return None if not pool or pool[-1].comparator in (">", ">=") else pool[-1].value

    def one(self, rule: str, r: Reading) -> tuple[int, str, str, dict[int, Verdict]]:
        """Level, urgency, starts and the verdicts of one result under one rule."""
        base = self.baseline(r)
        if rule == RISE:
            levels = ferritin_levels(r, base)
            level = max((k for k, met in levels.items() if met is True), default=0)
            urgency = RISE_URGENCY.get(level, "P4")
            starts = STARTS_SINGLE if level == 1 else STARTS_3_DAYS
            p = None if r.kind == "time-doubtful" else self.previous(r, 168)
            if level and p is not None and at_least(r.v, Decimal(2) * p) is True:
                urgency, starts = f"P{int(urgency[1]) - 1}", STARTS_3_DAYS
            return level, urgency, starts, levels
        slug = rule.removeprefix("ctcae.")
        least = baseline_grade(slug, r.analyte, base)
        levels = {k: met for k, met in grades(slug, r, base).items() if k > least}
        level = max((k for k, met in levels.items() if met is True), default=0)
        urgency = URGENCY[slug].split()[level - 1] if level else "P4"
        if level:
            urgency = min(urgency, self.lift(slug, r, level))
        starting = level >= 2 and urgency in ("P1", "P2", "P3") and slug not in SHADOW
        return level, urgency, STARTS_3_DAYS if starting else STARTS_NOTHING, levels

    def lift(self, slug: str, r: Reading, level: int) -> str:
        if slug in ("alt-increased", "ast-increased") and level == 2 and r.kind != "time-doubtful":
            p = self.previous(r, 168)
            if p is not None and at_least(r.v, Decimal("1.5") * p) is True:
                return "P2"
        if slug in ("hyponatremia", "hypernatremia"):
            if either(at_most(r.v, Decimal(120)), at_least(r.v, Decimal(160))) is True:
                return "P1"
        if slug == "eosinophilia" and above(r.v, Decimal("1.5")) is True:
            return "P3"
        return "P4"

    def evaluate(self, rule: str, at: datetime, *, only_after_dose: bool = False) -> Evaluation | None:
        analytes = ("FERRITIN",) if rule == RISE else driving(rule.removeprefix("ctcae."))
        rows = [r for a in analytes for r in self.by_analyte.get(a, ()) if r.at == at]
        if only_after_dose:
            rows = [r for r in rows if not self.before_first_dose(r)]
        rows = [r for r in rows if not (r.never_low and rule == "ctcae.hypocalcemia-corrected")]
        if not rows:
            return None
        said = [(r, *self.one(rule, r)) for r in rows]
        level = max(s[1] for s in said)
        at_level = [s for s in said if s[1] == level]
        urgency = min(s[2] for s in at_level) if level else "P4"
        starts = STARTS_3_DAYS if any(s[3] == STARTS_3_DAYS for s in at_level) and level else STARTS_NOTHING
        if level and rule == RISE and starts == STARTS_NOTHING:
            starts = STARTS_SINGLE
        inputs = frozenset(s[0].analyte for s in said if s[1] >= 1)
        usable = [s for s in said if s[0].usable]
        usable_level = max((s[1] for s in usable), default=-1)
        higher_not_met = all(met is False for s in said for k, met in s[4].items() if k > level)
        all_not_met = all(met is False for s in said for met in s[4].values())
        if level:
            return Evaluation(rule, at, level, urgency, starts, inputs, usable_level == level and higher_not_met,
                              False, True)  # fmt: skip
        if not all_not_met:
            return None
        return Evaluation(rule, at, 0, "P4", STARTS_NOTHING, frozenset(), bool(usable), bool(usable), True)

    def monitored(self, at: datetime, rows: Sequence[Reading]) -> bool:
        consent = self.p.consented_at or self.p.first_dose
        if self.p.status not in ("enrolled", "completed"):
            return False
        if consent is None:
            return True
        if any(r.day_only for r in rows) or self.p.consent_day:
            return self.p.site_date(at) >= self.p.site_date(consent)
        return at >= consent

    # -- the walk ---------------------------------------------------------------------------------------------
    def run(self) -> Verdicts:
        graded = {instant(g["graded_at"]) for g in self.p.gradings}
        closed = {instant(c["at"]) for c in self.p.closures}
        for at in sorted({r.at for r in self.p.readings} | graded | closed):
            self.step(at)
        return self.answer()

    def step(self, at: datetime) -> None:
        rows = [r for r in self.p.readings if r.at == at]
        rules = dict.fromkeys(
            rule for r in rows for rule in ((RISE,) if r.analyte == "FERRITIN" else ())
            + tuple(f"ctcae.{slug}" for slug in slugs_of(r.analyte))
        )  # fmt: skip
        evaluations = [e for rule in rules if (e := self.evaluate(rule, at)) is not None]
        for e in evaluations:
            self.newest[e.rule] = e
            old = self.accepted.get(e.rule)
            if old and e.lowers and e.level < old.level and e.at > old.at and self.remeasured(old.inputs, old.at, e.at):
                self.accepted[e.rule] = e
        for e in evaluations:
            self.clear_watch(e)
        if any(map(self.before_first_dose, rows)) and not all(map(self.before_first_dose, rows)):
            # a bare date and an exact time of the day of the first dose: each result is judged by its own side of it
            after = (self.evaluate(rule, at, only_after_dose=True) for rule in rules)
            evaluations = [e for e in after if e is not None]
        flags = [e for e in evaluations if e.rule not in self.accepted or e.level > self.accepted[e.rule].level]
        flags = [f for f in flags if f.level]
        self.take_flags(at, [f for f in flags if self.monitored(at, rows)], rows)
        self.recover(at)
        for closure in self.p.closures:
            if instant(closure["at"]) == at:
                self.close(closure, at)

    def clear_watch(self, e: Evaluation) -> None:
        watch = self.watches.get(e.rule)
        if watch is None or not e.clear or e.at <= watch.last:
            return
        if self.remeasured(watch.inputs, watch.last, e.at):
            del self.watches[e.rule]

    def remeasured(self, analytes: Iterable[str], since: datetime, until: datetime) -> bool:
        return all(any(r.usable and since < r.at <= until for r in self.by_analyte.get(a, ())) for a in analytes)

    def take_flags(self, at: datetime, flags: list[Evaluation], rows: list[Reading]) -> None:
        before = self.p.first_dose is None or (bool(rows) and all(self.before_first_dose(r) for r in rows))
        gradings = self.new_gradings(at)
        if before:
            flags = [replace(f, starts=STARTS_NOTHING) for f in flags if f.urgency == "P1" and f.rule != RISE]
        starting = [f for f in flags if f.starts == STARTS_3_DAYS]
        if self.episode is None and (starting or gradings):
            self.open(at, by_flag=bool(starting))
        for f in flags:
            self.join(self.watches if self.episode is None else self.episode.standing, f)
            if self.episode is not None and f.starts == STARTS_3_DAYS:
                self.episode.starting.setdefault(f.rule, set()).update(f.inputs)
        if self.episode is not None:
            self.episode.adverse |= {g["adverse_event_id"] for g in gradings}
        for g in self.p.gradings:
            if instant(g["graded_at"]) == at:
                worst = max(self.newest_grading.get(g["adverse_event_id"], (0, 0))[1], g["grade"])
                self.newest_grading[g["adverse_event_id"]] = (g["grade"], worst)
                if g["grade"] < self.accepted_ae.get(g["adverse_event_id"], 0):
                    self.accepted_ae[g["adverse_event_id"]] = g["grade"]

    def new_gradings(self, at: datetime) -> list[Row]:
        dose = self.p.first_dose
        if dose is None or self.p.status not in ("enrolled", "completed"):
            return []
        found = []
        for g in self.p.gradings:
            bare = g.get("graded_precision") == "day" or self.p.first_dose_day
            after = self.p.site_date(at) >= self.p.site_date(dose) if bare else at > dose
            least = self.accepted_ae.get(g["adverse_event_id"], 0)
            if instant(g["graded_at"]) == at and after and g["grade"] >= 1 and g["grade"] > least:
                found.append(g)
        return found

    def join(self, scope: dict[str, Flagged], f: Evaluation) -> None:
        old = scope.get(f.rule)
        if old is None:
            scope[f.rule] = Flagged(f.level, f.urgency, f.at, f.at, set(f.inputs))
        else:
            old.level, old.urgency = max(old.level, f.level), min(old.urgency, f.urgency)
            old.last = f.at
            old.inputs |= f.inputs

    def open(self, at: datetime, *, by_flag: bool) -> None:
        self.episode = Episode(at, by_flag, standing=self.watches)
        self.phases.append(self.episode)
        self.watches = {}

    # -- recovery and closure ---------------------------------------------------------------------------------
    def draws(self, after: datetime, until: datetime) -> list[datetime]:
        """First ferritin of each draw later than `after`: ferritins within 2 h of it are the same draw."""
        found: list[datetime] = []
        for r in self.by_analyte.get("FERRITIN", ()):
            if r.usable and r.at <= until and (not found or r.at > found[-1] + 2 * H):
                found.append(r.at)
        return [d for d in found if d > after]

    def counted(self, after: datetime, until: datetime) -> list[datetime]:
        kept: list[datetime] = []
        for d in self.draws(after, until):
            if not kept or d >= kept[-1] + 24 * H:
                kept.append(d)
        return kept

    def looks_recovered(self, r: Reading) -> Verdict:
        base = self.baseline(r)
        if r.analyte == "FERRITIN":
            parts = []
            if r.uln is not None:
                parts.append(at_most(r.v, r.uln))
            if base.value is not None:
                parts.append(at_most(r.v, Decimal("1.5") * base.value))
            return either(*parts) if parts else None
        if r.analyte in CENTRAL_BAND:
            limits = [v for v in (None if r.lln is None else at_least(r.v, r.lln),
                                  None if r.uln is None else at_most(r.v, r.uln)) if v is not None]  # fmt: skip
            inside = both(*limits) if r.lln is not None or r.uln is not None else None
            high = base.value is not None and both(above(r.v, r.uln), at_most(r.v, Decimal("1.5") * base.value))
            return either(inside, high)
        verdicts: list[Verdict] = []
        for slug in slugs_of(r.analyte):
            if r.never_low and slug == "hypocalcemia-corrected":
                verdicts.append(None)
                continue
            before = baseline_grade(slug, r.analyte, base)
            found = grades(slug, r, base)
            open_ = None in (met for k, met in found.items() if k > before)
            if r.comparator is None and open_ and True not in found.values():
                verdicts.append(None)  # ungradable for want of a limit: what looks recovered is skipped
                continue
            worse = [met for k, met in found.items() if k > max(1, before)]
            verdicts.append(both(*((False if m is True else None if m is None else True) for m in worse)))
        return both(*verdicts)

    def run_spans_a_day(self, analyte: str, after: datetime, until: datetime) -> bool:
        run: list[datetime] = []
        rows = [r for r in self.by_analyte.get(analyte, ()) if after < r.at <= until]
        for at in sorted({r.at for r in rows}):
            verdicts = {(self.looks_recovered(r), r.usable) for r in rows if r.at == at}
            if any(verdict is False for verdict, _ in verdicts):
                run = []  # within one instant nothing comes first: one that is not recovered breaks
            elif (True, True) in verdicts:
                run.append(at)
        return bool(run) and run[-1] - run[0] >= 24 * H

    def recover(self, at: datetime) -> None:
        e = self.episode
        if e is None or len(self.counted(e.after, at)) < 3:
            return
        recovery_set = {"FERRITIN"}.union(*e.starting.values())
        if not all(self.run_spans_a_day(a, e.after, at) for a in recovery_set):
            return
        if any(self.newest[rule].starts == STARTS_3_DAYS for rule in e.starting):
            return
        if all(self.ae_recovered(ae) for ae in e.adverse):
            self.end(at, "recovered")

    def ae_recovered(self, ae: str) -> bool:
        newest, worst = self.newest_grading[ae]
        return newest == 0 or (newest == 1 and worst >= 2)

    def end(self, at: datetime, reason: str) -> None:
        assert self.episode is not None
        self.episode.ended, self.episode.reason = at, reason
        self.episode = None
        for rule, e in self.newest.items():
            self.accepted[rule] = e
        for ae, (grade, _) in self.newest_grading.items():
            self.accepted_ae[ae] = grade

    def close(self, closure: Row, at: datetime) -> None:
        if closure.get("rule_id"):
            rule = closure["rule_id"]
            if self.watches.pop(rule, None) is not None and rule in self.newest:
                self.accepted[rule] = self.newest[rule]
        elif self.episode is not None:
            self.end(at, closure["outcome"])

    # -- the answer -------------------------------------------------------------------------------------------
    def answer(self) -> Verdicts:
        if self.p.status not in ("enrolled", "completed"):
            return Verdicts({}, None, None, len(self.phases))
        scope = self.episode.standing if self.episode else self.watches
        standing = {rule: (f.level, f.urgency, f.first) for rule, f in scope.items()
                    if rule.removeprefix("ctcae.") not in SHADOW}  # fmt: skip
        return Verdicts(standing, self.plan(), self.episode.opened if self.episode else None, len(self.phases))

    def plan(self) -> tuple[str, datetime, datetime, int] | None:
        if self.episode:
            e = self.episode
            draws = self.draws(e.after, self.p.now)
            due = self.weekend((draws[-1] if draws else e.opened) + 72 * H)
            return "every-3-days", due, due + 24 * H, len(self.counted(e.after, self.p.now)) + 1
        watch = self.watches.get(RISE)
        if watch is None:
            return None
        answered = [r for r in self.by_analyte["FERRITIN"] if r.usable and r.at > watch.first + 2 * H]
        due = self.weekend(watch.first + 72 * H)
        return None if answered else ("single", due, due + 24 * H, 1)

    def weekend(self, at: datetime) -> datetime:
        local = at.astimezone(self.p.zone)
        shift = {5: -1, 6: 1}.get(local.weekday(), 0)
        moved = local.replace(tzinfo=None) + timedelta(days=shift)
        return moved.replace(tzinfo=self.p.zone)


def decide(events: Iterable[Row], now: datetime, zone: ZoneInfo) -> Verdicts:
    """Return what stands at `now`, given all events (as JSON objects of `clinical-events.v1`)."""
    return Oracle(gather(events, now, zone)).run()
