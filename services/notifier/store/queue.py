"""Messages to people: queued with the decision, taken by senders, and what became of each attempt.

A sender takes an item for a limited time. If it dies, another takes it again: at least once, with the same Message-ID.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, update

from services.common.database import Instant, insert_for
from services.notifier.domain.delivery import State, Verdict
from services.notifier.domain.values import Tier
from services.notifier.store.tables import attempts, digest_entries, escalations, notifications

RESULT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Item:
    """One message for one address. `address` and `payload` never appear in a log."""

    item_id: str
    kind: str
    alert_id: str | None
    plan_id: str | None
    patient_ref: str | None
    thread: str | None
    seq: int | None
    level: int | None
    urgency: str
    step: int
    round: int
    person_id: str
    role: str
    reason: str
    channel: str
    address: str
    tier: str
    language: str
    message_id: str
    payload: str
    due_at: datetime
    created_at: datetime
    attempts: int = 0

    @property
    def subject_id(self) -> str:
        """What it is about: an alert, a plan, or itself where it is a digest."""
        return self.alert_id or self.plan_id or self.item_id


ITEM_COLUMNS = [notifications.c[name] for name in Item.__dataclass_fields__]


def put(db: Connection, items: Iterable[Item]) -> int:
    """Queue items; a known id is queued once. Returns how many are new."""
    new = 0
    for item in items:
        values = {name: getattr(item, name) for name in Item.__dataclass_fields__} | {"state": State.WAITING}
        insert = insert_for(db)(notifications).on_conflict_do_nothing().returning(notifications.c.item_id)
        new += db.execute(insert, values).first() is not None  # psycopg's row count of an insert is not known
    return new


def take(db: Connection, channel: str, now: datetime, limit: int, lease: timedelta) -> Sequence[Item]:
    """Take what is due on a channel, the most urgent first, for the length of the lease; counts the attempt."""
    row = notifications.c
    query = (
        select(*ITEM_COLUMNS)
        .where(row.state == State.WAITING, row.channel == channel, row.due_at <= now)
        .where(or_(row.claimed_until.is_(None), row.claimed_until <= now))
        .order_by(row.urgency, row.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [_item(each) for each in db.execute(query)]
    if found:
        ids = [item.item_id for item in found]
        taken = {"claimed_until": now + lease, "attempts": row.attempts + 1}
        db.execute(update(notifications).where(row.item_id.in_(ids)).values(taken))
    return found


def renew(db: Connection, item_ids: Collection[str], until: datetime) -> None:
    """Prolong what a sender has in hand, recalled or not."""
    row = notifications.c
    mine = row.item_id.in_(sorted(item_ids)) & row.claimed_until.is_not(None)
    db.execute(update(notifications).where(mine).values(claimed_until=until))


def still_waits(db: Connection, alert_id: str, seq: int, channel: str, address: str) -> bool:
    """Tell whether a message about the same state of the alert has not yet left for this address."""
    row = notifications.c
    same = and_(row.alert_id == alert_id, row.seq == seq, row.channel == channel, row.address == address)
    return db.execute(select(row.item_id).where(same, row.state == State.WAITING).limit(1)).first() is not None


def locked(db: Connection, item_id: str) -> tuple[Item, State] | None:
    """Return an item and its state, locked."""
    query = select(*ITEM_COLUMNS, notifications.c.state).where(notifications.c.item_id == item_id).with_for_update()
    found = db.execute(query).one_or_none()
    return None if found is None else (_item(found[:-1]), State(found[-1]))


def settle(db: Connection, item_id: str, verdict: Verdict, now: datetime) -> None:
    """Write what became of an attempt."""
    waits = verdict.state is State.WAITING
    values = {
        "state": verdict.state,
        "last_result": verdict.reason[:RESULT_CHARACTERS],
        "claimed_until": None,
        "finished_at": None if waits else now,
    }
    if verdict.due_at is not None:
        values["due_at"] = verdict.due_at
    db.execute(update(notifications).where(notifications.c.item_id == item_id).values(values))


def note_attempt(db: Connection, item: Item, outcome: str, detail: str, seconds: float, now: datetime) -> None:
    """Keep one attempt in the history."""
    values = {
        "item_id": item.item_id,
        "number": item.attempts,
        "at": now,
        "outcome": outcome,
        "detail": detail[:RESULT_CHARACTERS],
        "seconds": f"{seconds:.3f}",
    }
    db.execute(insert_for(db)(attempts).on_conflict_do_nothing(), values)


def cancel(db: Connection, alert_id: str, reason: str, now: datetime) -> Sequence[Item]:
    """Cancel what waits of an alert, follow-ups excepted, and recall what a sender has in hand.

    Returns what was cancelled before any sender took it.
    """
    row = notifications.c
    mine = and_(row.alert_id == alert_id, row.kind == "alert", row.state == State.WAITING)
    return _cancel(db, mine, reason, now)


def cancel_reminders(db: Connection, plan_id: str, reason: str, now: datetime) -> Sequence[Item]:
    """Cancel what waits of a retest plan, and recall what a sender has in hand. Returns as `cancel` does."""
    row = notifications.c
    return _cancel(db, and_(row.plan_id == plan_id, row.state == State.WAITING), reason, now)


def _cancel(db: Connection, mine: ColumnElement[bool], reason: str, now: datetime) -> Sequence[Item]:
    row = notifications.c
    free = and_(mine, row.claimed_until.is_(None))
    cancelled = [_item(each) for each in db.execute(select(*ITEM_COLUMNS).where(free).with_for_update())]
    done = {"state": State.CANCELLED, "last_result": reason[:RESULT_CHARACTERS], "finished_at": now}
    db.execute(update(notifications).where(row.item_id.in_([item.item_id for item in cancelled])).values(done))
    db.execute(update(notifications).where(mine).values(state=State.RECALLED, last_result=reason[:RESULT_CHARACTERS]))
    return cancelled


def lost(db: Connection, now: datetime, limit: int) -> Sequence[Item]:
    """Return recalled items whose sender never came back: whether they arrived is unknown."""
    row = notifications.c
    query = (
        select(*ITEM_COLUMNS)
        .where(row.state == State.RECALLED, row.claimed_until <= now)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_item(each) for each in db.execute(query)]


def release(db: Connection) -> int:
    """Give back what senders of a former process had taken; only where this process alone works on the store."""
    row = notifications.c
    held = db.execute(
        update(notifications)
        .where(row.state == State.WAITING, row.claimed_until.is_not(None))
        .values(claimed_until=None)
    )
    db.execute(update(notifications).where(row.state == State.RECALLED).values(claimed_until=row.created_at))
    return held.rowcount


def all_refused(
    db: Connection, alert_id: str, seq: int, step: int, round_: int, *, tiers: Collection[str] = tuple(Tier)
) -> bool:
    """Tell whether nobody can be reached by this telling: every item of it, of these tiers, was refused."""
    row = notifications.c
    states = db.scalars(
        select(row.state).where(
            row.alert_id == alert_id, row.kind == "alert", row.seq == seq, row.step == step, row.round == round_,
            row.tier.in_(tiers),
        )
    ).all()  # fmt: skip
    return bool(states) and all(state == State.REFUSED for state in states)


def anything_for_the_clock(db: Connection, now: datetime, channels: Collection[str]) -> bool:
    """Tell whether time has made something due: a ladder, a digest, a lost item, an item without channel."""
    row, line = notifications.c, digest_entries.c
    questions = (
        select(escalations.c.alert_id).where(escalations.c.next_at <= now),
        select(line.entry_id).where(line.item_id.is_(None), line.dropped.is_(None), line.due_at <= now),
        select(row.item_id).where(row.state == State.RECALLED, row.claimed_until <= now),
        select(row.item_id).where(row.state == State.WAITING, row.channel.not_in(channels), row.due_at <= now),
    )
    return any(db.execute(question.limit(1)).first() is not None for question in questions)


def waiting_of_other_channels(db: Connection, channels: Collection[str], now: datetime) -> Sequence[Item]:
    """Return due items whose channel the site no longer has."""
    row = notifications.c
    query = select(*ITEM_COLUMNS).where(row.state == State.WAITING, row.channel.not_in(channels), row.due_at <= now)
    return [_item(each) for each in db.execute(query.limit(100).with_for_update(skip_locked=True))]


def oldest_due(db: Connection, now: datetime) -> datetime | None:
    """Return since when the oldest unsent message should have left: queued if it was tried, else due."""
    row = notifications.c
    waits = row.state == State.WAITING
    tried: datetime | None = db.scalar(select(func.min(row.created_at, type_=Instant)).where(waits, row.attempts > 0))
    untried: datetime | None = db.scalar(
        select(func.min(row.due_at, type_=Instant)).where(waits, row.attempts == 0, row.due_at <= now)
    )
    return min((at for at in (tried, untried) if at is not None), default=None)


def count_by_state(db: Connection) -> dict[str, int]:
    """Return how many items are in each state."""
    row = notifications.c
    found = db.execute(select(row.state, func.count()).group_by(row.state))
    return {str(state): int(number) for state, number in found}


def _item(row: Row[tuple[object, ...]] | Sequence[object]) -> Item:
    return Item(*row)
