"""`deliveries.v1`: who was told what, when, by which channel, with what result; acknowledgements; who was not told."""

from typing import Literal

from pydantic import Field

from schemas.alert_v1 import Urgency
from schemas.base import Identifier, Instant, Message, PatientRef

DeliveryState = Literal["sent", "retry", "refused", "not-told", "acknowledged", "escalated", "handed-over", "expired"]


class Delivery(Message):
    """One step in telling one person about one alert. `recipient` is a person's id on the rota, never an address."""

    delivery_id: Identifier
    alert_id: Identifier
    seq: int
    patient_ref: PatientRef
    state: DeliveryState
    recipient: str | None = None
    role: str | None = None
    channel: str | None = None
    urgency: Urgency | None = None
    step: int = Field(default=0, ge=0)
    attempt: int = Field(default=0, ge=0)
    reason: str = ""
    at: Instant
