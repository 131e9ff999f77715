"""What people do on the worklist: close an episode or a watch, confirm an episode, look at a patient.

Law: an act that the detector has not yet answered is not asked for again: a button pressed twice is one act.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from schemas.clinical_event_v1 import EpisodeClosed, EpisodeConfirmed, Outcome
from services.common.database import Instant
from services.common.identifiers import stable_id
from services.notifier.store.acting import Acting
from services.notifier.store.tables import alerts, audit, retest_plans

SOURCE = "mdt"
CLOSED, CONFIRMED, SIGNED_OUT = "closed", "confirmed", "signed-out"


@dataclass(frozen=True, slots=True)
class Scope:
    """An episode, or the watch of one rule, of one patient."""

    patient_ref: str
    episode_id: str | None = None
    rule_id: str | None = None

    @property
    def name(self) -> str:
        """The episode's id, or the rule's."""
        return self.episode_id or self.rule_id or ""

    def holds(self) -> ColumnElement[bool]:
        """Return what is true of the open alerts of this scope."""
        of_scope = (
            alerts.c.episode_id == self.episode_id
            if self.episode_id is not None
            else alerts.c.episode_id.is_(None) & (alerts.c.rule_id == self.rule_id)
        )
        return (alerts.c.patient_ref == self.patient_ref) & alerts.c.is_open & of_scope


@dataclass(frozen=True, slots=True)
class Closing:
    """A closure that the detector has not yet answered."""

    outcome: str
    by: str
    at: datetime


def open_scopes(db: Connection, patient_ref: str) -> tuple[Scope, ...]:
    """Return what can be closed: episodes with an open alert or an active plan, and open watches."""
    standing = select(alerts.c.episode_id, alerts.c.rule_id).where(
        alerts.c.patient_ref == patient_ref, alerts.c.is_open, alerts.c.mode == "live"
    )
    asked = select(retest_plans.c.episode_id).where(
        retest_plans.c.patient_ref == patient_ref, retest_plans.c.is_active, retest_plans.c.episode_id.is_not(None)
    )
    found = {
        Scope(patient_ref, episode_id, None if episode_id else rule_id) for episode_id, rule_id in db.execute(standing)
    }
    found |= {Scope(patient_ref, episode_id) for (episode_id,) in db.execute(asked)}
    return tuple(sorted(found, key=lambda scope: (scope.episode_id is None, scope.name)))


def closing(db: Connection, scope: Scope) -> Closing | None:
    """Return the closure of this scope that came after everything the detector has said about it, if there is one."""
    said_at = db.scalar(select(func.max(alerts.c.received_at, type_=Instant)).where(scope.holds()))
    row = audit.c
    query = select(row.at, row.who, row.detail).where(row.patient_ref == scope.patient_ref, row.what == CLOSED)
    for at, who, detail in db.execute(query.order_by(row.at.desc())):
        name, _, outcome = detail.partition(" ")
        if name == scope.name:
            return Closing(outcome, who, at) if said_at is None or at >= said_at else None
    return None


def close(acting: Acting, scope: Scope, outcome: Outcome, *, by: str, second_reader: str | None = None) -> bool:
    """Tell the detector; False, and nothing written, if the scope is not open or its closure is on its way."""
    if scope not in open_scopes(acting.db, scope.patient_ref) or closing(acting.db, scope) is not None:
        return False
    event = EpisodeClosed(
        event_id=stable_id("episode-closed", scope.patient_ref, scope.name, by, acting.now.isoformat()),
        patient_ref=scope.patient_ref,
        source=SOURCE,
        received_at=acting.now,
        episode_id=scope.episode_id,
        rule_id=scope.rule_id,
        outcome=outcome,
        by=by,
        second_reader=second_reader,
        at=acting.now,
    )
    acting.say(event.event_id, acting.topics.clinical_events, scope.patient_ref, event)
    acting.note(by, CLOSED, patient_ref=scope.patient_ref, detail=f"{scope.name} {outcome}")
    return True


def confirm(acting: Acting, scope: Scope, *, by: str) -> bool:
    """Tell the detector that an episode goes on; False, and nothing written, if it is not open."""
    if scope.episode_id is None or scope not in open_scopes(acting.db, scope.patient_ref):
        return False
    event = EpisodeConfirmed(
        event_id=stable_id("episode-confirmed", scope.patient_ref, scope.name, by, acting.now.isoformat()),
        patient_ref=scope.patient_ref,
        source=SOURCE,
        received_at=acting.now,
        episode_id=scope.episode_id,
        by=by,
        at=acting.now,
    )
    acting.say(event.event_id, acting.topics.clinical_events, scope.patient_ref, event)
    acting.note(by, CONFIRMED, patient_ref=scope.patient_ref, detail=scope.name)
    return True


def is_signed_out(db: Connection, person_id: str, session_id: str) -> bool:
    """Tell whether this person has ended this session: a copy of its cookie is then worth nothing."""
    row = audit.c
    ended = (row.who == person_id) & (row.what == SIGNED_OUT) & (row.detail == session_id)
    return db.execute(select(row.audit_id).where(ended).limit(1)).first() is not None


def record_views(db: Connection, who: str, what: str, at: datetime, patient_refs: Collection[str]) -> None:
    """Write down who looked at which patients."""
    rows = [{"at": at, "who": who, "what": what, "patient_ref": ref, "detail": ""} for ref in sorted(set(patient_refs))]
    if rows:
        db.execute(audit.insert(), rows)
