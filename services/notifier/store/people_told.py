"""Who was told what, by which channel, with what result; and who was not told, and why not. Only ever added to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from services.common.database import insert_for
from services.common.identifiers import stable_id
from services.notifier.store.tables import notifications, told

REACHED = ("sent", "unsure")
REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record."""

    result: str
    reason: str
    at: datetime
    urgency: str
    alert_id: str | None = None
    plan_id: str | None = None
    patient_ref: str | None = None
    item_id: str | None = None
    seq: int | None = None
    level: int | None = None
    step: int = 0
    person_id: str | None = None
    role: str | None = None
    channel: str | None = None
    address: str | None = None

    @property
    def told_id(self) -> str:
        """The same fact has the same id, however often it is written; not told is a fact per telling."""
        subject = self.alert_id or self.plan_id or ""
        telling = self.item_id or f"{self.role}|{self.channel}|{self.reason}|{self.step}|{self.at.isoformat()}"
        return stable_id("told", subject, str(self.seq), self.person_id or "", telling, self.result)


@dataclass(frozen=True, slots=True)
class Reached:
    """One person who was told, as a correction must reach them. `by_digest`: in a collection, not by itself."""

    person_id: str
    role: str
    channel: str
    address: str
    tier: str
    language: str
    by_digest: bool


def record(db: Connection, entries: Iterable[Entry]) -> None:
    """Write lines; a known one is kept once."""
    for entry in entries:
        values = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
        values |= {"told_id": entry.told_id, "reason": entry.reason[:REASON_CHARACTERS]}
        db.execute(insert_for(db)(told).on_conflict_do_nothing(), values)


def reached(db: Connection, alert_id: str, since_seq: int) -> Sequence[Reached]:
    """Return exactly those who were told of an alert since it stands, each address once."""
    item = notifications.c
    query = (
        select(told.c.person_id, told.c.role, told.c.channel, told.c.address, item.tier, item.language, item.kind)
        .join(notifications, told.c.item_id == item.item_id)
        .where(told.c.alert_id == alert_id, told.c.seq >= since_seq, told.c.result.in_(REACHED))
        .order_by(told.c.at)
    )
    found: dict[tuple[str, str], Reached] = {}
    for row in db.execute(query):
        each = Reached(
            row.person_id, row.role, row.channel, row.address, row.tier, row.language, by_digest=row.kind == "digest"
        )
        former = found.get((each.channel, each.address))
        if former is None or former.by_digest:
            found[each.channel, each.address] = each
    return tuple(found.values())
