"""What has been taken from which topic, kept in the same transaction as what came of it.

The store is the truth and Kafka's committed offsets are hints: a transaction first moves `progress` on by
compare-and-set and thereby owns the partition's row until its commit. A worker that has been replaced without
knowing it, or that tries again after an unknown outcome, fails here and nothing of it is written:
nothing is applied twice and nothing is skipped. `version` counts every transaction, because time may change the
state at an unchanged offset.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Update,
    bindparam,
    select,
    update,
)

from services.common.database import insert_for


class Source(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Position(NamedTuple):
    """Where a source stands: the next offset to take and the number of transactions so far."""

    next: int
    version: int


class Move(NamedTuple):
    """What a transaction does to a source: from the position the worker knows to the next offset."""

    at: Position
    next: int


class Conflict(Exception):
    """Another worker has moved these sources on: nothing was written. Forget their positions and read them anew."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.sources = tuple(sources)
        super().__init__(", ".join(f"{topic}:{partition}" for topic, partition in self.sources))


class Placed(Protocol):
    """A record that knows where it stood."""

    @property
    def source(self) -> Source:
        """Topic and partition."""
        ...

    @property
    def offset(self) -> int:
        """Its number in the partition."""
        ...


R = TypeVar("R", bound=Placed)


@dataclass(slots=True)
class Picked(Generic[R]):
    """What of fetched records is next, and where fetching went astray."""

    work: dict[Source, list[R]] = field(default_factory=dict)
    astray: dict[Source, int] = field(default_factory=dict)
    """Source -> the offset that must be fetched next: a record above it came, or one far below."""


FAR = 1_000
"""Records this far below the position are not waited through: seeking forward is faster."""


def pick(positions: Mapping[Source, Position], records: Iterable[R]) -> Picked[R]:
    """Choose the records that are next, whatever the client brought.

    At the next offset: take. Below it: done before, only to be acknowledged. Above it: the client skipped something.
    Records of a source without position are no longer ours.
    """
    picked: Picked[R] = Picked()
    for record in records:
        at = positions.get(record.source)
        if at is None:
            continue
        taken = picked.work.setdefault(record.source, [])
        expected = at.next + len(taken)
        if record.offset == expected:
            taken.append(record)
            picked.astray.pop(record.source, None)
        elif record.offset > expected or record.offset < expected - FAR:
            picked.astray[record.source] = expected
    picked.work = {source: taken for source, taken in picked.work.items() if taken}
    return picked


@dataclass(frozen=True, slots=True)
class Inbox:
    """The tables of an inbox and the questions asked of them; every method runs inside the caller's transaction."""

    progress: Table
    sources: Table
    identity: Table

    def advance(self, db: Connection, moves: Mapping[Source, Move]) -> dict[Source, Position]:
        """Take the sources, sources ascending, as the first statements of a transaction.

        Returns the positions that hold once the transaction has committed. Raises Conflict, on which the caller's
        transaction must roll back.
        """
        compare_and_set = self._compare_and_set()
        after = {source: Position(move.next, move.at.version + 1) for source, move in sorted(moves.items())}
        lost = [
            source
            for source, then in after.items()
            if db.execute(compare_and_set, _parameters(source, moves[source].at, then)).rowcount != 1
        ]
        if lost:
            raise Conflict(lost)
        return after

    def _compare_and_set(self) -> Update:
        row = self.progress.c
        return (
            update(self.progress)
            .where(
                row.topic == bindparam("of_topic"),
                row.partition == bindparam("of_partition"),
                row.version == bindparam("was"),
                row.next_offset == bindparam("expected"),
            )
            .values(next_offset=bindparam("then"), version=bindparam("now"))
        )

    def positions(self, db: Connection, topic: str, partitions: Collection[int]) -> dict[Source, Position]:
        """Return the positions of those partitions that have one."""
        row = self.progress.c
        found = db.execute(select(self.progress).where(row.topic == topic, row.partition.in_(sorted(partitions))))
        return {Source(r.topic, r.partition): Position(r.next_offset, r.version) for r in found}

    def begin(self, db: Connection, beginnings: Mapping[Source, int]) -> None:
        """Give sources their first offset; one that already has a position keeps it."""
        rows = [
            {"topic": source.topic, "partition": source.partition, "next_offset": offset, "version": 0}
            for source, offset in sorted(beginnings.items())
        ]
        if rows:
            db.execute(insert_for(db)(self.progress).on_conflict_do_nothing(), rows)

    def recognise(self, db: Connection, topic: str, topic_id: str, partitions: int) -> str | None:
        """Compare a topic with the one the stored offsets belong to; remember it if it is the first.

        Returns a sentence if it is another one: then a person must decide.
        """
        now = {"topic": topic, "topic_id": topic_id, "partitions": partitions}
        db.execute(insert_for(db)(self.sources).on_conflict_do_nothing(), now)
        known = dict(db.execute(select(self.sources).where(self.sources.c.topic == topic)).mappings().one())
        if known["topic_id"] != topic_id:
            return (
                f"topic {topic} was deleted and made anew: the store knows it as {known['topic_id']}, the broker has "
                f"{topic_id}. The stored offsets mean nothing there: restore the topic, or start with an empty store"
            )
        if known["partitions"] != partitions:
            return (
                f"topic {topic} has {partitions} partitions, the store knows {known['partitions']}: patients would "
                "move between partitions. Restore the number, or make a new topic and start with an empty store"
            )
        return None

    def identify(self, db: Connection) -> str:
        """Return the name of this store, made when first asked: a consumer group must belong to one store."""
        db.execute(insert_for(db)(self.identity).on_conflict_do_nothing(), {"one": 1, "store_id": uuid4().hex[:12]})
        return str(db.scalar(select(self.identity.c.store_id)))


def _parameters(source: Source, was: Position, then: Position) -> dict[str, int | str]:
    return {
        "of_topic": source.topic,
        "of_partition": source.partition,
        "was": was.version,
        "expected": was.next,
        "then": then.next,
        "now": then.version,
    }


def gap(source: Source, at: Position, begin: int, end: int) -> str | None:
    """Return a sentence if the broker no longer holds what is next, or never did."""
    if begin <= at.next <= end:
        return None
    what = "were deleted before they were processed" if at.next < begin else "known to the store are not there"
    return (
        f"{source.topic}:{source.partition} holds offsets {begin} to {end}, but {at.next} is next: records {what}. "
        "Restore the topic, or decide what was lost and start with an empty store"
    )


def inbox_tables(meta: MetaData) -> Inbox:
    """Define the tables of an inbox in the metadata of a store."""
    progress = Table(
        "progress",
        meta,
        Column("topic", String(200), primary_key=True),
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("next_offset", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
    )
    sources = Table(
        "sources",
        meta,
        Column("topic", String(200), primary_key=True),
        Column("topic_id", String(40), nullable=False),
        Column("partitions", Integer, nullable=False),
    )
    identity = Table(
        "identity",
        meta,
        Column("one", Integer, primary_key=True, autoincrement=False),
        Column("store_id", String(40), nullable=False),
    )
    return Inbox(progress, sources, identity)
