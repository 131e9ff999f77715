"""What the worklist asks of the store: open alerts, retests that are due, and what people heard and answered.

Read only; every question takes one page by an index, so that it stays fast with years of alerts.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select, true

from schemas.alert_v1 import Alert
from schemas.retest_v1 import RetestPlan
from services.notifier.domain.evidence import AlertView, PlanView
from services.notifier.store.evidence import alert_view, plan_view
from services.notifier.store.tables import (
    acknowledgements,
    alerts,
    escalations,
    notifications,
    patients,
    retest_plans,
    told,
)

PAGE_ROWS = 25
Query = Select[Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which part of the worklist is asked for; pages count from 1."""

    ward: str | None = None
    urgency: str | None = None
    page: int = 1
    retest_page: int = 1


@dataclass(frozen=True, slots=True)
class Who:
    """A patient as shown after sign-in."""

    patient_ref: str
    name: str | None = field(default=None, repr=False)
    ward: str | None = None


@dataclass(frozen=True, slots=True)
class ToldRow:
    """One person's newest telling about one alert or plan; nobody where a role was not told."""

    person_id: str | None
    role: str | None
    channels: tuple[str, ...]
    result: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Somebody answered for a level."""

    person_id: str
    level: int
    urgency: str
    at: datetime
    expires_at: datetime | None

    def covers(self, view: AlertView, now: datetime) -> bool:
        """Tell whether it answers for the alert as it stands: worsening and time end an acknowledgement."""
        holds = self.expires_at is None or now < self.expires_at
        return holds and view.level <= self.level and view.urgency >= self.urgency


@dataclass(frozen=True, slots=True)
class NextStep:
    """Where the ladder of an alert stands, and when it moves again."""

    phase: str
    at: datetime | None
    step: int


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """One line of the worklist."""

    who: Who
    view: AlertView
    received_at: datetime
    told: tuple[ToldRow, ...]
    waiting: int
    acknowledged: Acknowledged | None
    next_step: NextStep | None


@dataclass(frozen=True, slots=True)
class AskedRetest:
    """A retest that is due or overdue."""

    who: Who
    plan: PlanView
    is_overdue: bool
    told: tuple[ToldRow, ...]


@dataclass(frozen=True, slots=True)
class Worklist:
    """One page of open alerts and of asked retests, with the counts of all."""

    alerts: tuple[OpenAlert, ...]
    retests: tuple[AskedRetest, ...]
    urgencies: Mapping[str, int]
    overdue: int
    asked: int

    @property
    def alert_count(self) -> int:
        """All open alerts, of every page."""
        return sum(self.urgencies.values())


def read_worklist(db: Connection, asked: Filter, now: datetime) -> Worklist:
    """Return one page: the most urgent first, then the oldest."""
    overdue, due = _count_retests(db, asked, now)
    return Worklist(
        alerts=_open_alerts(db, _page_of_alerts(asked)),
        retests=_asked_retests(db, asked, now),
        urgencies=_count_alerts(db, asked),
        overdue=overdue,
        asked=due,
    )


def read_wards(db: Connection) -> tuple[str, ...]:
    """Return all wards that have patients."""
    found = db.execute(select(patients.c.ward).where(patients.c.ward.is_not(None)).distinct().order_by(patients.c.ward))
    return tuple(ward for (ward,) in found)


def alerts_of(db: Connection, patient_ref: str) -> tuple[OpenAlert, ...]:
    """Return the open alerts of one patient."""
    query = _select_alerts().where(alerts.c.patient_ref == patient_ref).order_by(alerts.c.urgency, alerts.c.decided_at)
    return _open_alerts(db, query)


def plans_of(db: Connection, patient_ref: str, now: datetime) -> tuple[AskedRetest, ...]:
    """Return the active retest plans of one patient, also those not yet due."""
    query = _select_retests().where(retest_plans.c.patient_ref == patient_ref, retest_plans.c.is_active)
    return _retests(db, query.order_by(retest_plans.c.overdue_at), now)


def _select_alerts() -> Query:
    return (
        select(alerts.c.evidence, alerts.c.first_received_at, alerts.c.patient_ref, patients.c.name, patients.c.ward)
        .select_from(alerts.outerjoin(patients, patients.c.patient_ref == alerts.c.patient_ref))
        .where(alerts.c.is_open, alerts.c.mode == "live")
    )


def _page_of_alerts(asked: Filter) -> Query:
    query = _select_alerts().where(_in_ward(asked.ward))
    if asked.urgency:
        query = query.where(alerts.c.urgency == asked.urgency)
    ordered = query.order_by(alerts.c.urgency, alerts.c.decided_at, alerts.c.alert_id)
    return ordered.limit(PAGE_ROWS).offset((asked.page - 1) * PAGE_ROWS)


def _in_ward(ward: str | None) -> ColumnElement[bool]:
    return true() if ward is None else patients.c.ward == ward


def _count_alerts(db: Connection, asked: Filter) -> Mapping[str, int]:
    counted = select(alerts.c.urgency, func.count()).where(alerts.c.is_open, alerts.c.mode == "live")
    if asked.ward is not None:
        counted = counted.join(patients, patients.c.patient_ref == alerts.c.patient_ref).where(_in_ward(asked.ward))
    return {row[0]: row[1] for row in db.execute(counted.group_by(alerts.c.urgency))}


def _open_alerts(db: Connection, query: Query) -> tuple[OpenAlert, ...]:
    rows = [(Alert.model_validate_json(row.evidence), row) for row in db.execute(query)]
    ids = [alert.alert_id for alert, _ in rows]
    heard, acknowledged, steps, waiting = told_about(db, ids), answered(db, ids), _steps(db, ids), _waiting(db, ids)
    return tuple(
        OpenAlert(
            who=Who(row.patient_ref, row.name, row.ward),
            view=alert_view(alert),
            received_at=row.first_received_at,
            told=heard.get(alert.alert_id, ()),
            waiting=waiting.get(alert.alert_id, 0),
            acknowledged=acknowledged.get(alert.alert_id),
            next_step=steps.get(alert.alert_id),
        )
        for alert, row in rows
    )


def told_about(db: Connection, ids: Collection[str], *, plans: bool = False) -> Mapping[str, tuple[ToldRow, ...]]:
    """Return per alert (or plan) who was told what last: one row per person, one per role that nobody was told for."""
    about = told.c.plan_id if plans else told.c.alert_id
    columns = (about, told.c.person_id, told.c.role, told.c.channel, told.c.result, told.c.reason, told.c.at)
    newest: dict[str, dict[tuple[str | None, str | None], ToldRow]] = defaultdict(dict)
    for subject, person, role, channel, result, reason, at in db.execute(
        select(*columns).where(about.in_(ids)).order_by(about, told.c.at)
    ):
        key = (person, None if person else role)
        row = ToldRow(person, role, (channel,) if channel else (), result, reason, at)
        newest[subject][key] = _joined(newest[subject].get(key), row)
    return {subject: tuple(rows.values()) for subject, rows in newest.items()}


def _joined(before: ToldRow | None, row: ToldRow) -> ToldRow:
    """Two channels that both reached a person are one telling; a later failure does not undo an earlier success."""
    if before is None or (row.result == "sent" and before.result != "sent"):
        return row
    if row.result != before.result:
        return before
    channels = (*before.channels, *(one for one in row.channels if one not in before.channels))
    return ToldRow(row.person_id, row.role, channels, row.result, row.reason, row.at)


def answered(db: Connection, ids: Collection[str]) -> Mapping[str, Acknowledged]:
    """Return the newest acknowledgement of each alert."""
    row = acknowledgements.c
    columns = (row.alert_id, row.person_id, row.level, row.urgency, row.at, row.expires_at)
    found = db.execute(select(*columns).where(row.alert_id.in_(ids)).order_by(row.at))
    return {alert_id: Acknowledged(*rest) for alert_id, *rest in found}


def _steps(db: Connection, ids: Collection[str]) -> Mapping[str, NextStep]:
    row = escalations.c
    found = db.execute(select(row.alert_id, row.phase, row.next_at, row.step).where(row.alert_id.in_(ids)))
    return {alert_id: NextStep(*rest) for alert_id, *rest in found}


def _waiting(db: Connection, ids: Collection[str]) -> Mapping[str, int]:
    """Return per alert how many messages are queued and not yet delivered."""
    row = notifications.c
    query = select(row.alert_id, func.count()).where(row.alert_id.in_(ids), row.state == "waiting")
    return {found[0]: found[1] for found in db.execute(query.group_by(row.alert_id))}


def _select_retests() -> Query:
    return select(retest_plans.c.evidence, retest_plans.c.patient_ref, patients.c.name, patients.c.ward).select_from(
        retest_plans.outerjoin(patients, patients.c.patient_ref == retest_plans.c.patient_ref)
    )


def _is_asked(now: datetime) -> ColumnElement[bool]:
    return and_(retest_plans.c.is_active, retest_plans.c.window_from <= now)


def _asked_retests(db: Connection, asked: Filter, now: datetime) -> tuple[AskedRetest, ...]:
    query = _select_retests().where(_is_asked(now), _in_ward(asked.ward))
    ordered = query.order_by(retest_plans.c.overdue_at, retest_plans.c.plan_id)
    return _retests(db, ordered.limit(PAGE_ROWS).offset((asked.retest_page - 1) * PAGE_ROWS), now)


def _retests(db: Connection, query: Query, now: datetime) -> tuple[AskedRetest, ...]:
    rows = db.execute(query).all()
    plans = [RetestPlan.model_validate_json(row.evidence) for row in rows]
    heard = told_about(db, [plan.plan_id for plan in plans], plans=True)
    return tuple(
        AskedRetest(
            who=Who(row.patient_ref, row.name, row.ward),
            plan=plan_view(plan),
            is_overdue=plan.overdue_at <= now,
            told=heard.get(plan.plan_id, ()),
        )
        for plan, row in zip(plans, rows, strict=True)
    )


def _count_retests(db: Connection, asked: Filter, now: datetime) -> tuple[int, int]:
    """Return how many are overdue, and how many are asked for at all."""
    overdue = func.count().filter(retest_plans.c.overdue_at <= now)
    query = select(overdue, func.count()).select_from(retest_plans).where(_is_asked(now))
    if asked.ward is not None:
        query = query.join(patients, patients.c.patient_ref == retest_plans.c.patient_ref).where(_in_ward(asked.ward))
    late, due = db.execute(query).one()
    return int(late), int(due)
