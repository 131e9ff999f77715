"""What happens because time passes: ladders climb, digests are made, the site's files are read again, promises audited.

Everything due is a row with an index; after an outage of any length each is done once, the most urgent first.
"""

import threading
from collections.abc import Callable
from datetime import datetime

import structlog

from services.common.database import PASSING, reading
from services.notifier.app.results import give_up_lost, refuse_unknown_channel
from services.notifier.app.work import Bench
from services.notifier.domain.audit import Count, findings
from services.notifier.domain.delivery import State
from services.notifier.domain.escalation import Ladder, on_time
from services.notifier.store import alerts, ladders, queue
from services.notifier.store.acting import Acting
from services.notifier.store.reminding import assemble
from services.notifier.store.tables import outbox
from services.notifier.store.telling import Teller

BATCH = 100
AUDIT_EVERY = 10
SITE_EVERY = 3

log = structlog.get_logger("clock")


class Clock(threading.Thread):
    """Goes round every second until stopped. `on_site_change` is called when the site's files were read anew."""

    def __init__(self, bench: Bench, every_seconds: float, on_site_change: Callable[[], None]) -> None:
        super().__init__(name="clock", daemon=True)
        self._bench, self._every = bench, every_seconds
        self._on_site_change = on_site_change
        self._stopping = threading.Event()
        self._rounds = 0
        self.trouble: str | None = None
        self.findings: tuple[str, ...] = ()
        self.failed: BaseException | None = None

    def stop(self, timeout: float = 10.0) -> None:
        """End after this round."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout)

    def run(self) -> None:
        """Go round."""
        try:
            while not self._stopping.wait(self._every):
                self._round()
        except BaseException as problem:
            self.failed = problem
            log.exception("clock ended")

    def _round(self) -> None:
        self._rounds += 1
        try:
            while self.once() == BATCH:
                pass
            if self._rounds % AUDIT_EVERY == 1:
                self.audit()
            self.trouble = None
        except PASSING as problem:
            self.trouble = f"the store cannot be written: {type(problem).__name__}"
            self._bench.metrics.retries.labels("clock", "store").inc()
            log.warning("clock waits", trouble=self.trouble)
        if self._rounds % SITE_EVERY == 0:
            if self._bench.site.refresh():
                self._on_site_change()
            self._bench.metrics.site_faulty.set(1 if self._bench.site.fault else 0)
        self._bench.beat("clock")

    def once(self) -> int:
        """Do what is due, in one transaction; returns how many ladders moved."""
        if not self._anything_due():
            return 0
        with self._bench.acting() as acting:
            moved = ladders.due(acting.db, acting.now, BATCH)
            for ladder in moved:
                self._climb(acting, ladder)
            assemble(acting)
            for item in queue.lost(acting.db, acting.now, BATCH):
                give_up_lost(acting, item)
            for item in queue.waiting_of_other_channels(acting.db, list(acting.site.channels), acting.now):
                refuse_unknown_channel(acting, item)
        return len(moved)

    def _anything_due(self) -> bool:
        """Look without writing, so that an idle notifier leaves the disk alone."""
        with reading(self._bench.engine) as db:
            return queue.anything_for_the_clock(db, self._bench.now(), list(self._bench.site.current().channels))

    def _climb(self, acting: Acting, ladder: Ladder) -> None:
        alert = alerts.newest(acting.db, ladder.alert_id)
        after, effects = on_time(ladder, acting.site.rules.ladders, acting.now)
        ladders.save(acting.db, after)
        if alert is not None:
            Teller(acting, after, alert).perform(effects)

    def audit(self) -> None:
        """Count what is open, waiting and late; say what breaks a promise."""
        now, metrics = self._bench.now(), self._bench.metrics
        with reading(self._bench.engine) as db:
            count = Count(ladders.without_step(db), ladders.oldest_due(db), queue.oldest_due(db, now))
            states = queue.count_by_state(db)
            waiting, oldest = outbox.count(db), outbox.oldest(db)
        for state in State:
            metrics.messages.labels(state).set(states.get(state, 0))
        metrics.without_step.set(count.without_step)
        metrics.step_late.set(_age(count.oldest_step_due, now))
        metrics.oldest_message.set(_age(count.oldest_message_due, now))
        metrics.outbox_rows.set(waiting)
        metrics.outbox_oldest.set(_age(oldest, now))
        self.findings = findings(count, now)
        metrics.audit_findings.set(len(self.findings))
        if self.findings:
            log.warning("audit", findings=self.findings)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
