"""What one transaction reads at its beginning, decides, and writes at its end."""

import contextlib
import traceback
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from services.common.errors import Reject
from services.common.outbox import Saying
from services.detector.codec import RecentHeads
from services.detector.domain.patient import Decision, Head, NeedsHistory
from services.detector.domain.statements import Effect
from services.detector.domain.values import Event, ResultId
from services.detector.metrics import EventOutcome
from services.detector.store import facts, heads, keys
from services.detector.store.heads import PatientRow
from services.detector.store.tables import OUTBOX
from services.detector.translate import incoming as inbound
from services.detector.translate import outgoing as outbound
from services.detector.translate.incoming import Incoming
from services.detector.translate.outgoing import Names

DATABASE_TROUBLE = (SQLAlchemyError, OSError)
AGAIN_AFTER_FAILURE = timedelta(minutes=15)
"""When a time step raises it is not tried again at every poll, but it is not given up either."""

AT_LEAST_LATER = timedelta(seconds=1)
"""A time step that asks for itself at once would keep the process busy for ever."""

log = structlog.get_logger("detector")


class Mind(Protocol):
    """The domain with its rules: pure, the same answer to the same question."""

    def decide(
        self, head: Head | None, events: Sequence[Event], *, history: Sequence[Event] | None, now: datetime
    ) -> Decision:
        """Take one step for one patient. Raises NeedsHistory."""

    def needs_history(self, head: Head | None, events: Sequence[Event], *, known_results: Collection[ResultId]) -> bool:
        """Tell whether this step is only right with all earlier facts at hand."""


@dataclass(slots=True)
class Patient:
    """A patient during one transaction. `kept`: the registry knows the patient, the facts stay for good."""

    ref: str
    partition: int
    head: Head | None = None
    wake_at: datetime | None = None
    kept: bool = False
    purge_at: datetime | None = None
    recent_keys: bytes = b""
    sealed: list[bytes] = field(default_factory=list)
    pending: list[Event] = field(default_factory=list)
    changed: bool = False

    @classmethod
    def of(cls, row: PatientRow, sealed: list[bytes], recent: RecentHeads) -> "Patient":
        """Return the patient of a row."""
        kept, head = row.purge_at is None, recent.decode(row.patient_ref, row.head)
        return cls(row.patient_ref, row.partition, head, row.wake_at, kept, row.purge_at, row.recent_keys, sealed)

    def row(self, recent: RecentHeads) -> PatientRow:
        """Return the patient's row."""
        assert self.head is not None
        head = recent.encode(self.ref, self.head)
        return PatientRow(self.ref, self.partition, self.wake_at, self.purge_at, self.recent_keys, head)


@dataclass(slots=True)
class Tally:
    """What is counted once the transaction stands."""

    outcomes: Counter[EventOutcome] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    effects: list[Effect] = field(default_factory=list)
    refolds: int = 0
    purged: int = 0


class Batch:
    """One transaction: `take` events or time steps, then `write`."""

    def __init__(
        self, db: Connection, mind: Mind, names: Names, recent: RecentHeads, now: datetime, keep: timedelta
    ) -> None:
        self.db, self.now, self.tally, self._recent = db, now, Tally(), recent
        self._mind, self._names, self._keep = mind, names, keep
        self._patients: dict[str, Patient] = {}
        self._known: set[tuple[str, str]] = set()
        self._facts: list[facts.Fact] = []
        self._segments: list[keys.Segment] = []
        self._sayings: list[Saying] = []

    def load(self, events: Sequence[Incoming]) -> None:
        """Read what these events need, in three questions however many they are."""
        readable = [event for event in events if event.event is not None]
        partitions = {event.patient_ref: event.source.partition for event in readable}
        rows, sealed = heads.load(self.db, partitions), keys.sealed(self.db, partitions)
        for ref, partition in partitions.items():
            row = rows.get(ref)
            self._patients[ref] = (
                Patient(ref, partition) if row is None else Patient.of(row, sealed.get(ref, []), self._recent)
            )
        self._known = facts.known(self.db, {(event.patient_ref, event.fact_id) for event in readable})

    def take(self, incoming: Incoming) -> None:
        """Give one event its one outcome."""
        if incoming.event is None:
            self._bury(incoming, incoming.reject or Reject("unusable"))
        elif (incoming.patient_ref, incoming.fact_id) in self._known:
            self.tally.outcomes[EventOutcome.REPEATED] += 1
        else:
            self._take_new(incoming, incoming.event)

    def _take_new(self, incoming: Incoming, event: Event) -> None:
        patient = self._patients[incoming.patient_ref]
        try:
            decision = self._decide(patient, (event,), incoming.result_keys)
            self._adopt(patient, decision)
        except DATABASE_TROUBLE:
            raise
        except Exception as problem:  # noqa: BLE001 - one patient's failure stops no other, and is loud
            self._log_failure("event", problem, patient.ref, incoming.event_id)
            self._bury(incoming, Reject("decision_failed", type(problem).__name__))
            return
        self._retain(patient, incoming)
        if event in decision.facts:
            self._keep_fact(patient, incoming, event)
        self._account(incoming, event, decision)

    def _account(self, incoming: Incoming, event: Event, decision: Decision) -> None:
        """The event is applied or dead; a change of the registry may also make events dead that were applied."""
        own = [reason for dead, reason in decision.dead if dead.event_id == event.event_id]
        if own:
            self._bury(incoming, Reject(own[0]))
        else:
            self.tally.outcomes[EventOutcome.APPLIED] += 1
        self._bury_earlier(decision, incoming.source.partition, event.event_id)

    def _bury_earlier(self, decision: Decision, partition: int, event_id: str | None) -> None:
        for dead, reason in decision.dead:
            if dead.event_id != event_id:
                self.tally.dead[reason] += 1
                self._sayings.append(outbound.dead_fact(dead, reason, partition, self._names))

    def _decide(self, patient: Patient, events: Sequence[Event], results: Mapping[int, str]) -> Decision:
        known = {ResultId(results[key]) for key in keys.known(results, patient.recent_keys, patient.sealed)}
        if not self._mind.needs_history(patient.head, events, known_results=known):
            with contextlib.suppress(NeedsHistory):
                return self._mind.decide(patient.head, events, history=None, now=self.now)
        self.tally.refolds += 1
        history = [*map(inbound.fact, facts.history(self.db, patient.ref)), *patient.pending]
        return self._mind.decide(patient.head, events, history=history, now=self.now)

    def _adopt(self, patient: Patient, decision: Decision) -> None:
        sayings = [outbound.saying(effect, patient.partition, self._names) for effect in decision.effects]
        self._sayings += sayings
        self.tally.effects += decision.effects
        patient.head, patient.wake_at, patient.changed = decision.head, decision.wake_at, True

    def _keep_fact(self, patient: Patient, incoming: Incoming, event: Event) -> None:
        self._known.add((incoming.patient_ref, incoming.fact_id))
        self._facts.append(facts.Fact(patient.ref, incoming.fact_id, incoming.received_at, incoming.body))
        patient.pending.append(event)
        self._keep_keys(patient, incoming.result_keys)

    def _keep_keys(self, patient: Patient, result_keys: Collection[int]) -> None:
        patient.recent_keys, full = keys.add(patient.recent_keys, result_keys)
        if full is not None:
            patient.sealed.append(full)
            self._segments.append(keys.Segment(patient.ref, full))

    def _retain(self, patient: Patient, incoming: Incoming) -> None:
        """Facts of a patient of the registry are kept for good, those of others until the oldest is old enough."""
        patient.kept = patient.kept or incoming.registers
        purge_at = incoming.received_at + self._keep
        patient.purge_at = None if patient.kept else min(purge_at, patient.purge_at or purge_at)

    def _bury(self, incoming: Incoming, reject: Reject) -> None:
        self.tally.outcomes[EventOutcome.DEAD] += 1
        self.tally.dead[reject.reason] += 1
        self._sayings.append(outbound.dead_letter(incoming, reject, self.now, self._names))

    def take_time(self, row: PatientRow) -> None:
        """Take the time step of a patient who is due."""
        patient = self._patients[row.patient_ref] = Patient.of(row, [], self._recent)
        try:
            decision = self._decide(patient, (), {})
            self._adopt(patient, decision)
            self._bury_earlier(decision, row.partition, None)
        except DATABASE_TROUBLE:
            raise
        except Exception as problem:  # noqa: BLE001 - the others are due as well
            self._log_failure("time", problem, row.patient_ref, None)
            patient.wake_at, patient.changed = self.now + AGAIN_AFTER_FAILURE, True
        if patient.wake_at is not None:
            patient.wake_at = max(patient.wake_at, self.now + AT_LEAST_LATER)

    def purge(self, row: PatientRow) -> None:
        """Drop old facts of a patient nobody enrolled; without facts the patient goes, else the head is made anew."""
        self.tally.purged += facts.forget(self.db, row.patient_ref, self.now - self._keep)
        keys.forget(self.db, [row.patient_ref])
        left = [inbound.fact(body) for body in facts.history(self.db, row.patient_ref)]
        oldest = facts.oldest(self.db, row.patient_ref)
        if oldest is None:
            heads.forget(self.db, [row.patient_ref])
            return
        patient = self._patients[row.patient_ref] = Patient.of(row._replace(recent_keys=b""), [], self._recent)
        self._adopt(patient, self._mind.decide(patient.head, (), history=left, now=self.now))
        patient.purge_at = oldest + self._keep
        for event in left:
            self._keep_keys(patient, inbound.result_keys(event))

    def write(self) -> None:
        """Write everything that was decided."""
        heads.save(self.db, [patient.row(self._recent) for patient in self._patients.values() if patient.changed])
        facts.add(self.db, self._facts)
        keys.seal(self.db, self._segments)
        OUTBOX.say(self.db, self._sayings, self.now)

    def _log_failure(self, when: str, problem: Exception, patient_ref: str, event_id: str | None) -> None:
        """Name the place in the code, not the exception's words: they may hold a value."""
        self.tally.failed[when] += 1
        places = traceback.extract_tb(problem.__traceback__)[-3:]
        where = [f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno} {place.name}" for place in places]
        kind = type(problem).__name__
        log.error("decision failed", when=when, problem=kind, where=where, patient_ref=patient_ref, event_id=event_id)
