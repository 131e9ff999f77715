"""What is known of an alert, and keeping what the detector says of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from schemas.alert_v1 import Alert
from services.common.database import insert_for
from services.notifier.domain.dedup import Said
from services.notifier.domain.values import Action, Urgency
from services.notifier.store.tables import alert_history, alerts


def said(db: Connection, alert_id: str) -> Said | None:
    """Return what was applied last; other processes wait for this transaction."""
    row = alerts.c
    query = select(row.seq, row.is_open, row.urgency, row.level).where(row.alert_id == alert_id).with_for_update()
    found = db.execute(query).one_or_none()
    return None if found is None else Said(found.seq, found.is_open, Urgency(found.urgency), found.level)


def newest(db: Connection, alert_id: str) -> Alert | None:
    """Return the newest message applied."""
    found = db.scalar(select(alerts.c.evidence).where(alerts.c.alert_id == alert_id))
    return None if found is None else Alert.model_validate_json(found)


def graded(db: Connection, alert_id: str, seq: int) -> tuple[Urgency, int] | None:
    """Return urgency and level of one message of an alert."""
    row = alert_history.c
    query = select(row.urgency, row.level).where(row.alert_id == alert_id, row.seq == seq)
    found = db.execute(query).one_or_none()
    return None if found is None else (Urgency(found.urgency), found.level)


def keep(db: Connection, alert: Alert, *, applied: bool, now: datetime) -> None:
    """Write a message to the history, and in its alert's place if it is news."""
    evidence = alert.model_dump_json()
    history: Mapping[str, Any] = {
        "alert_id": alert.alert_id,
        "seq": alert.seq,
        "patient_ref": alert.patient_ref,
        "action": alert.action,
        "urgency": alert.urgency,
        "level": alert.level,
        "decided_at": alert.decided_at,
        "received_at": now,
        "applied": applied,
        "evidence": evidence,
    }
    db.execute(insert_for(db)(alert_history).on_conflict_do_nothing(), history)
    if applied:
        _replace(db, alert, evidence, now)


def _replace(db: Connection, alert: Alert, evidence: str, now: datetime) -> None:
    values = {
        "patient_ref": alert.patient_ref,
        "episode_id": alert.episode_id,
        "seq": alert.seq,
        "action": alert.action,
        "is_open": not Action(alert.action).ends,
        "mode": alert.mode,
        "urgency": alert.urgency,
        "level": alert.level,
        "rule_id": alert.rule_id,
        "organ": alert.organ,
        "analyte": alert.analyte,
        "arm": alert.arm,
        "late": alert.late,
        "decided_at": alert.decided_at,
        "received_at": now,
        "evidence": evidence,
    }
    changed = db.execute(update(alerts).where(alerts.c.alert_id == alert.alert_id).values(values))
    if changed.rowcount == 0:
        db.execute(insert_for(db)(alerts), {"alert_id": alert.alert_id, "first_received_at": now, **values})
