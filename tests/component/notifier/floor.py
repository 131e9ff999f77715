"""A notifier without threads, broker or mail server: records go in, messages are taken and answered by hand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, select

from schemas.alert_v1 import Alert
from schemas.delivery_v1 import Delivery
from schemas.topics import ALERTS, RETESTS
from services.notifier.adapters.port import Outcome, sent
from services.notifier.app.clock import Clock
from services.notifier.app.handling import Record, handle
from services.notifier.app.results import settle
from services.notifier.app.work import Bench
from services.notifier.metrics import Metrics
from services.notifier.rulebook.site import SiteFiles
from services.notifier.store import acknowledge, queue
from services.notifier.store.acting import Acting, Topics, alert_token
from services.notifier.store.queue import Item
from services.notifier.store.tables import escalations, outbox, told
from tests.support.site import SitePlan, write_site
from tests.support.worklist import an_alert

KEY = b"a key of the tests, thirty-two bytes."
NOW = datetime.fromisoformat("2026-03-04T02:00:00+00:00")
LEASE = timedelta(seconds=20)
ARRIVED = sent("250")


@dataclass(slots=True)
class Floor:
    """A store, a site and a clock that tests set by hand."""

    engine: Engine
    site: SiteFiles
    now: datetime = NOW
    seq: int = 0
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        topics = Topics("deliveries.v1", "clinical-events.v1")
        metrics = Metrics(CollectorRegistry())
        self.bench = Bench(self.engine, self.site, topics, KEY, lambda: self.now, metrics)

    @contextmanager
    def acting(self) -> Iterator[Acting]:
        with self.bench.acting() as acting:
            yield acting

    def alert(self, **changed: Any) -> Alert:
        """Take an alert message: P1 of level 2 for immunology, with the next seq, decided now."""
        self.seq += 1
        values: dict[str, Any] = {"seq": self.seq, "urgency": "P1", "roles": ["immunology"], "decided_at": self.now}
        alert = an_alert(**values | changed)
        self.record(ALERTS.name, alert.model_dump_json().encode())
        return alert

    def record(self, name: str, value: bytes | None, key: bytes = b"K7QF-2M9X-RT4BD") -> None:
        with self.acting() as acting:
            handle(acting, Record(name, name, 0, self.seq, key, value))

    def plan(self, value: bytes) -> None:
        self.record(RETESTS.name, value)

    def take(self, *, limit: int = 100) -> list[Item]:
        """Take what is due, as the senders do, the most urgent first within a channel."""
        with self.engine.begin() as db:
            return [
                item
                for channel in self.site.current().channels
                for item in queue.take(db, channel, self.now, limit, LEASE)
            ]

    def answer(self, item: Item, outcome: Outcome = ARRIVED) -> None:
        """Write what became of an attempt."""
        with self.acting() as acting:
            settle(acting, item, outcome, 0.01, 0.5, self.now)

    def send(self) -> list[Item]:
        """Take what is due and let all of it arrive."""
        items = self.take()
        for item in items:
            self.answer(item)
        return items

    def tick(self, pause: timedelta = timedelta(0)) -> None:
        """Let time pass and the clock look."""
        self.now += pause
        clock = Clock(self.bench, 1.0, lambda: None)
        while clock.once():
            pass
        clock.audit()

    def acknowledge(self, alert: Alert, person: str) -> acknowledge.Answer:
        with self.acting() as acting:
            return acknowledge.acknowledge(acting, alert_token(KEY, alert, person))

    def told(self, alert_id: str, *results: str) -> list[tuple[str | None, str | None]]:
        """Return person and channel of the record, in order, for these results."""
        row = told.c
        query = select(row.person_id, row.channel).where(row.alert_id == alert_id, row.result.in_(results or ("sent",)))
        with self.engine.begin() as db:
            return [(person, channel) for person, channel in db.execute(query.order_by(row.at, row.told_id))]

    def phase(self, alert_id: str) -> str:
        with self.engine.begin() as db:
            return str(db.scalar(select(escalations.c.phase).where(escalations.c.alert_id == alert_id)))

    def deliveries(self) -> list[Delivery]:
        """Return what would be published on deliveries.v1, oldest first."""
        with self.engine.begin() as db:
            rows = [row for row in outbox.unsaid(db, limit=10_000) if row.topic == "deliveries.v1"]
        return [Delivery.model_validate(json.loads(row.value or b"")) for row in rows]


def open_floor(engine: Engine, folder: Path, **plan: Any) -> Floor:
    """Return a floor on an empty store."""
    write_site(folder, SitePlan(smtp_port=2525, **plan))
    return Floor(engine, SiteFiles(folder))


def whom(items: list[Item]) -> set[tuple[str, str]]:
    """Return person and channel of messages."""
    return {(item.person_id, item.channel) for item in items}
