"""One record in, its whole consequence inside the caller's transaction; nothing clinical is decided here."""

from dataclasses import dataclass
from typing import assert_never

from pydantic import ValidationError

from schemas.alert_v1 import Alert
from schemas.dead_letter_v1 import DeadLetter, Origin
from schemas.patient_v1 import Patient
from schemas.retest_v1 import RetestPlan
from schemas.topics import ALERTS, PATIENTS, RETESTS
from services.common.identifiers import stable_id
from services.notifier.domain.dedup import Reason, needs_sending
from services.notifier.domain.escalation import (
    Ladder,
    Phase,
    Step,
    on_ended,
    on_lessened,
    on_raised,
    on_worsened,
)
from services.notifier.domain.retests import Status, on_plan
from services.notifier.store import alerts, ladders, people_told, plans
from services.notifier.store.acting import Acting
from services.notifier.store.people_told import Entry
from services.notifier.store.reminding import forget_reminders, remind
from services.notifier.store.telling import Teller
from services.notifier.translate import facts


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic. `name` is the topic's own name, `topic` its name in this Kafka."""

    name: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def handle(acting: Acting, record: Record) -> None:
    """Take one record; what cannot be read goes to the dead letters."""
    try:
        outcome = _take(acting, record)
    except ValidationError as problem:
        bury(acting, record, "undecodable", _where(problem))
        outcome = "dead"
    acting.count("records", record.name, outcome)


def _take(acting: Acting, record: Record) -> str:
    """Raises ValidationError."""
    if record.name == ALERTS.name:
        return take_alert(acting, Alert.model_validate_json(record.value or b""))
    if record.name == RETESTS.name:
        return "tombstone" if record.value is None else take_plan(acting, RetestPlan.model_validate_json(record.value))
    if record.name == PATIENTS.name and record.value is None:
        plans.forget_patient(acting.db, (record.key or b"").decode(errors="replace"))
        return "tombstone"
    written = plans.keep_patient(acting.db, Patient.model_validate_json(record.value or b""))
    return "applied" if written else "old"


def take_alert(acting: Acting, alert: Alert) -> str:
    """Apply an alert message: keep it, move its ladder, queue what people must hear."""
    previous = alerts.said(acting.db, alert.alert_id)
    before = None if previous is None else alerts.newest(acting.db, alert.alert_id)
    reason = needs_sending(previous, facts(alert))
    applied = reason not in (Reason.OLD, Reason.REPEATED)
    acting.count("alerts", reason)
    alerts.keep(acting.db, alert, applied=applied, now=acting.now)
    if not applied:
        return reason
    ladder = ladders.load(acting.db, alert.alert_id)
    step = _step(acting, reason, ladder, alert)
    if step is not None:
        moved, effects = step
        ladders.save(acting.db, moved)
        Teller(acting, moved, alert, before, is_new=True).perform(effects)
    if reason is Reason.SHADOW:
        _not_told(acting, alert)
    return "applied"


def _step(acting: Acting, reason: Reason, ladder: Ladder | None, alert: Alert) -> Step | None:
    """Return how the ladder moves; None where there is nothing to move."""
    rules, known, now = acting.site.rules.ladders, facts(alert), acting.now
    match reason:
        case Reason.FIRST:
            return on_raised(ladder, known, rules, now)
        case Reason.WORSE:
            return on_raised(None, known, rules, now) if ladder is None else on_worsened(ladder, known, rules, now)
        case Reason.LESS:
            return on_raised(None, known, rules, now) if ladder is None else on_lessened(ladder, known, rules, now)
        case Reason.ENDED:
            return None if ladder is None else on_ended(ladder, known, alert.action)
        case Reason.SHADOW:
            stands = ladder is not None and ladder.phase is not Phase.STOPPED
            return on_ended(ladder, known, "now in shadow") if stands and ladder is not None else None
        case Reason.OLD | Reason.REPEATED | Reason.SAME | Reason.NEVER_SAID:
            return None
        case _:
            assert_never(reason)


def _not_told(acting: Acting, alert: Alert) -> None:
    entry = Entry(
        result="not-told",
        reason="rule runs in shadow",
        at=acting.now,
        urgency=alert.urgency,
        alert_id=alert.alert_id,
        patient_ref=alert.patient_ref,
        seq=alert.seq,
        level=alert.level,
    )
    people_told.record(acting.db, [entry])
    acting.count("suppressed", "shadow")


def take_plan(acting: Acting, plan: RetestPlan) -> str:
    """Apply a retest plan; an overdue slot is told once."""
    answer = on_plan(plans.slot(acting.db, plan.plan_id), plan.seq, Status(plan.status), plan.draw)
    if not answer.is_news:
        return "old"
    plans.keep_plan(acting.db, plan, answer.reminded, acting.now)
    if answer.reminded is None or answer.remind:
        forget_reminders(acting, plan)
    if answer.remind:
        remind(acting, plan, plans.ward_of(acting.db, plan.patient_ref))
        acting.count("reminders")
    return "applied"


def bury(acting: Acting, record: Record, reason: str, detail: str) -> None:
    """Publish a dead letter; its id comes from where the record stood."""
    dead_letter_id = stable_id("dead", record.topic, str(record.partition), str(record.offset))
    letter = DeadLetter(
        dead_letter_id=dead_letter_id,
        reason=reason,
        detail=detail,
        service="notifier",
        received_at=acting.now,
        origin=Origin(topic=record.topic, partition=record.partition, offset=record.offset),
    )
    acting.say(dead_letter_id, f"{record.topic}.dead", f"{record.topic}:{record.partition}", letter)
    acting.count("dead", record.name, reason)


def _where(problem: ValidationError) -> str:
    """Name the fields, never what stood in them."""
    places = (".".join(str(part) for part in error["loc"]) for error in problem.errors(include_input=False))
    return ", ".join(dict.fromkeys(place or "body" for place in places))[:300]
