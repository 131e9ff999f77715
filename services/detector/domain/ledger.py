"""What has been said about a patient, and what must be said next: standing minus ledger (RULES.md 4.7).

Law: the ledger is never computed again from facts. It alone remembers numbers, names and what was told to people.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from services.detector.domain.evidence import compose
from services.detector.domain.facts import Record
from services.detector.domain.names import name_of
from services.detector.domain.retest import ACTIVE, Slot, first_draw_after, wanted
from services.detector.domain.rules import Rulebook
from services.detector.domain.state import Accumulator, Standing
from services.detector.domain.statements import Action, Alert, Effect, Plan, PlanKind, PlanStatus, PublishPlan, SayAlert
from services.detector.domain.values import PatientRef

CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Said:
    """The last word on a standing alert, without its series; `first_at`: the first flag it was said for."""

    alert: Alert
    first_at: datetime


@dataclass(frozen=True, slots=True)
class SaidPlan:
    """The last word on a plan, and what the slot was counted from."""

    plan: Plan
    scope: str
    opened_at: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Thread:
    """The name under which the newest episode was spoken of; late facts may give it another opening."""

    episode_id: str
    key: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Ledger:
    """`alerts` per rule, only those that stand; the numbers last given."""

    alerts: dict[str, Said] = field(default_factory=dict)
    plan: SaidPlan | None = None
    thread: Thread | None = None
    alert_seq: int = 0
    plan_seq: int = 0


class Speaker:
    """One round of speaking: collects effects and the ledger that follows."""

    def __init__(
        self, ref: PatientRef, ledger: Ledger, record: Record, acc: Accumulator, rules: Rulebook, now: datetime
    ) -> None:
        self.ref = ref
        self.record = record
        self.acc = acc
        self.rules = rules
        self.now = now
        self.alerts = dict(ledger.alerts)
        self.plan = ledger.plan
        self.alert_seq = ledger.alert_seq
        self.plan_seq = ledger.plan_seq
        self.thread = self._threaded(ledger.thread)
        self.effects: list[Effect] = []

    def _threaded(self, old: Thread | None) -> Thread | None:
        """Keep the name of an episode that goes on, even if a late fact gave it another opening."""
        phase = self.acc.phase
        if phase is None:
            return replace(old, is_open=False) if old is not None and old.is_open else old
        is_open = phase.ended is None
        if old is not None and (old.key == phase.key or (old.is_open and is_open)):
            unchanged = old.key == phase.key and old.is_open == is_open
            return old if unchanged else Thread(old.episode_id, phase.key, is_open)
        return Thread(name_of("episode", self.ref, phase.key), phase.key, is_open)

    def ledger(self) -> Ledger:
        """Return what has been said after this round."""
        return Ledger(self.alerts, self.plan, self.thread, self.alert_seq, self.plan_seq)

    def _episode_id(self) -> str | None:
        return self.thread.episode_id if self.thread is not None and self.thread.is_open else None

    def speak(self, *, monitored: bool) -> datetime | None:
        """Say the difference; return when time alone will next change the plan."""
        standing = self.acc.standing if monitored else {}
        for rule_id in [rule_id for rule_id in self.alerts if self._is_over(rule_id, standing.get(rule_id))]:
            self._end(rule_id, monitored=monitored)
        for rule_id in sorted(standing, key=lambda rule_id: (standing[rule_id].urgency, rule_id)):
            self._stand(standing[rule_id])
        slot = wanted(self.acc, self.rules, self.now) if monitored else None
        self._ask(slot, monitored=monitored)
        return slot.next_at if slot is not None else None

    def _is_over(self, rule_id: str, standing: Standing | None) -> bool:
        """An alert is over if nothing stands, or if its scope ended and the rule stands again in a later one."""
        if standing is None:
            return True
        end = self.acc.ended.get(rule_id)
        return end is not None and self.alerts[rule_id].first_at <= end.at < standing.first_at

    def _end(self, rule_id: str, *, monitored: bool) -> None:
        """Cleared where the scope is over, withdrawn where a fact no longer holds."""
        said = self.alerts.pop(rule_id)
        end = self.acc.ended.get(rule_id)
        if not monitored:
            action, reason = Action.CLEARED, str(self.record.status or "unknown")
        elif end is not None and end.at >= said.first_at:
            action, reason = Action.CLEARED, end.reason
        else:
            action, reason = Action.WITHDRAWN, CORRECTED
        self.alert_seq += 1
        self.effects.append(
            SayAlert(
                replace(
                    said.alert, seq=self.alert_seq, action=action, reason=reason, decided_at=self.now,
                    supersedes=said.alert.seq, episode_id=said.alert.episode_id or self._episode_id(),
                )
            )
        )  # fmt: skip

    def _stand(self, standing: Standing) -> None:
        said = self.alerts.get(standing.rule_id)
        change = _change(said, standing)
        if change is None:
            if said is not None and said.first_at != standing.first_at:
                self.alerts[standing.rule_id] = Said(said.alert, standing.first_at)
            return
        action, reason = change
        self.alert_seq += 1
        old = said.alert if said is not None else None
        alert = compose(
            standing, self.acc, self.record, self.rules, ref=self.ref, seq=self.alert_seq, action=action, reason=reason,
            alert_id=old.alert_id if old else name_of("alert", self.ref, standing.rule_id, standing.first_result),
            episode_id=self._episode_id(), supersedes=old.seq if old else None, now=self.now,
        )  # fmt: skip
        self.effects.append(SayAlert(alert))
        self.alerts[standing.rule_id] = Said(replace(alert, series=()), standing.first_at)

    def _ask(self, slot: Slot | None, *, monitored: bool) -> None:
        """Close the slot last said if it is over, then say the wanted one if it is news."""
        said = self.plan
        if said is not None and said.plan.status in ACTIVE:
            if slot is None or not self._is_same_plan(said, slot):
                self._stop(said, slot, monitored=monitored)
            elif slot.since > said.since:
                self._supersede(said)
        if slot is not None:
            self._say_slot(slot)

    def _is_same_plan(self, said: SaidPlan, slot: Slot) -> bool:
        """A plan goes on as long as its scope did not end, whatever late facts did to the opening."""
        if said.plan.kind is not slot.kind:
            return False
        if said.scope == slot.scope:
            return True
        if slot.kind is PlanKind.EVERY_3_DAYS:
            end = self.acc.phase_ended
        else:
            end = self.acc.ended.get(self.rules.retest.single_rule)
        return end is None or not said.opened_at <= end.at <= slot.opened_at

    def _supersede(self, said: SaidPlan) -> None:
        drawn_at = first_draw_after(self.acc, said.since)
        in_time = drawn_at is not None and drawn_at < said.plan.overdue_at
        self._publish(said, PlanStatus.SATISFIED if in_time else PlanStatus.MISSED, said.plan.reason)

    def _stop(self, said: SaidPlan, slot: Slot | None, *, monitored: bool) -> None:
        if not monitored:
            self._publish(said, PlanStatus.STOPPED, str(self.record.status or "unknown"))
            return
        single = self.acc.single
        if said.plan.kind is PlanKind.SINGLE and single is not None and single.first_at == said.opened_at:
            if single.answered_at is not None:
                in_time = single.answered_at < said.plan.overdue_at
                self._publish(said, PlanStatus.SATISFIED if in_time else PlanStatus.MISSED, said.plan.reason)
                return
            reason = single.ended.reason if single.ended is not None else CORRECTED
        elif said.plan.kind is PlanKind.SINGLE and slot is not None:
            reason = "replaced"
        else:
            end = self.acc.phase_ended
            reason = end.reason if end is not None and end.at >= said.opened_at else CORRECTED
        self._publish(said, PlanStatus.STOPPED, reason)

    def _publish(self, said: SaidPlan, status: PlanStatus, reason: str) -> None:
        self.plan_seq += 1
        plan = replace(said.plan, seq=self.plan_seq, status=status, reason=reason, decided_at=self.now, late=False)
        self.effects.append(PublishPlan(plan))
        self.plan = replace(said, plan=plan)

    def _say_slot(self, slot: Slot) -> None:
        said = self.plan
        goes_on = said is not None and self._is_same_plan(said, slot)
        plan_id = (
            said.plan.plan_id if said is not None and goes_on
            else name_of("plan", self.ref, slot.kind, slot.scope)
        )  # fmt: skip
        late = slot.status is PlanStatus.OVERDUE and self.now - slot.overdue_at > self.rules.retest.late_after
        plan = Plan(
            plan_id, self.plan_seq + 1, self.ref, self._episode_id(), slot.kind, slot.status, slot.due_at,
            slot.window_from, slot.overdue_at, slot.overdue_at, slot.draw, slot.minimum_draws, slot.missing,
            slot.pending, slot.reason, self.now, late,
        )  # fmt: skip
        if said is not None and _says_the_same(said.plan, plan):
            if (said.scope, said.opened_at, said.since) != (slot.scope, slot.opened_at, slot.since):
                self.plan = SaidPlan(said.plan, slot.scope, slot.opened_at, slot.since)
            return
        self.plan_seq += 1
        self.effects.append(PublishPlan(plan))
        self.plan = SaidPlan(plan, slot.scope, slot.opened_at, slot.since)


def _change(said: Said | None, standing: Standing) -> tuple[Action, str] | None:
    """More urgent, or a higher level at the same urgency, is an escalation; any other difference is a correction."""
    if said is None:
        return Action.RAISED, "flag"
    old = said.alert
    if (standing.level, standing.urgency) == (old.level, old.urgency):
        return None
    if standing.urgency < old.urgency:
        return Action.ESCALATED, "more-urgent"
    if standing.urgency == old.urgency and standing.level > old.level:
        return Action.ESCALATED, "higher-level"
    return Action.REVISED, CORRECTED


def _says_the_same(old: Plan, new: Plan) -> bool:
    return replace(new, seq=old.seq, decided_at=old.decided_at, late=old.late, episode_id=old.episode_id) == old
