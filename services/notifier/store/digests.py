"""What waits for a digest, and making one mail of all that is due for a person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update

from services.common.database import insert_for
from services.notifier.store.tables import digest_entries


@dataclass(frozen=True, slots=True)
class Line:
    """One thing a person will find in a digest."""

    entry_id: str
    digest: str
    alert_id: str | None
    plan_id: str | None
    patient_ref: str | None
    seq: int | None
    level: int | None
    urgency: str
    person_id: str
    role: str
    reason: str
    due_at: datetime
    payload: str


LINE_COLUMNS = [digest_entries.c[name] for name in Line.__dataclass_fields__]


def add(db: Connection, lines: Iterable[Line]) -> None:
    """Keep lines until their digest is due; a known one is kept once."""
    for line in lines:
        values = {name: getattr(line, name) for name in Line.__dataclass_fields__}
        db.execute(insert_for(db)(digest_entries).on_conflict_do_nothing(), values)


def drop(db: Connection, alert_id: str, reason: str) -> Sequence[Line]:
    """Leave out what has not gone into a mail yet; returns it."""
    return _drop(db, digest_entries.c.alert_id == alert_id, reason)


def drop_plan(db: Connection, plan_id: str, reason: str) -> Sequence[Line]:
    """Leave out what a plan asked for and does not ask for any more; returns it."""
    return _drop(db, digest_entries.c.plan_id == plan_id, reason)


def _drop(db: Connection, about: ColumnElement[bool], reason: str) -> Sequence[Line]:
    row = digest_entries.c
    mine = about & row.item_id.is_(None) & row.dropped.is_(None)
    lines = [Line(*found) for found in db.execute(select(*LINE_COLUMNS).where(mine).with_for_update())]
    db.execute(update(digest_entries).where(mine).values(dropped=reason[:200]))
    return lines


def due(db: Connection, now: datetime, limit: int) -> Sequence[Line]:
    """Return lines whose digest is due, grouped by digest and person, locked."""
    row = digest_entries.c
    query = (
        select(*LINE_COLUMNS)
        .where(row.item_id.is_(None), row.dropped.is_(None), row.due_at <= now)
        .order_by(row.digest, row.person_id, row.urgency, row.due_at, row.entry_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Line(*found) for found in db.execute(query)]


def went_into(db: Connection, entry_ids: Sequence[str], item_id: str) -> None:
    """Remember which mail carries these lines."""
    db.execute(update(digest_entries).where(digest_entries.c.entry_id.in_(entry_ids)).values(item_id=item_id))


def give_up(db: Connection, entry_ids: Sequence[str], reason: str) -> None:
    """Leave lines out that cannot be sent to anybody."""
    db.execute(update(digest_entries).where(digest_entries.c.entry_id.in_(entry_ids)).values(dropped=reason[:200]))


def lines_of(db: Connection, item_id: str) -> Sequence[Line]:
    """Return the lines a mail carries."""
    return [Line(*found) for found in db.execute(select(*LINE_COLUMNS).where(digest_entries.c.item_id == item_id))]
