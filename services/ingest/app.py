"""The loop: frame or body in → domain → durable append → answer. Law: nothing clinical; no answer before Kafka's.

Conservation: every frame ends in exactly one of published, ignored, acknowledgement, refused and no_ack.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, assert_never

import structlog

from schemas.base import Message
from schemas.clinical_event_v1 import ClinicalEvent
from schemas.patient_v1 import Patient
from schemas.topics import CLINICAL_EVENTS, PATIENTS, RAW_MESSAGES
from services.common.clock import Now
from services.common.identifiers import keyed_token, patient_ref
from services.ingest.adapters.event_log import Durability, Record, Stored, TooLarge, Unavailable
from services.ingest.adapters.http_api import Answer, Impossible, NotNow, Recorded
from services.ingest.adapters.mllp_connection import Origin, Reply, Settle
from services.ingest.adapters.registry import CallClock, Registrar, Subject
from services.ingest.adapters.registry_bodies import Statement
from services.ingest.domain.ack import acknowledge, must_close
from services.ingest.domain.framing import HEAD_BYTES, Damaged, Fault, Frame, wrap
from services.ingest.domain.outcome import (
    Acknowledgement,
    FrameOutcome,
    Ignored,
    Outcome,
    Published,
    Refused,
    messages_of,
)
from services.ingest.domain.profile import Naming, Profiles
from services.ingest.domain.reading import read_frame, refuse_damaged
from services.ingest.domain.tables import Tables
from services.ingest.metrics import Count, IngestMetrics
from services.ingest.translate import Raw, dead_letter, lab_reports, quarantine_letters

UNKNOWN_SOURCE = "unknown"
HL7 = "x-application/hl7-v2+er7"
JSON = "application/json"
INTERNAL = "internal_error"

log = structlog.get_logger("ingest")
frames_log = logging.getLogger("ingest")


class Log(Protocol):
    """Where records become durable."""

    def append(self, records: Sequence[Record]) -> "asyncio.Future[Durability]":
        """Send the records in order."""

    def fault(self) -> str | None:
        """Tell why nothing can be stored at present."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Names in Kafka."""

    raw: str
    raw_dead: str
    patients: str
    events: str
    events_dead: str

    @classmethod
    def named(cls, name_of: Callable[[str], str]) -> "Topics":
        """Return the names under a prefix."""
        names = (RAW_MESSAGES.name, RAW_MESSAGES.dead, PATIENTS.name, CLINICAL_EVENTS.name, CLINICAL_EVENTS.dead)
        return cls(*map(name_of, names))

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic that is written."""
        return (self.raw, self.raw_dead, self.patients, self.events, self.events_dead)


@dataclass(frozen=True, slots=True)
class FrameReading:
    """A frame that was read: what came of it, what is to be stored, what is answered once it is."""

    frame: Frame | Damaged = field(repr=False)
    origin: Origin
    outcome: FrameOutcome
    records: tuple[Record, ...] = field(repr=False)
    reply: Reply


class Ingest:
    """Implements `Intake` for MLLP and `Registry` for HTTP."""

    def __init__(
        self,
        log: Log,
        *,
        topics: Topics,
        tables: Tables,
        profiles: Profiles,
        registrar: Registrar,
        site_key: bytes,
        metrics: IngestMetrics,
        now: Now,
    ) -> None:
        self._log, self._topics, self._metrics, self._now = log, topics, metrics, now
        self._tables, self._profiles, self._registrar = tables, profiles, registrar
        self._site_key = site_key
        self._count = Count(metrics, now)
        self._call_time = CallClock(now)
        self._naming = Naming(partial(patient_ref, site_key), partial(keyed_token, site_key))

    def fault(self) -> str | None:
        """Tell why nothing can be stored at present."""
        return self._log.fault()

    # --- frames

    def read(self, frame: Frame | Damaged, origin: Origin) -> Settle:
        """Read one frame; any thread may do it. What is returned stores it, in the event loop."""
        return partial(self._settle, self._understand(frame, origin))

    def _understand(self, frame: Frame | Damaged, origin: Origin) -> FrameReading:
        """Return what came of a frame. A fault of ours is a refusal too: one frame must not stop the feed."""
        for understand in (self._outcome, partial(self._damaged, reason=INTERNAL)):
            try:
                return self._reading(frame, origin, understand(frame))
            except Exception as problem:  # noqa: BLE001 - the sender is told, the bytes are kept, the place is logged
                log.error("frame not read: a fault of ours", problem=type(problem).__name__, at=_place(problem))  # noqa: TRY400
        return self._reading(frame, origin, Refused(None, None, INTERNAL))

    def _outcome(self, frame: Frame | Damaged) -> FrameOutcome:
        if isinstance(frame, Damaged):
            return self._damaged(frame, str(frame.fault))
        return read_frame(
            frame.body, tables=self._tables, profiles=self._profiles, naming=self._naming, received_at=self._now()
        )

    def _damaged(self, frame: Frame | Damaged, reason: str) -> Refused:
        return refuse_damaged(_bytes_of(frame)[:HEAD_BYTES], reason, profiles=self._profiles)

    def _reading(self, frame: Frame | Damaged, origin: Origin, outcome: FrameOutcome) -> FrameReading:
        if isinstance(outcome, Acknowledgement):
            return FrameReading(frame, origin, outcome, (), Reply())
        source = outcome.profile.name if outcome.profile else UNKNOWN_SOURCE
        raw = Raw(
            _bytes_of(frame), source=source, transport="mllp", peer=origin.peer or None, received_at=self._now()
        )  # fmt: skip
        records = [Record(self._topics.raw, source.encode(), raw.encode(HL7))]
        for message in messages_of(outcome):
            records += self._records(message, raw)
        return FrameReading(frame, origin, outcome, tuple(records), self._reply(frame, outcome, source))

    def _reply(self, frame: Frame | Damaged, outcome: FrameOutcome, source: str) -> Reply:
        answerable = isinstance(frame, Frame) or frame.answerable
        answer = acknowledge(outcome, now=self._now()) if answerable else None
        # Where nobody waits for an answer an unreadable header is no reason to hang up: framing has found its place.
        close = (answerable and must_close(outcome)) or (isinstance(frame, Damaged) and frame.must_close)
        return Reply(wrap(answer) if answer is not None else None, close, source)

    def _records(self, message: Outcome, raw: Raw) -> list[Record]:
        """Return what a message puts on the topics: events, and dead letters."""
        match message:
            case Published():
                return self._events(message, raw) + self._quarantine(message, raw)
            case Ignored():
                return self._quarantine(message, raw)
            case Refused():
                letter = dead_letter(raw, message.header, message.reason, message.position)
                return [Record(self._topics.raw_dead, raw.source.encode(), letter)]
            case Acknowledgement():
                return []
            case _:
                assert_never(message)

    def _events(self, message: Published, raw: Raw) -> list[Record]:
        return [
            Record(self._topics.events, report.patient_ref.encode(), event)
            for report in message.reports
            for event in lab_reports(report, raw.raw_id)
        ]

    def _quarantine(self, message: Published | Ignored, raw: Raw) -> list[Record]:
        return [
            Record(self._topics.events_dead, (patient_ref or raw.source).encode(), letter)
            for patient_ref, letter in quarantine_letters(raw, message.header, message.quarantined)
        ]

    def _settle(self, reading: FrameReading) -> "asyncio.Future[Reply]":
        settled: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if reading.records:
            self._log.append(reading.records).add_done_callback(partial(self._on_stored, reading, settled))
        else:
            self._conclude(reading, settled)
        return settled

    def _on_stored(
        self, reading: FrameReading, settled: "asyncio.Future[Reply]", stored: "asyncio.Future[Durability]"
    ) -> None:
        match stored.result():
            case Stored():
                self._conclude(reading, settled)
            case Unavailable(reason):
                self._metrics.frames.labels("no_ack").inc()
                log.warning("frame not stored, connection closed unanswered", reason=reason, peer=reading.origin.peer)
                settled.set_result(Reply(None, close=True))
            case TooLarge(topic, size):
                self._on_too_large(reading, settled, topic, size)
            case durability:
                assert_never(durability)

    def _on_too_large(self, reading: FrameReading, settled: "asyncio.Future[Reply]", topic: str, size: int) -> None:
        """Keep the beginning and refuse the frame: repeating it would not help."""
        log.warning("frame too large for Kafka", topic=topic, bytes=size, peer=reading.origin.peer)
        if isinstance(reading.frame, Damaged):  # not even its beginning: a limit of the broker is wrong
            self._metrics.frames.labels("no_ack").inc()
            settled.set_result(Reply(None, close=True))
            return
        beginning = Damaged(Fault.OVERSIZE, reading.frame.body[:HEAD_BYTES])
        again = self._understand(beginning, reading.origin)
        self._log.append(again.records).add_done_callback(partial(self._on_stored, again, settled))

    def _conclude(self, reading: FrameReading, settled: "asyncio.Future[Reply]") -> None:
        settled.set_result(reading.reply)
        self._count.frame(reading.outcome, reading.reply.source)
        for message in messages_of(reading.outcome):
            self._tell(reading, message)

    def _tell(self, reading: FrameReading, message: Outcome) -> None:
        """One line per message that a person may ask about; what went smoothly is counted, and told at level debug."""
        source = reading.reply.source
        match message:
            case Published() if not message.quarantined:
                if frames_log.isEnabledFor(logging.DEBUG):
                    refs = [report.patient_ref for report in message.reports]
                    log.debug("published", source=source, type=message.header.message_type, refs=refs)
            case Published() | Ignored() if message.quarantined:
                reasons = sorted({quarantined.reason for quarantined in message.quarantined})
                log.info("results quarantined", source=source, type=message.header.message_type, reasons=reasons)
            case Refused():
                log.warning("refused", source=source, reason=message.reason, position=message.position)
            case _:
                pass

    # --- registry

    async def record(self, statement: Statement) -> Answer:
        """Make one statement of the registry durable: who the patient is, then the event."""
        grant = statement.grant
        raw = Raw(
            statement.content, source=grant.source, transport="http", peer=statement.peer, received_at=self._call_time()
        )
        subject = Subject(
            patient_ref=patient_ref(self._site_key, grant.authority, statement.mrn),
            authority=grant.authority,
            mrn=statement.mrn,
            source=grant.source,
            received_at=raw.received_at,
            raw_ref=raw.raw_id,
        )
        try:
            messages = self._registrar.messages(subject, statement.name, statement.body)
        except ValueError as problem:
            return Impossible("value", str(problem))
        records = [Record(self._topics.raw, grant.source.encode(), raw.encode(JSON))]
        records += [self._registry_record(message) for message in messages]
        event = messages[-1]
        assert isinstance(event, ClinicalEvent)
        match await self._log.append(records):
            case Stored():
                self._count.statement(event, grant.source)
                return Recorded(event.event_id)
            case Unavailable(reason):
                return NotNow(reason)
            case TooLarge():
                return Impossible("body", "is too large to be stored")

    def _registry_record(self, message: Message) -> Record:
        assert isinstance(message, Patient | ClinicalEvent)
        topic = self._topics.patients if isinstance(message, Patient) else self._topics.events
        return Record(topic, message.patient_ref.encode(), message.encode())


def _bytes_of(frame: Frame | Damaged) -> bytes:
    return frame.body if isinstance(frame, Frame) else frame.head


def _place(problem: Exception) -> str:
    """Return file and line of the innermost frame; the message of an exception may quote what was sent."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"
