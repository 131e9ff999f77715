"""Queue what is not about one alert: reminders of overdue draws, and the digests that are due."""

import json
from collections.abc import Sequence
from itertools import groupby

from schemas.retest_v1 import RetestPlan
from services.common.identifiers import stable_id
from services.notifier.domain.retests import retest_roles
from services.notifier.domain.routing import Digest, Manner, Telling, When, route
from services.notifier.domain.values import PersonId, Tier, Urgency
from services.notifier.store import digests, people_told, queue
from services.notifier.store.acting import Acting, message_id
from services.notifier.store.digests import Line
from services.notifier.store.people_told import Entry
from services.notifier.store.queue import Item
from services.notifier.translate import delivery

REMINDER_URGENCY = Urgency.P3
DIGEST_BATCH = 2000


def remind(acting: Acting, plan: RetestPlan, ward: str | None) -> None:
    """Queue the reminder of one overdue slot for the ward and the retest roles, by mail or for the daily digest."""
    rules = acting.site.rules.routing
    manner = Manner(page=When.NEVER, mail=rules.retest_when)
    routed = route(retest_roles(ward, rules), manner, staff=acting.site.directory.staff, rules=rules, now=acting.now)
    for telling in routed.tellings:
        if telling.digest is None:
            acting.counts["queued", "retest"] += queue.put(acting.db, [_reminder(acting, plan, telling)])
        else:
            digests.add(acting.db, [_line(plan, telling)])
    for missed in routed.not_told:
        people_told.record(acting.db, [_not_told(acting, plan, missed.reason, missed.person_id, missed.role)])
        acting.count("suppressed", "nobody" if missed.person_id is None else "no-contact")


def forget_reminders(acting: Acting, plan: RetestPlan) -> None:
    """Leave unsaid what waited about a slot that is over: the blood was drawn, or the plan was stopped."""
    reason = "the draw is no longer asked for"
    waiting = queue.cancel_reminders(acting.db, plan.plan_id, reason, acting.now)
    lines = digests.drop_plan(acting.db, plan.plan_id, reason)
    people = [(each.person_id, each.role) for each in waiting] + [(each.person_id, each.role) for each in lines]
    for person_id, role in people:
        people_told.record(acting.db, [_not_told(acting, plan, reason, person_id, role)])
        acting.count("suppressed", "cancelled")


def _slot(plan: RetestPlan) -> tuple[str, ...]:
    return (plan.plan_id, str(plan.seq), str(plan.draw))


def _payload(plan: RetestPlan) -> str:
    return json.dumps({"plan": plan.model_dump(mode="json")}, ensure_ascii=False)


def _reminder(acting: Acting, plan: RetestPlan, telling: Telling) -> Item:
    item_id = stable_id("item", "retest", *_slot(plan), telling.contact.channel, telling.contact.address)
    return Item(
        item_id=item_id,
        kind="retest",
        alert_id=None,
        plan_id=plan.plan_id,
        patient_ref=plan.patient_ref,
        thread=plan.episode_id or plan.plan_id,
        seq=plan.seq,
        level=None,
        urgency=REMINDER_URGENCY,
        step=0,
        round=0,
        person_id=telling.person_id,
        role=telling.role,
        reason=telling.reason,
        channel=telling.contact.channel,
        address=telling.contact.address,
        tier=telling.contact.tier,
        language=telling.language,
        message_id=message_id(item_id),
        payload=_payload(plan),
        due_at=telling.at,
        created_at=acting.now,
    )


def _line(plan: RetestPlan, telling: Telling) -> Line:
    return Line(
        entry_id=stable_id("line", "retest", *_slot(plan), telling.person_id),
        digest=Digest.RETESTS,
        alert_id=None,
        plan_id=plan.plan_id,
        patient_ref=plan.patient_ref,
        seq=plan.seq,
        level=None,
        urgency=REMINDER_URGENCY,
        person_id=telling.person_id,
        role=telling.role,
        reason=telling.reason,
        due_at=telling.at,
        payload=_payload(plan),
    )


def _not_told(acting: Acting, plan: RetestPlan, reason: str, person_id: str | None, role: str) -> Entry:
    return Entry(
        result="not-told",
        reason=reason,
        at=acting.now,
        urgency=REMINDER_URGENCY,
        plan_id=plan.plan_id,
        patient_ref=plan.patient_ref,
        seq=plan.seq,
        person_id=person_id,
        role=role,
    )


def assemble(acting: Acting) -> int:
    """Queue one mail per person and digest of all lines that are due; returns how many."""
    lines = digests.due(acting.db, acting.now, DIGEST_BATCH)
    groups = groupby(lines, key=lambda line: (line.digest, line.person_id))
    return sum(_digest(acting, tuple(group)) for _, group in groups)


def _digest(acting: Acting, lines: Sequence[Line]) -> int:
    first = lines[0]
    person = acting.site.directory.staff.people.get(PersonId(first.person_id))
    contacts = person.reach(Tier.MAIL) if person is not None else ()
    if person is None or not contacts:
        _leave_out(acting, lines, "is no longer in people.toml, or has no mail")
        return 0
    item_id = stable_id("item", "digest", first.digest, first.person_id, *sorted(line.entry_id for line in lines))
    contact = contacts[0]
    item = Item(
        item_id=item_id,
        kind="digest",
        alert_id=None,
        plan_id=None,
        patient_ref=None,
        thread=None,
        seq=None,
        level=None,
        urgency=min(line.urgency for line in lines),
        step=0,
        round=0,
        person_id=first.person_id,
        role=first.role,
        reason=f"{first.digest} digest",
        channel=contact.channel,
        address=contact.address,
        tier=contact.tier,
        language=person.language,
        message_id=message_id(item_id),
        payload=json.dumps({"digest": first.digest, "lines": [json.loads(line.payload) for line in lines]}),
        due_at=acting.now,
        created_at=acting.now,
    )
    queue.put(acting.db, [item])
    digests.went_into(acting.db, [line.entry_id for line in lines], item_id)
    acting.count("queued", "digest")
    return 1


def _leave_out(acting: Acting, lines: Sequence[Line], reason: str) -> None:
    """Their alerts stay open and are listed again; that they were not told now is on record."""
    digests.give_up(acting.db, [line.entry_id for line in lines], reason)
    for line in lines:
        entry = Entry(
            result="not-told",
            reason=reason,
            at=acting.now,
            urgency=line.urgency,
            alert_id=line.alert_id,
            plan_id=line.plan_id,
            patient_ref=line.patient_ref,
            seq=line.seq,
            person_id=line.person_id,
            role=line.role,
        )
        people_told.record(acting.db, [entry])
        acting.count("suppressed", "no-contact")
        if line.alert_id and line.patient_ref and line.seq:
            acting.deliver(
                delivery(
                    "not-told",
                    line.entry_id,
                    alert_id=line.alert_id,
                    seq=line.seq,
                    patient_ref=line.patient_ref,
                    urgency=line.urgency,
                    at=acting.now,
                    recipient=line.person_id,
                    reason=reason,
                )
            )
