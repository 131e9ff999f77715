"""Publishes the outbox through the carrier: in order, at least once, from the table only."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import structlog

from services.common.database import PASSING
from services.common.outbox import Unsaid
from services.detector.app.carrier import BrokerAway, Carrier, answered, reason_of, wait_for
from services.detector.app.desk import Desk
from services.detector.metrics import Metrics

EVERY_SECONDS = 2.0
"""Without being woken: rows that a worker that is gone has left in our partitions."""

SEND_SECONDS = 30.0

log = structlog.get_logger("detector.relay")


class Relay:
    """`mine` tells the partitions whose rows are ours to publish."""

    def __init__(self, carrier: Carrier, desk: Desk, metrics: Metrics, mine: Callable[[], Collection[int]]) -> None:
        self._carrier, self._desk, self._metrics, self._mine = carrier, desk, metrics, mine
        self._wake, self._stopping = asyncio.Event(), asyncio.Event()
        self.waiting_since: float | None = None
        """Monotonic time since when rows wait without a success; None while nothing waits."""

    def wake(self) -> None:
        """Publish now: a transaction has committed."""
        self._wake.set()

    def stop(self) -> None:
        """End after the rows in hand."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Publish until stopped."""
        while not self._stopping.is_set():
            await wait_for(self._wake, EVERY_SECONDS)
            self._wake.clear()
            try:
                await self.drain()
            except (BrokerAway, *PASSING) as problem:  # the rows are still there
                self._metrics.retries.labels("relay").inc()
                log.warning("outbox not published", reason=reason_of(problem))
                await wait_for(self._stopping, 1.0)

    async def drain(self) -> None:
        """Publish what there is. Raises BrokerAway and database errors."""
        while rows := await self._unsaid():
            self.waiting_since = self.waiting_since or time.monotonic()
            # Enqueued one after the other, so that the order stands; then all acknowledgements together.
            futures = [asyncio.ensure_future(await answered(self._carrier.send(row), SEND_SECONDS)) for row in rows]
            await asyncio.wait(futures, timeout=SEND_SECONDS)
            said = [row for row, sent in zip(rows, futures, strict=True) if _succeeded(sent)]
            await self._forget(said)
            if len(said) < len(rows):
                raise BrokerAway(f"{len(rows) - len(said)} of {len(rows)} messages not acknowledged")
        self.waiting_since = None

    async def _unsaid(self) -> Sequence[Unsaid]:
        mine = self._mine()
        return await asyncio.to_thread(self._desk.unsaid, mine) if mine else ()

    async def _forget(self, rows: Sequence[Unsaid]) -> None:
        if rows:
            await asyncio.to_thread(self._desk.said, [row.id for row in rows])
            self.waiting_since = None
        for topic, count in Counter(row.topic for row in rows).items():
            self._metrics.published.labels(topic).inc(count)


def _succeeded(sent: "asyncio.Future[object]") -> bool:
    return sent.done() and not sent.cancelled() and sent.exception() is None
