"""Write the message of a queued item, in its tier and language, with the link by which its reader acknowledges.

Law: a message that cannot be composed is sent in its shortest form rather than not at all.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine

from schemas.alert_v1 import Alert
from schemas.retest_v1 import RetestPlan
from services.common.clock import Now
from services.common.database import PASSING, reading
from services.notifier.adapters.port import Outgoing
from services.notifier.adapters.templates import Letters
from services.notifier.domain.evidence import AlertView, DigestView, PlanView, alert_number
from services.notifier.domain.message import Message
from services.notifier.domain.values import Action, Tier
from services.notifier.metrics import Metrics
from services.notifier.rulebook.site import Site
from services.notifier.store.acting import alert_token
from services.notifier.store.evidence import alert_view, plan_view
from services.notifier.store.queue import Item
from services.notifier.store.surroundings import next_retest, told_besides

log = structlog.get_logger("letters")


class Writer:
    """Composes for senders; used by several threads. `link_base` is where people reach the worklist."""

    def __init__(
        self,
        site: Callable[[], Site],
        key: bytes,
        link_base: str,
        metrics: Metrics,
        now: Now,
        engine: Engine | None = None,
    ) -> None:
        self._site, self._key, self._link_base, self._metrics = site, key, link_base, metrics
        self._now, self._engine = now, engine
        self._letters: tuple[tzinfo, Letters] | None = None

    def letters(self) -> Letters:
        """Return the words in the site's zone."""
        zone = self._site().zone
        if self._letters is None or self._letters[0] != zone:
            self._letters = (zone, Letters(ZoneInfo(str(zone))))
        return self._letters[1]

    def write(self, item: Item) -> Outgoing:
        """Return the message, ready to leave."""
        try:
            message = self._compose(item)
        except Exception:
            log.exception("composing failed, the shortest form is sent", item=item.item_id, kind=item.kind)
            self._metrics.fallbacks.inc()
            message = self._shortest(item)
        return Outgoing(
            item_id=item.item_id,
            message_id=item.message_id,
            urgency=item.urgency,
            tier=item.tier,
            address=item.address,
            subject=" ".join(message.subject.split()),
            text=message.text,
            html=message.html,
            thread=None if item.tier == Tier.PAGE else item.thread,
            number=alert_number(item.subject_id),
            language=item.language,
        )

    def _compose(self, item: Item) -> Message:
        content = json.loads(item.payload)
        return self.letters().write(
            self._around(view_of(content), item),
            tier=item.tier,
            language=item.language,
            ack_url=self._link(item, content),
            call_back=self._site().rules.call_back,
        )

    def _around(self, view: AlertView | PlanView | DigestView, item: Item) -> AlertView | PlanView | DigestView:
        """Add who else is told and the next retest, as they are when the mail leaves; without a store it goes bare."""
        if not isinstance(view, AlertView) or item.tier != Tier.MAIL:
            return view
        view = replace(view, is_delayed=self._now() - view.decided_at > self._site().rules.catching_up.stale_after)
        if self._engine is None:
            return view
        try:
            with reading(self._engine) as db:
                told = told_besides(db, view.alert_id, item.seq, item.person_id)
                return replace(view, told=told, plan=next_retest(db, view.patient_ref))
        except PASSING:
            return view

    def _link(self, item: Item, content: Mapping[str, Any]) -> str | None:
        """Pages and endings carry none: there is nothing to click, or nothing left to acknowledge."""
        if item.alert_id is None or item.tier != Tier.MAIL or Action(content["alert"]["action"]).ends:
            return None
        token = alert_token(self._key, Alert.model_validate(content["alert"]), item.person_id)
        return f"{self._link_base}/ack/{token}"

    def _shortest(self, item: Item) -> Message:
        call_back = self._site().rules.call_back
        text = f"{item.urgency} {alert_number(item.subject_id)} {call_back}".strip()
        return Message(text, f"{text}\n{self._link_base}/\n" if item.tier == Tier.MAIL else text)


def view_of(content: Mapping[str, Any]) -> AlertView | PlanView | DigestView:
    """Return what a queued payload tells about."""
    if "digest" in content:
        lines = content["lines"]
        return DigestView(
            kind=content["digest"],
            alerts=tuple(_alert(line) for line in lines if "alert" in line),
            plans=tuple(_plan(line) for line in lines if "plan" in line),
        )
    return _plan(content) if "plan" in content else _alert(content)


def _alert(content: Mapping[str, Any]) -> AlertView:
    before = content.get("before")
    return alert_view(
        Alert.model_validate(content["alert"]), before=None if before is None else Alert.model_validate(before)
    )


def _plan(content: Mapping[str, Any]) -> PlanView:
    return plan_view(RetestPlan.model_validate(content["plan"]))
