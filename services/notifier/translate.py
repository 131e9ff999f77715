"""From messages of the detector to what decisions need of them, and into messages about what was told. No decisions."""

from datetime import datetime

from schemas.alert_v1 import Alert
from schemas.delivery_v1 import Delivery, DeliveryState
from services.common.identifiers import stable_id
from services.notifier.domain.values import Action, AlertFacts, AlertId, Role, Urgency


def facts(alert: Alert) -> AlertFacts:
    """Return what decisions need of an alert."""
    return AlertFacts(
        alert_id=AlertId(alert.alert_id),
        seq=alert.seq,
        action=Action(alert.action),
        live=alert.mode == "live",
        urgency=Urgency(alert.urgency),
        level=alert.level,
        decided_at=alert.decided_at,
        organ=alert.organ,
        roles=tuple(Role(role) for role in alert.roles),
        arm=alert.arm,
        late=alert.late,
        newest=is_newest(alert),
    )


def is_newest(alert: Alert) -> bool:
    """Tell whether the alert's result is the newest of its analyte, as far as its own series shows."""
    collected = alert.collected_at
    return collected is None or all(point.collected_at <= collected for point in alert.series)


def delivery(
    state: DeliveryState,
    *natural_key: str,
    alert_id: str,
    seq: int,
    patient_ref: str,
    urgency: str,
    at: datetime,
    recipient: str | None = None,
    role: str | None = None,
    channel: str | None = None,
    step: int = 0,
    attempt: int = 0,
    reason: str = "",
) -> Delivery:
    """Return a message for `deliveries.v1`; its id comes from the state and the natural key."""
    return Delivery(
        delivery_id=stable_id("delivery", state, *natural_key),
        alert_id=alert_id,
        seq=seq,
        patient_ref=patient_ref,
        state=state,
        recipient=recipient,
        role=role,
        channel=channel,
        urgency=Urgency(urgency).value,
        step=step,
        attempt=attempt,
        reason=reason,
        at=at,
    )
