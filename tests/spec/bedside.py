"""A patient at whose bedside the tables of the specification are played; times are site time, the year is 2026.

The detector is driven as its shell drives it: facts are stored, history is loaded when it is asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from services.detector.domain.patient import Decision, Head, NeedsHistory, decide, needs_history
from services.detector.domain.rules import Rulebook
from services.detector.domain.statements import Alert, Plan, PlanStatus, PublishPlan, SayAlert
from services.detector.domain.values import (
    AdverseEventGraded,
    Analyte,
    Arm,
    BaselinePinned,
    Comparator,
    Enrolment,
    EpisodeClosed,
    Event,
    EventId,
    LabReport,
    LabResult,
    PatientRef,
    PatientStatus,
    Precision,
    ResultId,
    RuleId,
)
from services.detector.rulebook import load

SITE = ZoneInfo("Asia/Shanghai")
RULES: Rulebook = load(Path("no-site"), SITE)
REF = PatientRef("K7QF-2M9X-RT4BD")
DOSE = "5 Jan 09:00"
ACTIVE = (PlanStatus.SCHEDULED, PlanStatus.DUE, PlanStatus.OVERDUE)
LIMITS: dict[str, tuple[str | None, str | None]] = {
    "FERRITIN": ("15", "150"),
    "ALT": (None, "40"),
    "BILIRUBIN_TOTAL": (None, "21"),
    "CREATININE": ("45", "104"),
    "HEMOGLOBIN": ("130", "175"),
    "POTASSIUM": ("3.5", "5.3"),
    "PLATELETS": ("125", "350"),
    "SODIUM": ("137", "147"),
    "EOSINOPHILS": ("0.02", "0.52"),
    "CALCIUM_TOTAL": ("2.11", "2.52"),
    "CALCIUM_CORRECTED": ("2.11", "2.52"),
    "ALBUMIN": ("40", "55"),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NO_LIMITS: tuple[str | None, str | None] = (None, None)


def at(text: str) -> datetime:
    """Read `19 Jan 08:00` of 2026, or `20 Dec 2025 08:00`; without a time of day 08:00."""
    words = text.split()
    clock = words.pop() if ":" in words[-1] else "08:00"
    year = words[2] if len(words) > 2 else "2026"
    month = MONTHS.index(words[1]) + 1
    hour, minute = clock.split(":")
    return datetime(int(year), month, int(words[0]), int(hour), int(minute), tzinfo=SITE).astimezone(UTC)


def shown(moment: datetime) -> str:
    """Return an instant as the tables write it: `Thu 22 Jan 08:00`."""
    local = moment.astimezone(SITE)
    return f"{local:%a} {local.day} {local:%b %H:%M}"


def split(text: str) -> tuple[Comparator | None, Decimal | None]:
    """Read `>1000`, `80` or `` (no value)."""
    sign = next((sign for sign in ("<=", ">=", "<", ">") if text.startswith(sign)), None)
    number = text.removeprefix(sign or "")
    return Comparator(sign) if sign else None, Decimal(number) if number else None


def a_result(analyte: str, text: str, collected: str, **changes: object) -> LabResult:
    """Return a final result of the central laboratory, received one hour after its collection."""
    comparator, value = split(text)
    low, high = LIMITS.get(analyte, NO_LIMITS)
    collected_at = at(collected)
    received_at = collected_at + timedelta(hours=1)
    result = LabResult(
        ResultId(f"{analyte}|{collected}"), Analyte(analyte), value, "canonical", "F", collected_at, received_at,
        received_at, comparator, Decimal(low) if low else None, Decimal(high) if high else None,
        order_key=f"{analyte}|{collected}", source="central-lab",
    )  # fmt: skip
    return replace(result, **changes)  # type: ignore[arg-type]


BEGINNING = at("20 Dec 2025 12:00")


@dataclass
class Bedside:
    """One patient: what is known and everything that has been said."""

    rules: Rulebook = RULES
    head: Head | None = None
    facts: list[Event] = field(default_factory=list)
    said: list[Alert] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    wake_at: datetime | None = None
    now: datetime = BEGINNING
    number: int = 0

    def take(self, *events: Event, now: datetime | None = None) -> Decision:
        """Give events to the detector as its shell would."""
        self.now = max([self.now, *(event.received_at for event in events)]) if now is None else now
        stored = {event.event_id for event in self.facts}
        new = [event for event in events if event.event_id not in stored]
        known = {r.result_id for event in self.facts if isinstance(event, LabReport) for r in event.results}
        history = self.facts if needs_history(self.head, new, known_results=known) else None
        try:
            decision = decide(self.head, new, history=history, rules=self.rules, now=self.now)
        except NeedsHistory:
            decision = decide(self.head, new, history=self.facts, rules=self.rules, now=self.now)
        self.head, self.wake_at = decision.head, decision.wake_at
        self.facts.extend(decision.facts)
        self.said.extend(effect.alert for effect in decision.effects if isinstance(effect, SayAlert))
        self.plans.extend(effect.plan for effect in decision.effects if isinstance(effect, PublishPlan))
        self.dead.extend(reason for _, reason in decision.dead)
        return decision

    def _id(self) -> EventId:
        self.number += 1
        return EventId(f"event-{self.number}")

    def enrolled(
        self, dose: str | None = DOSE, *, status: str = "enrolled", arm: str = "immunotherapy",
        consent: str | None = "20 Dec 2025", received: str | None = None, by_day: bool = False, **tokens: str,
    ) -> "Bedside":  # fmt: skip
        """The registry's word on the patient."""
        self.take(
            Enrolment(
                self._id(), REF, at(received) if received else self.now, PatientStatus(status), Arm(arm),
                at(consent) if consent else None, Precision.SECOND, at(dose) if dose else None,
                Precision.DAY if by_day else Precision.SECOND, **tokens,  # type: ignore[arg-type]
            )
        )  # fmt: skip
        return self

    def report(self, collected: str, received: str | None = None, *, status: str = "F", **values: str) -> "Bedside":
        """A report with these results, all collected at one time."""
        return self.results(
            *(a_result(analyte, text, collected, status=status) for analyte, text in values.items()), received=received
        )

    def results(self, *results: LabResult, received: str | None = None, **tokens: str) -> "Bedside":
        """A report with results made by `a_result`."""
        came = at(received) if received else max(result.received_at for result in results)
        shifted = tuple(
            replace(result, received_at=came, resulted_at=came if received else result.resulted_at)
            for result in results
        )
        self.take(LabReport(self._id(), REF, came, shifted, **tokens))
        return self

    def corrected(self, collected: str, received: str, *, status: str = "C", **values: str) -> "Bedside":
        """A later version of results collected then."""
        return self.report(collected, received, status=status, **values)

    def graded(self, name: str, when: str, grade: int) -> "Bedside":
        """A grading of an adverse event, received one hour later."""
        moment = at(when)
        self.take(AdverseEventGraded(self._id(), REF, moment + timedelta(hours=1), name, grade, moment))
        return self

    def pinned(self, analyte: str, value: str, received: str) -> "Bedside":
        """A named person's baseline."""
        self.take(BaselinePinned(self._id(), REF, at(received), Analyte(analyte), Decimal(value), "dr-a"))
        return self

    def closed(self, when: str, outcome: str, *, rule: str | None = None, received: str | None = None) -> "Bedside":
        """A closure by a named person of the episode, or of the watch of `rule`."""
        act = EpisodeClosed(
            self._id(), REF, at(received or when), at(when), outcome, "dr-a", rule_id=RuleId(rule) if rule else None
        )
        self.take(act)
        return self

    def wait(self, until: str) -> "Bedside":
        """Let time pass, asking when there is something to ask."""
        end = at(until)
        while self.wake_at is not None and self.wake_at <= end:
            self.take(now=self.wake_at)
        self.now = end
        return self

    def standing(self) -> list[str]:
        """Return what stands as `rule level urgency`, sorted."""
        assert self.head is not None
        alerts = (said.alert for said in self.head.ledger.alerts.values())
        return sorted(f"{alert.rule_id} {alert.level} {alert.urgency}" for alert in alerts)

    def heard(self) -> list[str]:
        """Return everything said as `action rule level urgency`, in the order it was said."""
        return [f"{alert.action} {alert.rule_id} {alert.level} {alert.urgency}" for alert in self.said]

    def plan(self) -> str | None:
        """Return the active plan as `kind, due time`."""
        plan = self.active()
        return f"{plan.kind}, due {shown(plan.due_at)}" if plan else None

    def active(self) -> Plan | None:
        """Return the active plan as those hold it who keep the newest of each plan."""
        newest = {plan.plan_id: plan for plan in self.plans}
        active = [plan for plan in newest.values() if plan.status in ACTIVE]
        assert len(active) <= 1, "one thing to do next"
        return active[0] if active else None

    def last_of(self, rule: str) -> Alert:
        """Return the last word on a rule."""
        return [alert for alert in self.said if alert.rule_id == rule][-1]

    def statuses(self) -> list[str]:
        """Return the statuses the plan has gone through."""
        return [str(plan.status) for plan in self.plans]


def enrolled(**changes: object) -> Bedside:
    """Return the patient of RULES.md 8: arm A, enrolled 20 December, first dose Monday 5 January 09:00."""
    return Bedside().enrolled(**changes)  # type: ignore[arg-type]


def ferritins(bedside: Bedside, values: Iterable[tuple[str, str]]) -> Bedside:
    """Give one ferritin after the other."""
    for collected, text in values:
        bedside.report(collected, FERRITIN=text)
    return bedside


Row = Sequence[str]
