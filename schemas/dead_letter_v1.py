"""`<topic>.dead`: what could not be used, with the reason and a reference to the raw bytes. No identifiers in it."""

from schemas.base import Identifier, Instant, Message


class Origin(Message):
    """Where in Kafka the record stood, if it came from there."""

    topic: str
    partition: int
    offset: int


class DeadLetter(Message):
    """One thing that was kept but not used. `detail` names positions (OBX[3].5), never content."""

    dead_letter_id: Identifier
    reason: Identifier
    detail: str = ""
    service: Identifier
    source: str | None = None
    transport: str | None = None
    peer: str | None = None
    received_at: Instant
    raw_ref: str | None = None
    sha256: str | None = None
    sending_application: str | None = None
    sending_facility: str | None = None
    message_time: str | None = None
    control_id: str | None = None
    patient_ref: str | None = None
    event_id: str | None = None
    origin: Origin | None = None
    replayable: bool = True
