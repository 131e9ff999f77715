"""The detector as its shell drives it, for one patient, and the promises that must hold after every step.

P2 the same content twice changes nothing. P3 any arrival order gives the same standing alerts. P6 an open episode has a
next due date, an open alert a next step. P10 after an outage of any length each due item fires once.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from services.detector.domain.patient import Decision, Head, NeedsHistory, decide, needs_history
from services.detector.domain.retest import ACTIVE
from services.detector.domain.rules import Rulebook
from services.detector.domain.statements import Action, Alert, Plan, PublishPlan, SayAlert
from services.detector.domain.values import Event, LabReport

GONE = (Action.WITHDRAWN, Action.CLEARED)
_ENCODE = msgspec.msgpack.Encoder(decimal_format="string").encode
_DECODE = msgspec.msgpack.Decoder(Head).decode


class Broken(AssertionError):
    """A promise did not hold."""


@dataclass
class Watcher:
    """State of the shell for one patient, with what listeners of the topics hold to be true."""

    rules: Rulebook
    head: Head | None = None
    facts: dict[str, Event] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    wake_at: datetime | None = None
    standing: dict[str, tuple[int, str]] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    said: int = 0
    refolds: int = 0
    last_seq: int = 0
    last_plan_seq: int = 0
    fired: set[tuple[str, str, datetime, str]] = field(default_factory=set)

    def take(self, events: Iterable[Event], now: datetime) -> Decision | None:
        """Take new events into account, as the shell does: stored ones are left out."""
        new = [event for event in events if event.event_id not in self.facts]
        if not new:
            return None
        return self._step(new, now)

    def pass_time(self, now: datetime) -> None:
        """Ask at each time that was wished for, up to `now`."""
        for _ in range(1000):
            if self.wake_at is None or self.wake_at > now:
                return
            self._step([], self.wake_at)
        raise Broken("the patient never comes to rest")

    def outage_until(self, now: datetime) -> None:
        """Ask once, as after an outage, and once more: the second time there must be nothing to say (P10)."""
        if self.head is None:
            return
        self._step([], now)
        again = self._step([], now)
        if again.effects:
            raise Broken(f"P10: asked again at the same time it says {again.effects}")

    def _step(self, new: Sequence[Event], now: datetime) -> Decision:
        results = {r.result_id for e in new if isinstance(e, LabReport) for r in e.results}
        known = results & self.known
        history = list(self.facts.values()) if needs_history(self.head, new, known_results=known) else None
        try:
            decision = decide(self.head, new, history=history, rules=self.rules, now=now)
        except NeedsHistory:
            history = list(self.facts.values())
            decision = decide(self.head, new, history=history, rules=self.rules, now=now)
        self.refolds += history is not None
        self.facts.update((event.event_id, event) for event in decision.facts)
        self.known |= results
        at_hand = decision.head.after if self.said % 2 else None
        stored = _DECODE(_ENCODE(replace(decision.head, after=at_hand)))
        if stored != decision.head:
            raise Broken("the head does not survive being stored")
        self.head, self.wake_at = stored, decision.wake_at
        for effect in decision.effects:
            match effect:
                case SayAlert(alert):
                    self._hear(alert)
                case PublishPlan(plan):
                    self._hear_plan(plan)
        self.check(now)
        return decision

    def _hear(self, alert: Alert) -> None:
        self.said += 1
        if alert.seq <= self.last_seq:
            raise Broken(f"seq does not rise: {alert.seq} after {self.last_seq}")
        self.last_seq = alert.seq
        new = (alert.level, str(alert.urgency))
        if alert.action in GONE:
            if self.standing.pop(alert.rule_id, None) is None:
                raise Broken(f"{alert.action} of {alert.rule_id}, which nobody had been told of")
        elif alert.action is Action.RAISED and alert.rule_id in self.standing:
            raise Broken(f"{alert.rule_id} raised twice")
        else:
            if self.standing.get(alert.rule_id) == new:
                raise Broken(f"{alert.rule_id} {new} told again")
            self.standing[alert.rule_id] = new

    def _hear_plan(self, plan: Plan) -> None:
        if plan.seq <= self.last_plan_seq:
            raise Broken("plan seq does not rise")
        self.last_plan_seq = plan.seq
        self.plans[plan.plan_id] = plan

    def active(self) -> list[Plan]:
        """Return the plans that are active for those who keep the newest of each."""
        return [plan for plan in self.plans.values() if plan.status in ACTIVE]

    def check(self, now: datetime) -> None:
        """P6, and that what listeners hold is what the head holds."""
        assert self.head is not None
        held = {rule: (said.alert.level, str(said.alert.urgency)) for rule, said in self.head.ledger.alerts.items()}
        if held != self.standing:
            raise Broken(f"listeners hold {self.standing}, the ledger {held}")
        active = self.active()
        if len(active) > 1:
            raise Broken("more than one thing to do next")
        thread = self.head.ledger.thread
        if thread is not None and thread.is_open and self.head.record.is_monitored() and not active:
            raise Broken("P6: an open episode without a next due date")
        if active and active[0].status != "overdue" and (self.wake_at is None or self.wake_at <= now):
            raise Broken("P6: a plan that nobody will be woken for")
        for said in self.head.ledger.alerts.values():
            if not said.alert.clears_when:
                raise Broken(f"P6: {said.alert.rule_id} without a next step")

    def outcome(self) -> object:
        """Return everything that must not depend on the order of arrival."""
        plans = [(p.kind, p.status, p.due_at, p.overdue_at, p.draw, p.missing, p.pending) for p in self.active()]
        return self.standing, plans


def refolded(watcher: Watcher, now: datetime) -> Head:
    """Return the head folded from nothing, with the ledger left out of the comparison."""
    assert watcher.head is not None
    decision = decide(watcher.head, (), history=list(watcher.facts.values()), rules=watcher.rules, now=now)
    return replace(decision.head, ledger=watcher.head.ledger, as_of=watcher.head.as_of)


def check_incremental(watcher: Watcher, now: datetime) -> None:
    """What was kept step by step equals what is folded from nothing."""
    if watcher.head is None or not watcher.head.record.is_monitored():
        return
    folded = refolded(watcher, now)
    if folded != watcher.head:
        names = [name for name in folded.__slots__ if getattr(folded, name) != getattr(watcher.head, name)]
        raise Broken(f"incremental differs from folded in {names}")


def check_any_order(watcher: Watcher, now: datetime, rng: random.Random) -> None:
    """P2 and P3: the same facts, shuffled and twice, in one go and one by one."""
    events = list(watcher.facts.values())
    rng.shuffle(events)
    other = Watcher(watcher.rules)
    for event in events:
        other.take([event], now)
        if rng.random() < 0.2 and other.take([event], now) is not None:
            raise Broken("P2: a stored event was taken again")
    other.pass_time(now)
    if other.outcome() != watcher.outcome():
        raise Broken(f"P3: in order of arrival {watcher.outcome()}, shuffled {other.outcome()}")
