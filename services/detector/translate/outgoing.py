"""What the domain says to messages for the outbox, and what could not be used to dead letters."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from schemas import alert_v1, retest_v1, topics
from schemas.base import Message
from schemas.dead_letter_v1 import DeadLetter, Origin
from services.common.errors import Reject
from services.common.identifiers import stable_id
from services.common.kafka import topic_name
from services.common.outbox import MAX_MESSAGE_BYTES, Saying
from services.detector.domain.statements import Alert, Effect, Plan, PublishPlan, SayAlert
from services.detector.domain.values import Event
from services.detector.metrics import Metrics
from services.detector.translate.incoming import Incoming


@dataclass(frozen=True, slots=True)
class Names:
    """The topics of this site in Kafka."""

    events: str
    alerts: str
    retests: str
    dead: str

    @classmethod
    def under(cls, prefix: str) -> "Names":
        """Return the names under a prefix."""
        return cls(
            events=topic_name(prefix, topics.CLINICAL_EVENTS.name),
            alerts=topic_name(prefix, topics.ALERTS.name),
            retests=topic_name(prefix, topics.RETESTS.name),
            dead=topic_name(prefix, topics.CLINICAL_EVENTS.dead),
        )


def saying(effect: Effect, partition: int, names: Names) -> Saying:
    """Return the message of an effect. The effect's id is a hash of its natural key: a replay says nothing new."""
    match effect:
        case SayAlert(alert):
            effect_id = stable_id("alert", alert.alert_id, str(alert.seq))
            return Saying(effect_id, partition, names.alerts, alert.patient_ref.encode(), _alert_body(alert))
        case PublishPlan(plan):
            effect_id = stable_id("plan", plan.plan_id, str(plan.seq))
            key = topics.retest_key(plan.patient_ref, plan.plan_id)
            return Saying(effect_id, partition, names.retests, key, _body(retest_v1.RetestPlan, plan))
        case _:
            assert_never(effect)


def _alert_body(alert: Alert) -> bytes:
    """An alert is never lost for its size: first the trend goes, then the values the rule looked at."""
    for smaller in (alert, replace(alert, series=()), replace(alert, series=(), inputs=(), sources=())):
        body = _body(alert_v1.Alert, smaller)
        if len(body) <= MAX_MESSAGE_BYTES:
            break
    return body


def _body(model: type[Message], said: Alert | Plan) -> bytes:
    return model.model_validate(said, from_attributes=True).encode()


def dead_letter(incoming: Incoming, reject: Reject, now: datetime, names: Names) -> Saying:
    """Return the dead letter of an event: where it stands and why it cannot be used, nothing of its content."""
    topic, partition = incoming.source
    letter = DeadLetter(
        dead_letter_id=stable_id("dead", topic, str(partition), str(incoming.offset), reject.reason),
        reason=reject.reason,
        detail=reject.detail,
        service="detector",
        received_at=now if incoming.event_id == "" else incoming.received_at,
        raw_ref=incoming.raw_ref,
        patient_ref=_storable(incoming.patient_ref),
        event_id=_storable(incoming.event_id),
        origin=Origin(topic=topic, partition=partition, offset=incoming.offset),
    )
    key = incoming.patient_ref.encode() or None
    return Saying(letter.dead_letter_id, partition, names.dead, key, letter.encode())


def dead_fact(event: Event, reason: str, partition: int, names: Names) -> Saying:
    """Return the dead letter of an event that was taken before and no longer counts."""
    letter = DeadLetter(
        dead_letter_id=stable_id("dead-fact", event.patient_ref, event.event_id, reason),
        reason=reason,
        detail="a later word of the registry contradicts it",
        service="detector",
        received_at=event.received_at,
        patient_ref=event.patient_ref,
        event_id=event.event_id,
    )
    return Saying(letter.dead_letter_id, partition, names.dead, event.patient_ref.encode(), letter.encode())


def _storable(text: str) -> str | None:
    """Content that a database refused must not travel on."""
    return text if text and text.isprintable() else None


def count(effects: Iterable[Effect], metrics: Metrics) -> None:
    """Count what was said."""
    for effect in effects:
        match effect:
            case SayAlert(alert):
                metrics.alerts.labels(alert.rule_id, alert.action, alert.urgency, alert.mode).inc()
            case PublishPlan(plan):
                metrics.plans.labels(plan.kind, plan.status).inc()
            case _:
                assert_never(effect)
