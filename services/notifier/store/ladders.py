"""Where the ladder of each alert stands; rows are locked by whoever moves them (a consumer, the clock, a click)."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Row, func, select

from services.common.database import Instant, insert_for
from services.notifier.domain.escalation import Ladder, Phase
from services.notifier.domain.values import AlertId, Urgency
from services.notifier.store.tables import alerts, escalations

CLIMBING = (Phase.TOLD, Phase.ESCALATED)


def load(db: Connection, alert_id: str) -> Ladder | None:
    """Return the ladder of an alert, locked until the transaction ends."""
    query = select(escalations).where(escalations.c.alert_id == alert_id).with_for_update()
    found = db.execute(query).one_or_none()
    return None if found is None else _ladder(found)


def save(db: Connection, ladder: Ladder) -> None:
    """Write a ladder."""
    values = asdict(ladder)
    insert = insert_for(db)(escalations)
    db.execute(insert.on_conflict_do_update(index_elements=["alert_id"], set_=values), values)


def due(db: Connection, now: datetime, limit: int) -> Sequence[Ladder]:
    """Return ladders with something to do, the most urgent first, locked; those another process moves are left out."""
    row = escalations.c
    query = (
        select(escalations)
        .where(row.next_at <= now)
        .order_by(row.urgency, row.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_ladder(found) for found in db.execute(query)]


def without_step(db: Connection) -> int:
    """Count live alerts that stand, are not acknowledged, and for which nothing is due."""
    joined = alerts.outerjoin(escalations, alerts.c.alert_id == escalations.c.alert_id)
    stuck = escalations.c.alert_id.is_(None) | (
        escalations.c.next_at.is_(None) & (escalations.c.phase != Phase.ACKNOWLEDGED)
    )
    query = select(func.count()).select_from(joined).where(alerts.c.is_open, alerts.c.mode == "live", stuck)
    return int(db.scalar(query) or 0)


def oldest_due(db: Connection) -> datetime | None:
    """Return the earliest instant at which some ladder has something to do."""
    found: datetime | None = db.scalar(select(func.min(escalations.c.next_at, type_=Instant)))
    return found


def _ladder(row: Row[tuple[object, ...]]) -> Ladder:
    kept = dict(row._mapping)  # noqa: SLF001 - the public name of a row's mapping
    return Ladder(
        **kept
        | {
            "alert_id": AlertId(str(kept["alert_id"])),
            "phase": Phase(str(kept["phase"])),
            "urgency": Urgency(str(kept["urgency"])),
        }
    )
