"""Turn the steps of a ladder into queued messages, digest lines and the record of who was not told."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from schemas.alert_v1 import Alert
from schemas.delivery_v1 import DeliveryState
from services.common.database import insert_for
from services.common.identifiers import stable_id
from services.notifier.domain.escalation import (
    THE_ALERTS_ROLES,
    CancelWaiting,
    Climb,
    Effect,
    Expired,
    Ladder,
    Requeue,
    Tell,
    TellTheTold,
)
from services.notifier.domain.routing import Digest, NotTold, Telling, When, manner_for, roles_for, route
from services.notifier.domain.values import Action, Contact, PersonId, Role, Tier
from services.notifier.store import digests, ladders, people_told, queue
from services.notifier.store.acting import Acting, alert_token, message_id, token_hash
from services.notifier.store.people_told import Entry, Reached
from services.notifier.store.queue import Item
from services.notifier.store.tables import ack_tokens
from services.notifier.translate import delivery, facts


class Teller:
    """Performs the effects of one step of one alert's ladder, in order, in one transaction."""

    def __init__(
        self, acting: Acting, ladder: Ladder, alert: Alert, before: Alert | None = None, *, is_new: bool = False
    ) -> None:
        self._acting, self._ladder, self._alert, self._is_new = acting, ladder, alert, is_new
        self._payload = json.dumps(
            {
                "alert": alert.model_dump(mode="json"),
                "before": None if before is None else before.model_dump(mode="json"),
            },
            ensure_ascii=False,
        )
        self._cancelled: Sequence[Item] = ()

    def perform(self, effects: Iterable[Effect]) -> None:
        """Do what the ladder asks for."""
        for effect in effects:
            match effect:
                case Tell():
                    self._tell(effect)
                case TellTheTold():
                    self._tell_the_told()
                case CancelWaiting():
                    self._cancel(effect.reason)
                case Requeue():
                    self._requeue()
                case Expired():
                    self._publish("expired", str(self._ladder.round), reason=self._ladder.reason)
                case _:
                    assert_never(effect)

    def follow_up(self, reached: Reached) -> None:
        """Tell one person, who had been told, how things stand now."""
        alert = self._alert
        item_id = stable_id("item", "follow-up", alert.alert_id, str(alert.seq), reached.channel, reached.address)
        self._put(item_id, "follow-up", reached, "was told before")

    def _tell(self, effect: Tell) -> None:
        acting, known = self._acting, facts(self._alert)
        rules = acting.site.rules.routing
        own = roles_for(known, rules)
        roles = [role for name in effect.roles for role in (own if name == THE_ALERTS_ROLES else (name,))]
        routed = route(
            tuple(dict.fromkeys(roles)),
            manner_for(known, rules),
            staff=acting.site.directory.staff,
            rules=rules,
            now=acting.now,
        )
        for telling in routed.tellings:
            self._queue(telling)
        self._record_not_told(routed.not_told)
        if effect.escalated:
            self._publish("escalated", str(effect.step), str(effect.round), reason=self._ladder.reason)
            acting.count("escalations", known.urgency)
        if not routed.tellings:
            acting.note("ladder", "nobody-to-tell", alert_id=known.alert_id, patient_ref=self._alert.patient_ref)
            self._hurry()

    def _hurry(self) -> None:
        """Nobody was told, so nobody can answer: the next step is due now; the last one still waits its time."""
        rule = self._acting.site.rules.ladders[self._ladder.urgency]
        if isinstance(rule, Climb) and self._ladder.interrupts and self._ladder.step + 1 < len(rule.steps):
            self._ladder = replace(self._ladder, next_at=self._acting.now, reason="nobody to tell")
            ladders.save(self._acting.db, self._ladder)

    def _record_not_told(self, missed: Iterable[NotTold]) -> None:
        for one in missed:
            people_told.record(self._acting.db, [self._entry(one.reason, one.person_id, one.role)])
            self._publish(
                "not-told", one.role, one.person_id or "", one.reason, str(self._ladder.round), reason=one.reason
            )
            self._acting.count("suppressed", "nobody" if one.person_id is None else "no-contact")

    def _queue(self, telling: Telling) -> None:
        ladder, alert = self._ladder, self._alert
        names = (alert.alert_id, str(alert.seq), str(ladder.step), str(ladder.round), telling.person_id)
        if telling.digest is not None:
            digests.add(self._acting.db, [self._line(telling, stable_id("line", *names, telling.digest))])
            return
        contact = telling.contact
        if queue.still_waits(self._acting.db, alert.alert_id, alert.seq, contact.channel, contact.address):
            self._acting.count("suppressed", "former-still-waits")  # a carrier that was away for hours brings no storm
            return
        person = Reached(
            telling.person_id,
            telling.role,
            contact.channel,
            contact.address,
            contact.tier,
            telling.language,
            by_digest=False,
        )
        item_id = stable_id("item", "alert", *names, contact.channel, contact.address)
        self._put(item_id, "alert", person, telling.reason, telling)

    def _line(self, telling: Telling, entry_id: str) -> digests.Line:
        alert = self._alert
        return digests.Line(
            entry_id=entry_id,
            digest=telling.digest or Digest.DAILY,
            alert_id=alert.alert_id,
            plan_id=None,
            patient_ref=alert.patient_ref,
            seq=alert.seq,
            level=alert.level,
            urgency=alert.urgency,
            person_id=telling.person_id,
            role=telling.role,
            reason=telling.reason,
            due_at=telling.at,
            payload=self._payload,
        )

    def _put(self, item_id: str, kind: str, to: Reached, reason: str, telling: Telling | None = None) -> None:
        acting, ladder, alert = self._acting, self._ladder, self._alert
        item = Item(
            item_id=item_id,
            kind=kind,
            alert_id=alert.alert_id,
            plan_id=None,
            patient_ref=alert.patient_ref,
            thread=alert.episode_id or alert.alert_id,
            seq=alert.seq,
            level=alert.level,
            urgency=alert.urgency,
            step=ladder.step,
            round=ladder.round,
            person_id=to.person_id,
            role=to.role,
            reason=reason,
            channel=to.channel,
            address=to.address,
            tier=to.tier,
            language=to.language,
            message_id=message_id(item_id),
            payload=self._payload,
            due_at=acting.now if telling is None else self._settled(telling),
            created_at=acting.now,
        )
        new = queue.put(acting.db, [item])
        acting.counts["queued", kind] += new
        if new and not Action(alert.action).ends:
            self._grant(to.person_id)

    def _settled(self, telling: Telling) -> datetime:
        """After an outage what was decided long ago waits a little: what has ended meanwhile is then never said."""
        acting, catching_up = self._acting, self._acting.site.rules.catching_up
        stale = self._is_new and acting.now - self._alert.decided_at > catching_up.stale_after
        return max(telling.at, acting.now + catching_up.waits) if stale else telling.at

    def _grant(self, person_id: str) -> None:
        """Make the link of this person for this level valid."""
        acting, alert = self._acting, self._alert
        row = {
            "token_hash": token_hash(alert_token(acting.key, alert, person_id)),
            "alert_id": alert.alert_id,
            "seq": alert.seq,
            "level": alert.level,
            "urgency": alert.urgency,
            "person_id": person_id,
            "created_at": acting.now,
            "expires_at": acting.now + acting.site.rules.link_valid,
        }
        insert = insert_for(acting.db)(ack_tokens)
        again = {"expires_at": row["expires_at"]}
        acting.db.execute(insert.on_conflict_do_update(index_elements=["token_hash"], set_=again), row)

    def _cancel(self, reason: str) -> None:
        acting, alert = self._acting, self._alert
        self._cancelled = queue.cancel(acting.db, alert.alert_id, reason, acting.now)
        dropped = digests.drop(acting.db, alert.alert_id, reason)
        for item in self._cancelled:
            self._not_told(item.person_id, item.role, item.channel, reason)
        for line in dropped:
            self._not_told(line.person_id, line.role, None, reason)

    def _not_told(self, person_id: str, role: str, channel: str | None, reason: str) -> None:
        people_told.record(self._acting.db, [replace(self._entry(reason, person_id, role), channel=channel)])
        self._acting.count("suppressed", "cancelled")

    def _requeue(self) -> None:
        """Whoever waited for a page hears by mail alone where the new urgency does not page."""
        manner = manner_for(facts(self._alert), self._acting.site.rules.routing)
        for item in self._cancelled:
            if item.tier == Tier.PAGE and manner.page is When.NEVER:
                continue
            to = Reached(
                item.person_id, item.role, item.channel, item.address, item.tier, item.language, by_digest=False
            )
            ladder = self._ladder
            names = (self._alert.alert_id, str(self._alert.seq), str(ladder.step), str(ladder.round), item.person_id)
            self._put(stable_id("item", "alert", *names, item.channel, item.address), "alert", to, item.reason)

    def _tell_the_told(self) -> None:
        acting, alert = self._acting, self._alert
        for each in people_told.reached(acting.db, alert.alert_id, self._ladder.since_seq):
            if each.by_digest and Action(alert.action) is not Action.WITHDRAWN:
                self._list_for(each)
            else:
                self.follow_up(each)

    def _list_for(self, each: Reached) -> None:
        """Who heard of it in a digest hears of its end in the next one; only a withdrawal cannot wait."""
        rules = self._acting.site.rules.routing
        due = rules.moment(When.DAILY, self._acting.now) or self._acting.now
        contact = Contact(each.channel, each.address, Tier(each.tier))
        telling = Telling(
            PersonId(each.person_id), Role(each.role), contact, each.language, due, "was told before", Digest.DAILY
        )
        names = (self._alert.alert_id, str(self._alert.seq), each.person_id)
        digests.add(self._acting.db, [self._line(telling, stable_id("line", "follow-up", *names))])

    def _entry(self, reason: str, person_id: str | None, role: str) -> Entry:
        alert = self._alert
        return Entry(
            result="not-told",
            reason=reason,
            at=self._acting.now,
            urgency=alert.urgency,
            alert_id=alert.alert_id,
            patient_ref=alert.patient_ref,
            seq=alert.seq,
            level=alert.level,
            step=self._ladder.step,
            person_id=person_id,
            role=role,
        )

    def _publish(self, state: DeliveryState, *names: str, reason: str) -> None:
        alert, ladder = self._alert, self._ladder
        self._acting.deliver(
            delivery(
                state,
                alert.alert_id,
                str(alert.seq),
                *names,
                alert_id=alert.alert_id,
                seq=alert.seq,
                patient_ref=alert.patient_ref,
                urgency=alert.urgency,
                at=self._acting.now,
                step=ladder.step,
                reason=reason,
            )
        )
