"""What one attempt means for the store: state of the item, record of who was told, the ladder, corrections due."""

import json
from dataclasses import replace
from datetime import datetime

from schemas.alert_v1 import Alert
from services.notifier.adapters.port import Outcome
from services.notifier.domain.delivery import Kind, State, Verdict, judge
from services.notifier.domain.escalation import Phase
from services.notifier.domain.values import Action, Tier, Urgency
from services.notifier.store import alerts, digests, ladders, people_told, queue
from services.notifier.store.acting import Acting
from services.notifier.store.people_told import Entry, Reached
from services.notifier.store.queue import Item
from services.notifier.store.telling import Teller
from services.notifier.translate import delivery

CORRECTIONS = (Action.REVISED, Action.WITHDRAWN, Action.CLEARED, Action.MOVED)


def settle(acting: Acting, item: Item, outcome: Outcome, seconds: float, spread: float, at: datetime) -> None:
    """Write one attempt. One that somebody else has already settled changes nothing."""
    if item.alert_id is not None:
        ladders.load(acting.db, item.alert_id)  # in the order in which everybody locks: the ladder, then its messages
    found = queue.locked(acting.db, item.item_id)
    if found is None or found[1] not in (State.WAITING, State.RECALLED):
        return
    current, state = found
    queue.note_attempt(acting.db, current, outcome.kind, outcome.detail, seconds, at)
    verdict = _verdict(acting, current, outcome, spread)
    if state is State.RECALLED and outcome.kind is not Kind.SENT:
        verdict = Verdict(State.CANCELLED, verdict.reason)
    queue.settle(acting.db, current.item_id, verdict, at)
    acting.count("told", current.channel, outcome.kind)
    result = _result(outcome, verdict)
    if result is not None:
        _record(acting, current, result, outcome.detail, at)
    if result in people_told.REACHED and current.kind == "alert":
        correct_late(acting, current)
    if verdict.state is State.REFUSED and current.kind == "alert":
        _hurry(acting, current)


def _verdict(acting: Acting, item: Item, outcome: Outcome, spread: float) -> Verdict:
    return judge(
        outcome.kind,
        outcome.detail,
        urgency=Urgency(item.urgency),
        has_ladder=item.kind == "alert",
        attempts=item.attempts,
        created_at=item.created_at,
        not_before=outcome.after,
        spread=spread,
        patience=acting.site.rules.patience,
        now=acting.now,
    )


def _result(outcome: Outcome, verdict: Verdict) -> str | None:
    if outcome.kind is Kind.SENT:
        return "sent"
    if outcome.unsure:
        return "unsure"
    return "refused" if verdict.state is State.REFUSED else None


def _record(acting: Acting, item: Item, result: str, detail: str, at: datetime) -> None:
    """Record who was told; of a digest every line."""
    entry = Entry(
        result=result,
        reason=item.reason if result == "sent" else f"{item.reason}: {detail}",
        at=at,
        urgency=item.urgency,
        alert_id=item.alert_id,
        plan_id=item.plan_id,
        patient_ref=item.patient_ref,
        item_id=item.item_id,
        seq=item.seq,
        level=item.level,
        step=item.step,
        person_id=item.person_id,
        role=item.role,
        channel=item.channel,
        address=item.address,
    )
    entries = [entry]
    if item.kind == "digest":
        entries = [
            replace(
                entry,
                alert_id=line.alert_id,
                plan_id=line.plan_id,
                patient_ref=line.patient_ref,
                seq=line.seq,
                level=line.level,
                urgency=line.urgency,
                reason=line.reason,
            )
            for line in digests.lines_of(acting.db, item.item_id)
        ]
    people_told.record(acting.db, entries)
    for each in entries:
        _publish(acting, each, item, result, at)


def _publish(acting: Acting, entry: Entry, item: Item, result: str, at: datetime) -> None:
    subject = entry.alert_id or entry.plan_id
    if subject is None or entry.patient_ref is None:
        return
    acting.deliver(
        delivery(
            "retry" if result == "unsure" else "sent" if result == "sent" else "refused",
            item.item_id,
            subject,
            str(item.attempts) if result == "unsure" else "",
            alert_id=subject,
            seq=entry.seq or 0,
            patient_ref=entry.patient_ref,
            urgency=entry.urgency,
            at=at,
            recipient=item.person_id,
            role=item.role,
            channel=item.channel,
            step=item.step,
            attempt=item.attempts,
            reason=entry.reason,
        )
    )


def correct_late(acting: Acting, item: Item) -> None:
    """Tell whoever was reached while the alert was being corrected or ended how things stand now."""
    if item.alert_id is None or item.seq is None:
        return
    newest = alerts.newest(acting.db, item.alert_id)
    ladder = ladders.load(acting.db, item.alert_id)
    if newest is None or ladder is None or newest.seq <= item.seq or newest.action not in CORRECTIONS:
        return
    person = Reached(item.person_id, item.role, item.channel, item.address, item.tier, item.language, by_digest=False)
    Teller(acting, ladder, newest, _told_of(item)).follow_up(person)


def _told_of(item: Item) -> Alert:

    return Alert.model_validate(json.loads(item.payload)["alert"])


def give_up_lost(acting: Acting, item: Item) -> None:
    """A recalled message whose sender never came back may have arrived: treat it as told."""
    queue.settle(
        acting.db, item.item_id, Verdict(State.CANCELLED, "recalled, its sender did not come back"), acting.now
    )
    _record(acting, item, "unsure", "recalled in a sender's hands", acting.now)
    correct_late(acting, item)


def refuse_unknown_channel(acting: Acting, item: Item) -> None:
    """The site no longer has the channel: nobody is told this way, which is recorded, and the ladder goes on."""
    queue.settle(acting.db, item.item_id, Verdict(State.REFUSED, "channel is no longer in channels.toml"), acting.now)
    _record(acting, item, "refused", "channel is no longer in channels.toml", acting.now)
    acting.count("told", "unknown", "refused")
    if item.kind == "alert":
        _hurry(acting, item)


def _hurry(acting: Acting, item: Item) -> None:
    """Where a telling reached nobody, waiting for an answer is pointless: the next step is due now.

    P1 asks for an answer within minutes: a mail does not wake anybody, so refused pages are enough.
    """
    if item.alert_id is None or item.seq is None:
        return
    ladder = ladders.load(acting.db, item.alert_id)
    climbing = ladder is not None and ladder.phase in (Phase.TOLD, Phase.ESCALATED)
    if ladder is None or not climbing or (ladder.step, ladder.round) != (item.step, item.round):
        return
    rule = acting.site.rules.ladders[ladder.urgency]
    steps = getattr(rule, "steps", ())
    telling = (item.alert_id, item.seq, item.step, item.round)
    refused = queue.all_refused(acting.db, *telling) or (
        ladder.urgency is Urgency.P1 and queue.all_refused(acting.db, *telling, tiers=(Tier.PAGE,))
    )
    if ladder.step + 1 < len(steps) and refused:
        ladders.save(acting.db, replace(ladder, next_at=acting.now, reason="nobody could be reached"))
