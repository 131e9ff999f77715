"""Drives the detector's domain with the same events, as the store would: facts kept, history loaded when asked for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from services.common.inbox import Source
from services.detector.domain.patient import Head, NeedsHistory, decide, needs_history
from services.detector.domain.rules import Rulebook
from services.detector.domain.statements import Action, Alert, Mode, Plan, PublishPlan, SayAlert
from services.detector.domain.values import Event, LabReport, ResultId
from services.detector.rulebook import load
from services.detector.translate.incoming import read
from tests.oracle.cases import REF, SITE

ACTIVE = ("scheduled", "due", "overdue")


def rulebook(site_dir: Path) -> Rulebook:
    """Return the rules as shipped."""
    return load(site_dir, SITE)


@dataclass
class Patient:
    """One patient as the detector sees it: head, stored facts, everything said."""

    rules: Rulebook
    head: Head | None = None
    facts: list[Event] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    results: set[ResultId] = field(default_factory=set)
    said: list[Alert] = field(default_factory=list)
    plans: dict[str, Plan] = field(default_factory=dict)
    wake_at: datetime | None = None

    def take(self, rows: Sequence[dict[str, Any]], now: datetime) -> None:
        """Decide on events that arrive together at `now`."""
        events = []
        for offset, row in enumerate(rows):
            incoming = read(Source("events", 0), offset, REF.encode(), json.dumps(row).encode())
            assert incoming.event is not None, incoming.reject
            if incoming.event_id not in self.known:
                self.known.add(incoming.event_id)
                events.append(incoming.event)
        self._step(events, now)

    def pass_time(self, now: datetime) -> None:
        """Ask what is due, until nothing is."""
        for _ in range(1_000):
            if self.wake_at is None or self.wake_at > now:
                return
            self._step([], now)
        raise AssertionError("the patient never comes to rest")

    def _step(self, events: list[Event], now: datetime) -> None:
        ids = {r.result_id for e in events if isinstance(e, LabReport) for r in e.results}
        history = self.facts if needs_history(self.head, events, known_results=ids & self.results) else None
        try:
            decision = decide(self.head, events, history=history, rules=self.rules, now=now)
        except NeedsHistory:
            decision = decide(self.head, events, history=self.facts, rules=self.rules, now=now)
        self.head, self.wake_at = decision.head, decision.wake_at
        self.facts.extend(decision.facts)
        self.results |= ids
        for effect in decision.effects:
            match effect:
                case SayAlert(alert):
                    self.said.append(alert)
                case PublishPlan(plan):
                    self.plans[plan.plan_id] = plan

    def standing(self) -> dict[str, tuple[int, str]]:
        """Return what the listeners of `alerts.v1` hold to be standing: rule -> (level, urgency)."""
        held: dict[str, tuple[int, str]] = {}
        for alert in self.said:
            if alert.mode is not Mode.LIVE:
                continue
            if alert.action in (Action.WITHDRAWN, Action.CLEARED):
                held.pop(alert.rule_id, None)
            else:
                held[alert.rule_id] = (alert.level, alert.urgency.value)
        return held

    def plan(self) -> tuple[str, datetime, datetime, int] | None:
        """Return the active plan, as the listeners of `retests.v1` hold it."""
        active = [plan for plan in self.plans.values() if plan.status in ACTIVE]
        assert len(active) <= 1, active
        return None if not active else (active[0].kind.value, active[0].due_at, active[0].overdue_at, active[0].draw)
