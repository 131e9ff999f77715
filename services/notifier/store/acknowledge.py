"""Acknowledge an alert by the link of a mail or from the worklist.

Law: reading never acknowledges; an acknowledgement covers the level it was given for; a link that is too old, or that
was made for a lower level than the alert has now, or for somebody who has left, changes nothing and says so.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, select, update

from schemas.alert_v1 import Alert
from services.common.database import insert_for
from services.common.identifiers import stable_id
from services.notifier.domain.dedup import Said
from services.notifier.domain.escalation import Ladder, Phase, on_acknowledged
from services.notifier.domain.values import Urgency
from services.notifier.store import alerts, ladders
from services.notifier.store.acting import Acting, token_hash
from services.notifier.store.tables import ack_tokens, acknowledgements
from services.notifier.store.telling import Teller
from services.notifier.translate import delivery


@dataclass(frozen=True, slots=True)
class Ready:
    """The button would acknowledge this."""

    alert_id: str
    person_id: str
    urgency: str
    level: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """It holds from `at`, until `until` where acknowledgements expire; the ladder has stopped."""

    alert_id: str
    person_id: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class AlreadyBy:
    """Somebody has acknowledged this level; this person's word is kept as well."""

    alert_id: str
    person_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Expired:
    """The link is too old."""

    alert_id: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """The alert is worse than what the link was made for; a newer message says how."""

    alert_id: str
    urgency: str
    level: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The alert no longer stands."""

    alert_id: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No such link was ever made."""


Answer = Ready | Acknowledged | AlreadyBy | Expired | Superseded | Ended | Unknown


def look(db: Connection, token: str, people: Container[str], now: datetime) -> Answer:
    """Return what the button would do; changes nothing. `people`: those whom the site knows today."""
    found = _token(db, token)
    return Unknown() if found is None else _judge(db, found, people, now)


def acknowledge(acting: Acting, token: str) -> Answer:
    """Acknowledge by a link; never returns Ready."""
    found = _token(acting.db, token)
    if found is None:
        return Unknown()
    answer = _judge(acting.db, found, acting.site.directory.names, acting.now)
    if isinstance(answer, Ready | AlreadyBy):
        acting.db.execute(
            update(ack_tokens).where(ack_tokens.c.token_hash == found.token_hash).values(used_at=acting.now)
        )
        return _acknowledge(acting, found.alert_id, found.person_id, "link")
    return answer


def acknowledge_as(acting: Acting, alert_id: str, person_id: str, seen_seq: int) -> Answer:
    """Acknowledge what the message `seen_seq` said, for somebody who has logged in; never returns Ready.

    A page that was loaded before the alert got worse answers for what it showed and no more.
    """
    known, seen = alerts.said(acting.db, alert_id), alerts.graded(acting.db, alert_id, seen_seq)
    if known is None or seen is None:
        return Unknown()
    if not known.stands:
        return Ended(alert_id)
    if _is_worse(known, *seen):
        return Superseded(alert_id, known.urgency, known.level)
    return _acknowledge(acting, alert_id, person_id, "worklist")


def _token(db: Connection, token: str) -> Row[tuple[object, ...]] | None:
    return db.execute(select(ack_tokens).where(ack_tokens.c.token_hash == token_hash(token))).one_or_none()


def _judge(db: Connection, found: Row[tuple[object, ...]], people: Container[str], now: datetime) -> Answer:
    known = alerts.said(db, found.alert_id)
    if known is None:
        return Unknown()
    if found.expires_at <= now or found.person_id not in people:  # whoever has left answers for nobody
        return Expired(found.alert_id)
    if not known.stands:
        return Ended(found.alert_id)
    if _is_worse(known, Urgency(found.urgency), found.level):
        return Superseded(found.alert_id, known.urgency, known.level)
    ladder = ladders.load(db, found.alert_id)
    former = _holder(db, ladder)
    return former or Ready(found.alert_id, found.person_id, known.urgency, known.level)


def _is_worse(known: Said, urgency: Urgency, level: int) -> bool:
    return known.urgency.is_above(urgency) or (known.urgency == urgency and known.level > level)


def _holder(db: Connection, ladder: Ladder | None) -> AlreadyBy | None:
    """Return who acknowledged what stands now."""
    if ladder is None or ladder.phase is not Phase.ACKNOWLEDGED:
        return None
    row = acknowledgements.c
    query = select(row.alert_id, row.person_id, row.at).where(row.alert_id == ladder.alert_id).order_by(row.at.desc())
    found = db.execute(query.limit(1)).one_or_none()
    return None if found is None else AlreadyBy(*found)


def _acknowledge(acting: Acting, alert_id: str, person_id: str, via: str) -> Answer:
    ladder, alert = ladders.load(acting.db, alert_id), alerts.newest(acting.db, alert_id)
    if ladder is None or alert is None:
        return Unknown()
    former = _holder(acting.db, ladder)
    if former is not None and former.person_id == person_id:
        return former
    moved, effects = on_acknowledged(ladder, acting.site.rules.ladders, acting.now, f"acknowledged by {person_id}")
    if former is None:
        ladders.save(acting.db, moved)
        Teller(acting, moved, alert).perform(effects)
    _keep(acting, moved, alert, person_id, via)
    return former or Acknowledged(alert_id, person_id, acting.now, moved.next_at)


def _keep(acting: Acting, ladder: Ladder, alert: Alert, person_id: str, via: str) -> None:
    ack_id = stable_id("ack", alert.alert_id, str(alert.seq), str(ladder.round), person_id)
    row = {
        "ack_id": ack_id,
        "alert_id": alert.alert_id,
        "seq": alert.seq,
        "level": alert.level,
        "urgency": alert.urgency,
        "person_id": person_id,
        "via": via,
        "at": acting.now,
        "expires_at": ladder.next_at,
    }
    acting.db.execute(insert_for(acting.db)(acknowledgements).on_conflict_do_nothing(), row)
    acting.note(person_id, "acknowledged", alert_id=alert.alert_id, patient_ref=alert.patient_ref, detail=via)
    acting.count("acknowledgements", alert.urgency)
    acting.deliver(
        delivery(
            "acknowledged",
            ack_id,
            alert_id=alert.alert_id,
            seq=alert.seq,
            patient_ref=alert.patient_ref,
            urgency=alert.urgency,
            at=acting.now,
            recipient=person_id,
            step=ladder.step,
            reason=via,
        )
    )
