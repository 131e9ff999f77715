"""What is to be said to Kafka: rows written with the state, published once the transaction stands, then deleted.

At least once, in order per run of the relay, with equal ids: readers drop known ids and go by the sequence number in
the body. The relay reads only the table, so its own rows, the rows of a worker that died and the rows found at start
are one path. A message larger than the broker takes would block the relay for ever: it is refused before the insert.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

import structlog
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    func,
    select,
)

from services.common.database import Bytes, Instant, insert_for, reading

MAX_MESSAGE_BYTES = 900_000
"""Below the broker's `max.message.bytes` of 1 MiB, with room for key, headers and framing."""

BATCH = 500
ACKNOWLEDGED_WITHIN_SECONDS = 25.0
"""Larger than the producer's own delivery timeout, so that its verdict arrives first."""

log = structlog.get_logger("outbox")


class TooLarge(Exception):
    """The message would never be taken by the broker; nothing was written."""


class Saying(NamedTuple):
    """A message to be published. `effect` is its id: the same effect is kept once."""

    effect: str
    partition: int
    """The source partition whose owner publishes it; 0 where one process owns all."""
    topic: str
    key: bytes | None
    value: bytes | None


class Unsaid(NamedTuple):
    """A row of the outbox."""

    id: int
    topic: str
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Outbox:
    """The table of an outbox and the questions asked of it; every method runs inside the caller's transaction."""

    rows: Table

    def say(self, db: Connection, sayings: Iterable[Saying], now: datetime) -> None:
        """Keep messages for the relay; a known effect is kept once. Raises TooLarge."""
        rows = [saying._asdict() | {"created_at": now} for saying in sayings]
        for row in rows:
            refuse_too_large(row["value"])
        if rows:
            db.execute(insert_for(db)(self.rows).on_conflict_do_nothing(index_elements=["effect"]), rows)

    def unsaid(self, db: Connection, partitions: Collection[int] | None = None, limit: int = BATCH) -> Sequence[Unsaid]:
        """Return the oldest rows, of these source partitions or of all."""
        row = self.rows.c
        query = select(row.id, row.topic, row.key, row.value).order_by(row.id).limit(limit)
        if partitions is not None:
            query = query.where(row.partition.in_(sorted(partitions)))
        return [Unsaid(*found) for found in db.execute(query)]

    def said(self, db: Connection, ids: Collection[int]) -> None:
        """Forget rows that the broker has acknowledged."""
        db.execute(delete(self.rows).where(self.rows.c.id.in_(sorted(ids))))

    def oldest(self, db: Connection) -> datetime | None:
        """Return since when the oldest row waits."""
        oldest: datetime | None = db.scalar(select(func.min(self.rows.c.created_at, type_=Instant)))
        return oldest

    def count(self, db: Connection) -> int:
        """Return how many rows wait."""
        return int(db.scalar(select(func.count()).select_from(self.rows)) or 0)


def refuse_too_large(value: bytes | None) -> None:
    """Raise TooLarge for what the broker would refuse."""
    if value is not None and len(value) > MAX_MESSAGE_BYTES:
        raise TooLarge(f"{len(value)} bytes, at most {MAX_MESSAGE_BYTES} can be published")


def outbox_table(meta: MetaData, name: str = "outbox") -> Outbox:
    """Define the table of an outbox in the metadata of a store."""
    return Outbox(
        Table(
            name,
            meta,
            Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
            Column("effect", String(200), nullable=False, unique=True),
            Column("partition", Integer, nullable=False, index=True),
            Column("topic", String(200), nullable=False),
            Column("key", Bytes),
            Column("value", Bytes),
            Column("created_at", Instant, nullable=False),
            sqlite_autoincrement=True,
        )
    )


class Pending(Protocol):
    """A message on its way."""

    def get(self, timeout: float | None = None) -> object:
        """Wait for the broker's acknowledgement. Raises what went wrong."""


class Producer(Protocol):
    """What the relay needs of kafka-python's KafkaProducer."""

    def send(self, topic: str, value: bytes | None = None, key: bytes | None = None) -> Pending:
        """Enqueue; returns a future with `get(timeout)`."""

    def close(self, timeout: float | None = None) -> None:
        """Give up what is not yet sent after the timeout in seconds."""


class OutboxRelay:
    """Publishes an outbox through kafka-python from a thread of its own.

    The producer is replaced after any exception: an idempotent producer is dead for good after a batch that expired.
    """

    def __init__(
        self, engine: Engine, outbox: Outbox, make_producer: Callable[[], Producer], *, every_seconds: float = 2.0
    ) -> None:
        self._engine, self._outbox, self._make_producer, self._every = engine, outbox, make_producer, every_seconds
        self._producer: Producer | None = None
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox-relay", daemon=True)
        self.waiting_since: float | None = None
        """Monotonic time since when rows wait without a success; None while nothing waits."""
        self.trouble: str | None = None
        """Why the last attempt failed; None after a success."""

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def wake(self) -> None:
        """Publish now: a transaction with new rows has committed."""
        self._wake.set()

    def stop(self, timeout: float = 10.0) -> None:
        """End after the batch in hand, or after `timeout` seconds; rows not yet acknowledged stay in the store."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout)

    def drain(self) -> int:
        """Publish until the outbox is empty; returns the number of acknowledged messages. Raises what failed."""
        total = 0
        while rows := self._unsaid():
            self.waiting_since = self.waiting_since or time.monotonic()
            total += self._publish(rows)
            self.waiting_since = None
        self.waiting_since = None
        return total

    def _unsaid(self) -> Sequence[Unsaid]:
        if self._stopping.is_set():
            return ()
        with reading(self._engine) as db:
            return self._outbox.unsaid(db)

    def _publish(self, rows: Sequence[Unsaid]) -> int:
        said: list[int] = []
        try:
            self._producer = self._producer or self._make_producer()
            futures = [self._producer.send(row.topic, value=row.value, key=row.key) for row in rows]
            for row, future in zip(rows, futures, strict=True):
                future.get(timeout=ACKNOWLEDGED_WITHIN_SECONDS)
                said.append(row.id)
        finally:
            if said:
                with self._engine.begin() as db:
                    self._outbox.said(db, said)
        return len(said)

    def _run(self) -> None:
        pause = 0.5
        while not self._stopping.is_set():
            self._wake.wait(self._every)
            self._wake.clear()
            try:
                self.drain()
                self.trouble, pause = None, 0.5
            except Exception as problem:  # noqa: BLE001 - the rows are still there, whatever it was
                self._replace_producer(problem)
                self._stopping.wait(pause)
                pause = min(5.0, pause * 2)
        self._close_producer()

    def _replace_producer(self, problem: Exception) -> None:
        self.trouble = f"cannot publish: {type(problem).__name__}"
        log.warning("outbox not published", problem=type(problem).__name__)
        self._close_producer()

    def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.close(timeout=1.0)
            except Exception as problem:  # noqa: BLE001 - it is thrown away in any case
                log.info("producer did not close", problem=type(problem).__name__)
