"""The desk: decides on batches and on what is due, and keeps the store.

Law: whatever a batch changes (heads, facts, result keys, the outbox, the next offsets) is one transaction, and its
first statement is the fence. Every method blocks; the loop calls them in threads.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy import Engine

from services.common.clock import Now
from services.common.database import is_poison, reading
from services.common.errors import Reject
from services.common.inbox import Move, Position, Source
from services.common.outbox import TooLarge, Unsaid
from services.detector.app.batch import Batch, Mind, Tally
from services.detector.codec import RecentHeads
from services.detector.metrics import Metrics
from services.detector.store import heads
from services.detector.store.heads import PatientRow
from services.detector.store.tables import INBOX, OUTBOX
from services.detector.translate import incoming as inbound
from services.detector.translate import outgoing as outbound
from services.detector.translate.incoming import Incoming
from services.detector.translate.outgoing import Names

DUE_AT_ONCE = 200
PURGE_AT_ONCE = 100

log = structlog.get_logger("detector")


class Arrived(Protocol):
    """A record as it was fetched."""

    @property
    def source(self) -> Source:
        """The partition."""

    @property
    def offset(self) -> int:
        """Its place there."""

    @property
    def key(self) -> bytes | None:
        """The patient's ref, if all is well."""

    @property
    def value(self) -> bytes | None:
        """The event."""


Positions = Mapping[Source, Position]
Work = Mapping[Source, tuple[Position, Sequence[Arrived]]]
_Read = Mapping[Source, tuple[Position, Sequence[Incoming]]]


class Desk:
    """Decides on batches and keeps the store of one detector."""

    def __init__(self, engine: Engine, mind: Mind, names: Names, metrics: Metrics, now: Now, keep: timedelta) -> None:
        self._engine, self._mind, self._names, self._metrics, self._now = engine, mind, names, metrics, now
        self._keep, self._recent = keep, RecentHeads()

    def positions(self, partitions: Collection[int], beginnings: Mapping[Source, int] | None = None) -> Positions:
        """Return the positions that are known; with `beginnings` the others are given theirs."""
        if beginnings is None:
            with reading(self._engine) as db:
                return INBOX.positions(db, self._names.events, partitions)
        with self._engine.begin() as db:
            INBOX.begin(db, beginnings)
            return INBOX.positions(db, self._names.events, partitions)

    def apply(self, work: Work) -> Positions:
        """Decide on records, the next of each source, in one transaction; returns the new positions. Raises Conflict.

        What the database refuses is found by taking the records one by one, and becomes a dead letter.
        """
        read = {source: (at, [_read(record) for record in records]) for source, (at, records) in work.items()}
        try:
            return self._apply(read)
        except Exception as problem:
            if not _is_refusal(problem):
                raise
            log.error("batch refused, taking its events one by one", problem=type(problem).__name__)  # noqa: TRY400 - holds values
            return self._one_by_one(read)

    def _apply(self, work: _Read) -> Positions:
        moves = {source: Move(at, at.next + len(events)) for source, (at, events) in work.items()}
        events = [event for _, incoming in work.values() for event in incoming]
        with self._metrics.batch_seconds.time(), self._engine.begin() as db:
            after = INBOX.advance(db, moves)
            batch = Batch(db, self._mind, self._names, self._recent, self._now(), self._keep)
            batch.load(events)
            for event in events:
                batch.take(event)
            batch.write()
        self._count(batch.tally, len(events))
        return after

    def _one_by_one(self, work: _Read) -> Positions:
        after: dict[Source, Position] = {}
        for source, (at, events) in work.items():
            after[source] = at
            for event in events:
                after[source] = self._apply_one(source, after[source], event)
        return after

    def _apply_one(self, source: Source, at: Position, event: Incoming) -> Position:
        try:
            return self._apply({source: (at, [event])})[source]
        except Exception as problem:
            if not _is_refusal(problem):
                raise
            refused = event.refused(Reject("not_storable", f"the store refuses it: {type(problem).__name__}"))
            return self._apply({source: (at, [refused])})[source]

    def apply_due(self, positions: Positions) -> Positions:
        """Take the time step of whoever is due in these sources; returns the new positions. Raises Conflict."""

        def step(batch: Batch, partitions: Collection[int]) -> None:
            for row in heads.due(batch.db, partitions, batch.now, DUE_AT_ONCE):
                batch.take_time(row)

        return self._by_time(positions, heads.partitions_due, step)

    def purge(self, positions: Positions) -> Positions:
        """Drop facts of patients nobody enrolled in time; returns the new positions. Raises Conflict."""

        def step(batch: Batch, partitions: Collection[int]) -> None:
            rows: Sequence[PatientRow] = heads.to_purge(batch.db, partitions, batch.now, PURGE_AT_ONCE)
            for row in rows:
                batch.purge(row)

        return self._by_time(positions, heads.partitions_to_purge, step)

    def _by_time(
        self,
        positions: Positions,
        which: Callable[..., Collection[int]],
        step: Callable[[Batch, Collection[int]], None],
    ) -> Positions:
        with reading(self._engine) as db:
            partitions = which(db, [source.partition for source in positions], self._now())
        moves = {source: Move(at, at.next) for source, at in positions.items() if source.partition in partitions}
        if not moves:
            return {}
        with self._metrics.batch_seconds.time(), self._engine.begin() as db:
            after = INBOX.advance(db, moves)
            batch = Batch(db, self._mind, self._names, self._recent, self._now(), self._keep)
            step(batch, partitions)
            batch.write()
        self._count(batch.tally, 0)
        return after

    def unsaid(self, partitions: Collection[int]) -> Sequence[Unsaid]:
        """Return what is to be published."""
        with reading(self._engine) as db:
            return OUTBOX.unsaid(db, partitions)

    def said(self, ids: Collection[int]) -> None:
        """Forget what has been acknowledged."""
        with self._engine.begin() as db:
            OUTBOX.said(db, ids)

    def watch(self, partitions: Collection[int]) -> None:
        """Bring the gauges of the store up to date."""
        now = self._now()
        with reading(self._engine) as db:
            waiting, oldest = OUTBOX.count(db), OUTBOX.oldest(db)
            late, since = heads.late(db, partitions, now)
        self._metrics.outbox_rows.set(waiting)
        self._metrics.outbox_oldest.set(_age(oldest, now))
        self._metrics.due_late.set(late)
        self._metrics.due_oldest.set(_age(since, now))

    def _count(self, tally: Tally, taken: int) -> None:
        metrics = self._metrics
        metrics.taken.inc(taken)
        for outcome, number in tally.outcomes.items():
            metrics.events.labels(outcome).inc(number)
        for reason, number in tally.dead.items():
            metrics.dead_letters.labels(reason).inc(number)
        for when, number in tally.failed.items():
            metrics.failures.labels(when).inc(number)
        metrics.refolds.inc(tally.refolds)
        metrics.purged.inc(tally.purged)
        outbound.count(tally.effects, metrics)


def _read(record: Arrived) -> Incoming:
    return inbound.read(record.source, record.offset, record.key, record.value)


def _is_refusal(problem: Exception) -> bool:
    """The content itself is at fault: the database or the broker would refuse it again."""
    return is_poison(problem) or isinstance(problem, TooLarge)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
