"""The head of each patient: what the next decision needs, and when time itself must be asked again."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, select

from services.common.database import Instant, insert_for
from services.detector.store.tables import PATIENTS

COLUMNS = ("patient_ref", "partition", "wake_at", "purge_at", "recent_keys", "head")


class PatientRow(NamedTuple):
    """A patient's row. `wake_at` None: time alone changes nothing. `purge_at` None: kept for good."""

    patient_ref: str
    partition: int
    wake_at: datetime | None
    purge_at: datetime | None
    recent_keys: bytes
    head: bytes


ROW = select(*(PATIENTS.c[name] for name in COLUMNS))


def load(db: Connection, patient_refs: Collection[str]) -> dict[str, PatientRow]:
    """Return the rows of those patients that have one."""
    found = db.execute(ROW.where(PATIENTS.c.patient_ref.in_(sorted(patient_refs))))
    return {row.patient_ref: PatientRow(*row) for row in found}


def save(db: Connection, rows: Collection[PatientRow]) -> None:
    """Write the rows, new or not."""
    if not rows:
        return
    insert = insert_for(db)(PATIENTS)
    changed = {name: insert.excluded[name] for name in COLUMNS[1:]}
    upsert = insert.on_conflict_do_update(index_elements=["patient_ref"], set_=changed)
    db.execute(upsert, [row._asdict() for row in sorted(rows)])


def due(db: Connection, partitions: Collection[int], now: datetime, limit: int) -> list[PatientRow]:
    """Return the patients for whom time has come, the longest waiting first."""
    column = PATIENTS.c
    mine = column.partition.in_(sorted(partitions))
    found = db.execute(ROW.where(mine, column.wake_at <= now).order_by(column.wake_at).limit(limit))
    return [PatientRow(*row) for row in found]


def to_purge(db: Connection, partitions: Collection[int], now: datetime, limit: int) -> list[PatientRow]:
    """Return patients who are not enrolled and whose oldest fact has been kept for long enough."""
    column = PATIENTS.c
    mine = column.partition.in_(sorted(partitions))
    found = db.execute(ROW.where(mine, column.purge_at <= now).order_by(column.purge_at).limit(limit))
    return [PatientRow(*row) for row in found]


def partitions_due(db: Connection, partitions: Collection[int], now: datetime) -> list[int]:
    """Return in which of these partitions time has come for somebody."""
    return _partitions(db, partitions, PATIENTS.c.wake_at <= now)


def partitions_to_purge(db: Connection, partitions: Collection[int], now: datetime) -> list[int]:
    """Return in which of these partitions facts have been kept for long enough."""
    return _partitions(db, partitions, PATIENTS.c.purge_at <= now)


def _partitions(db: Connection, partitions: Collection[int], condition: ColumnElement[bool]) -> list[int]:
    column = PATIENTS.c.partition
    return list(db.scalars(select(column).where(column.in_(sorted(partitions)), condition).distinct()))


def forget(db: Connection, patient_refs: Sequence[str]) -> None:
    """Drop the rows of these patients."""
    db.execute(delete(PATIENTS).where(PATIENTS.c.patient_ref.in_(sorted(patient_refs))))


def count(db: Connection) -> int:
    """Return the number of patients."""
    return int(db.scalar(select(func.count()).select_from(PATIENTS)) or 0)


def late(db: Connection, partitions: Collection[int], now: datetime) -> tuple[int, datetime | None]:
    """Return how many patients wait for their time step, and since when the first of them does."""
    column = PATIENTS.c
    query = select(func.count(), func.min(column.wake_at, type_=Instant)).where(
        column.partition.in_(sorted(partitions)), column.wake_at <= now
    )
    number, since = db.execute(query).one()
    return number, since
