"""What stands around an alert when a message about it leaves: who else is told, and which retest comes next."""

from sqlalchemy import Connection, select

from schemas.retest_v1 import RetestPlan
from services.notifier.domain.evidence import PlanView, Told
from services.notifier.store.evidence import plan_view
from services.notifier.store.tables import notifications, retest_plans, told


def told_besides(db: Connection, alert_id: str, seq: int | None, person_id: str) -> tuple[Told, ...]:
    """Return who else is told of this message, by person and role, and which roles nobody was told for."""
    row = notifications.c
    query = select(row.person_id, row.role, row.state).where(row.alert_id == alert_id, row.seq == seq)
    found: dict[str, Told] = {}
    for person, role, state in db.execute(query.order_by(row.created_at)):
        if person != person_id and (person not in found or state == "sent"):
            found[person] = Told(role, person, state)
    return (*found.values(), *_not_told(db, alert_id, seq))


def _not_told(db: Connection, alert_id: str, seq: int | None) -> tuple[Told, ...]:
    row = told.c
    query = select(row.role, row.person_id, row.reason).where(
        row.alert_id == alert_id, row.seq == seq, row.result == "not-told"
    )
    rows = {(role, person, reason) for role, person, reason in db.execute(query)}
    return tuple(Told(role, person, "not-told", reason) for role, person, reason in sorted(rows, key=repr))


def next_retest(db: Connection, patient_ref: str) -> PlanView | None:
    """Return the active retest plan of a patient that is due first."""
    row = retest_plans.c
    query = select(row.evidence).where(row.patient_ref == patient_ref, row.is_active).order_by(row.due_at).limit(1)
    evidence = db.scalar(query)
    return None if evidence is None else plan_view(RetestPlan.model_validate_json(evidence))
