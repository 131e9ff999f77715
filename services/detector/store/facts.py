"""The facts of patients: every event that was taken, once, as it came."""

import zlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, tuple_

from services.common.database import Instant
from services.detector.store.tables import FACTS

FASTEST = 1
"""A report of 10 kB becomes 1 kB in some 15 microseconds: what is written to the disk costs more than that."""


class Fact(NamedTuple):
    """A row to be kept."""

    patient_ref: str
    event_id: str
    received_at: datetime
    body: bytes


def known(db: Connection, events: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those (patient_ref, event_id) that are already facts."""
    row = FACTS.c
    pair = tuple_(row.patient_ref, row.event_id)
    return {(ref, event_id) for ref, event_id in db.execute(select(*pair.clauses).where(pair.in_(sorted(events))))}


def history(db: Connection, patient_ref: str) -> list[bytes]:
    """Return the bodies of a patient's facts in the order in which they were taken."""
    row = FACTS.c
    found = db.scalars(select(row.body).where(row.patient_ref == patient_ref).order_by(row.fact_no))
    return [zlib.decompress(body) for body in found]


def add(db: Connection, facts: Sequence[Fact]) -> None:
    """Keep facts. Raises IntegrityError for one that is known: ask `known` first."""
    if facts:
        db.execute(FACTS.insert(), [_row(fact) for fact in facts])


def _row(fact: Fact) -> dict[str, object]:
    return fact._asdict() | {"body": zlib.compress(fact.body, FASTEST)}


def oldest(db: Connection, patient_ref: str) -> datetime | None:
    """Return when the oldest fact of a patient was received."""
    row = FACTS.c
    at: datetime | None = db.scalar(
        select(func.min(row.received_at, type_=Instant)).where(row.patient_ref == patient_ref)
    )
    return at


def forget(db: Connection, patient_ref: str, received_until: datetime) -> int:
    """Drop the facts of a patient received until an instant; returns how many."""
    row = FACTS.c
    old = delete(FACTS).where(row.patient_ref == patient_ref, row.received_at <= received_until)
    return db.execute(old).rowcount
