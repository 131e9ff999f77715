"""Small minds for tests of the shell: they say one alert per report and count nothing else."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.detector.domain.patient import Decision, Head
from services.detector.domain.statements import (
    Action,
    Alert,
    BaselineShown,
    Effect,
    Mode,
    SayAlert,
    Urgency,
    Wording,
)
from services.detector.domain.values import Event, LabReport, PatientRef, Precision, ResultId, RuleId

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_head(ref: str = "PAT1") -> Head:
    return Head(PatientRef(ref), NOON)


def an_alert(ref: str = "PAT1", alert_id: str = "alert-1", seq: int = 1, **changed: object) -> Alert:
    fields: dict[str, object] = {
        "alert_id": alert_id,
        "seq": seq,
        "action": Action.RAISED,
        "reason": "level 2",
        "wording": Wording.IRAE_SUSPECTED,
        "patient_ref": PatientRef(ref),
        "arm": None,
        "episode_id": None,
        "rule_id": RuleId("ferritin.rise"),
        "rule_version": "1",
        "mode": Mode.LIVE,
        "urgency": Urgency.P2,
        "level": 2,
        "organ": None,
        "roles": (),
        "analyte": "ferritin",
        "value": Decimal("812.0"),
        "comparator": None,
        "unit": "ug/L",
        "collected_at": NOON,
        "collected_precision": Precision.SECOND,
        "reference_low": None,
        "reference_high": Decimal(300),
        "baseline": BaselineShown(),
        "fold": "4.06",
        "ctcae_version": None,
        "grade": None,
        "baseline_grade": None,
        "inputs": (),
        "missing": (),
        "notes": (),
        "series": (),
        "clears_when": "back to baseline",
        "late": False,
        "known_since": None,
        "sources": (),
        "decided_at": NOON,
        "supersedes": None,
    }
    return Alert(**(fields | changed))  # type: ignore[arg-type]


@dataclass
class Recorder:
    """Says one alert per report and none by time; remembers how it was asked."""

    wake_after: timedelta | None = None
    wants_history: bool = False
    asked: list[tuple[tuple[str, ...], tuple[str, ...] | None]] = field(default_factory=list)
    known: list[set[str]] = field(default_factory=list)
    fails_on: set[str] = field(default_factory=set)
    ignores: dict[str, str] = field(default_factory=dict)

    def needs_history(self, head: Head | None, events: Sequence[Event], *, known_results: Collection[ResultId]) -> bool:
        self.known.append(set(known_results))
        return self.wants_history or bool(known_results)

    def decide(
        self, head: Head | None, events: Sequence[Event], *, history: Sequence[Event] | None, now: datetime
    ) -> Decision:
        ids = tuple(event.event_id for event in events)
        self.asked.append((ids, None if history is None else tuple(event.event_id for event in history)))
        if self.fails_on & set(ids):
            raise ZeroDivisionError("value 812 of a patient")
        effects: tuple[Effect, ...] = tuple(
            SayAlert(an_alert(event.patient_ref, f"of-{event.event_id}"))
            for event in events
            if isinstance(event, LabReport)
        )
        ref = events[0].patient_ref if events else "PAT1"
        return Decision(
            head=head or a_head(ref),
            effects=effects,
            wake_at=None if self.wake_after is None else now + self.wake_after,
            facts=tuple(events),
            dead=tuple((event, self.ignores[event.event_id]) for event in events if event.event_id in self.ignores),
        )
