"""What is known of a retest plan, and keeping what the detector says of it; patients likewise."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select, update

from schemas.patient_v1 import Patient
from schemas.retest_v1 import RetestPlan
from services.common.database import insert_for
from services.notifier.domain.retests import Slot, Status
from services.notifier.store.tables import patients, retest_plans


def slot(db: Connection, plan_id: str) -> Slot | None:
    """Return what was applied last; other processes wait for this transaction."""
    row = retest_plans.c
    found = db.execute(select(row.seq, row.reminded_slot).where(row.plan_id == plan_id).with_for_update()).one_or_none()
    return None if found is None else Slot(found.seq, found.reminded_slot)


def keep_plan(db: Connection, plan: RetestPlan, reminded: str | None, now: datetime) -> None:
    """Write the newest message of a plan."""
    values = {
        "plan_id": plan.plan_id,
        "patient_ref": plan.patient_ref,
        "episode_id": plan.episode_id,
        "seq": plan.seq,
        "kind": plan.kind,
        "status": plan.status,
        "is_active": Status(plan.status).is_active,
        "due_at": plan.due_at,
        "window_from": plan.window_from,
        "window_to": plan.window_to,
        "overdue_at": plan.overdue_at,
        "draw": plan.draw,
        "minimum_draws": plan.minimum_draws,
        "slot": f"draw-{plan.draw}",
        "reminded_slot": reminded,
        "received_at": now,
        "evidence": plan.model_dump_json(),
    }
    _put(db, retest_plans, "plan_id", values)


def ward_of(db: Connection, patient_ref: str) -> str | None:
    """Return the patient's ward, if the registry named one."""
    found: str | None = db.scalar(select(patients.c.ward).where(patients.c.patient_ref == patient_ref))
    return found


def keep_patient(db: Connection, patient: Patient) -> bool:
    """Write who a patient is, unless something newer is known. Returns whether it was written."""
    known = db.execute(
        select(patients.c.updated_at).where(patients.c.patient_ref == patient.patient_ref).with_for_update()
    ).scalar()
    if known is not None and patient.updated_at < known:
        return False
    values = {
        "patient_ref": patient.patient_ref,
        "mrn": patient.mrn,
        "name": patient.name,
        "birth_date": patient.birth_date.isoformat() if patient.birth_date else None,
        "sex": patient.sex,
        "ward": patient.ward,
        "language": patient.language,
        "study_id": patient.study_id,
        "updated_at": patient.updated_at,
        "identity": patient.model_dump_json(),
    }
    _put(db, patients, "patient_ref", values)
    return True


def forget_patient(db: Connection, patient_ref: str) -> None:
    """Take a tombstone: the registry no longer knows this patient."""
    empty = dict.fromkeys(("mrn", "name", "birth_date", "sex", "ward", "language", "study_id"))
    db.execute(update(patients).where(patients.c.patient_ref == patient_ref).values(**empty, identity="{}"))


def _put(db: Connection, table: Table, key: str, values: dict[str, Any]) -> None:
    db.execute(insert_for(db)(table).on_conflict_do_update(index_elements=[key], set_=values), values)
