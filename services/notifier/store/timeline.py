"""One patient's story as the store knows it: what was said, who heard it, who answered, what people decided.

Newest first and bounded: what is older than the page is counted, never dropped in silence.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from schemas.alert_v1 import Alert
from services.notifier.domain.evidence import AlertView
from services.notifier.store.evidence import alert_view
from services.notifier.store.tables import acknowledgements, alert_history, alerts, audit, patients, told
from services.notifier.store.worklist import Who

ENTRIES = 200
ACTS = ("closed", "confirmed")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: `kind` is said, told, acknowledged, or an act of a person."""

    at: datetime
    kind: str
    alert_id: str | None = None
    view: AlertView | None = None
    urgency: str | None = None
    level: int | None = None
    person_id: str | None = None
    role: str | None = None
    channel: str | None = None
    result: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest entries, and whether there are older ones."""

    entries: tuple[Entry, ...]
    has_more: bool


def find_patient(db: Connection, patient_ref: str) -> Who | None:
    """Return the patient if the registry or an alert has named them."""
    row = db.execute(
        select(patients.c.name, patients.c.ward).where(patients.c.patient_ref == patient_ref)
    ).one_or_none()
    if row is not None:
        return Who(patient_ref, *row)
    known = db.scalar(select(func.count()).select_from(alerts).where(alerts.c.patient_ref == patient_ref))
    return Who(patient_ref) if known else None


def timeline_of(db: Connection, patient_ref: str) -> Timeline:
    """Return what happened about one patient."""
    sources = (_said(db, patient_ref), _told(db, patient_ref), _answered(db, patient_ref), _acts(db, patient_ref))
    merged = heapq.merge(*sources, key=lambda entry: entry.at, reverse=True)
    entries = [entry for entry, _ in zip(merged, range(ENTRIES + 1), strict=False)]
    return Timeline(tuple(entries[:ENTRIES]), has_more=len(entries) > ENTRIES)


def _said(db: Connection, patient_ref: str) -> Iterable[Entry]:
    row = alert_history.c
    query = select(row.decided_at, row.evidence).where(row.patient_ref == patient_ref, row.applied)
    for at, evidence in db.execute(query.order_by(row.decided_at.desc(), row.seq.desc()).limit(ENTRIES + 1)):
        alert = Alert.model_validate_json(evidence)
        if alert.mode == "live":
            yield Entry(at, "said", alert.alert_id, alert_view(alert), alert.urgency, alert.level)


def _told(db: Connection, patient_ref: str) -> Iterable[Entry]:
    row = told.c
    columns = (
        row.at,
        row.alert_id,
        row.urgency,
        row.level,
        row.person_id,
        row.role,
        row.channel,
        row.result,
        row.reason,
    )
    query = select(*columns).where(row.patient_ref == patient_ref).order_by(row.at.desc()).limit(ENTRIES + 1)
    for at, alert_id, urgency, level, *rest in db.execute(query):
        yield Entry(at, "told", alert_id, None, urgency, level, *rest)


def _answered(db: Connection, patient_ref: str) -> Iterable[Entry]:
    row = acknowledgements.c
    columns = (row.at, row.alert_id, row.urgency, row.level, row.person_id, row.via)
    query = select(*columns).join(alerts, alerts.c.alert_id == row.alert_id).where(alerts.c.patient_ref == patient_ref)
    for at, alert_id, urgency, level, person_id, via in db.execute(query.order_by(row.at.desc()).limit(ENTRIES + 1)):
        yield Entry(at, "acknowledged", alert_id, None, urgency, level, person_id, result=via)


def _acts(db: Connection, patient_ref: str) -> Iterable[Entry]:
    row = audit.c
    query = select(row.at, row.what, row.alert_id, row.who, row.detail)
    query = query.where(row.patient_ref == patient_ref, row.what.in_(ACTS))
    for at, what, alert_id, who, detail in db.execute(query.order_by(row.at.desc()).limit(ENTRIES + 1)):
        yield Entry(at, what, alert_id, person_id=who, reason=detail)
