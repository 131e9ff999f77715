"""The loop around the desk: what the carrier brings, what is due, what is to be published, what went astray.

Law: the carrier is not trusted. A record that is not next is not taken, what is missing is fetched again, and every
fault has the one answer: forget the positions, read them from the store, filter the same records again.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from services.common.clock import Now
from services.common.database import PASSING
from services.common.errors import EXIT_REFUSED
from services.common.inbox import Conflict, Position, Source, gap, pick
from services.common.watchdog import Sight, end_process
from services.detector.app.carrier import BrokerAway, Carrier, Record, answered, reason_of, wait_for
from services.detector.app.desk import Desk, Positions
from services.detector.app.relay import Relay
from services.detector.metrics import Metrics

INBOX_LIMIT = 2_000
SEEK_AGAIN_SECONDS = 2.5
NOTHING_CAME_SECONDS = 2.0
ENDS_KNOWN_SECONDS = 20.0

log = structlog.get_logger("detector.loop")


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once, how often."""

    batch: int
    due_seconds: float
    purge_seconds: float = 60.0


@dataclass(slots=True)
class Seen:
    """What is known of the partitions; times are monotonic seconds."""

    positions: dict[Source, Position] = field(default_factory=dict)
    ends: dict[Source, int] = field(default_factory=dict)
    ends_at: float = 0.0
    in_hand: Counter[Source] = field(default_factory=Counter)
    arrived: dict[Source, float] = field(default_factory=dict)
    sought: dict[Source, float] = field(default_factory=dict)
    database_trouble: str | None = None
    broker_trouble: str | None = None
    beat: float = field(default_factory=time.monotonic)


class Loop:
    """Takes what the carrier brings to the desk, and what the desk says to the carrier."""

    def __init__(self, carrier: Carrier, desk: Desk, pace: Pace, metrics: Metrics, now: Now) -> None:
        self._carrier, self._desk, self._pace, self._metrics, self._now = carrier, desk, pace, metrics, now
        self.seen = Seen()
        self._inbox: deque[Record] = deque()
        self._wake, self._stopping = asyncio.Event(), asyncio.Event()
        self._relay = Relay(carrier, desk, metrics, lambda: [source.partition for source in self.seen.positions])
        self._tasks: list[asyncio.Task[None]] = []
        self._due_at = self._purge_at = 0.0

    def start(self) -> None:
        """Begin."""
        for work in (self._process, self._relay.run, self._nudge):
            self._tasks.append(asyncio.create_task(_vital(work())))

    async def stop(self, within_seconds: float) -> None:
        """Finish the transaction in hand. What is not done stays in the topic and the store."""
        for event in (self._stopping, self._wake):
            event.set()
        self._relay.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_seconds)
        for task in self._tasks:
            task.cancel()

    def trouble(self) -> str | None:
        """Say why there is nothing to be expected of us now, if so."""
        if said := self.seen.database_trouble or self.seen.broker_trouble:
            return said
        if self._carrier.assigning() or self._carrier.owned() - self.seen.positions.keys():
            return "partitions are being assigned"
        return None

    def sight(self) -> Sight:
        """What the watchdog may see, from its thread."""
        seen, owned = self.seen, self._carrier.owned()
        unknown = None
        if self._carrier.assigning() or owned - seen.positions.keys():
            unknown = "assignment or positions are unknown"
        elif owned and time.monotonic() - seen.ends_at > ENDS_KNOWN_SECONDS:
            unknown = "the ends of the partitions are unknown"
        positions, ends = dict(seen.positions), dict(seen.ends)
        behind: dict[str, object] = {
            f"partition {source.partition}": at for source, at in positions.items() if ends.get(source, 0) > at.next
        }
        if self._relay.waiting_since is not None:
            behind["outbox"] = self._relay.waiting_since
        return Sight(beat=seen.beat, behind=behind, unknown=unknown, excused=seen.database_trouble)

    # -- in ------------------------------------------------------------------------------------------------------

    async def receive(self, record: Record) -> None:
        """Take a record from the carrier; waits while too many are in hand."""
        self._inbox.append(record)
        self.seen.in_hand[record.source] += 1
        self.seen.arrived[record.source] = time.monotonic()
        self._wake.set()
        while len(self._inbox) >= INBOX_LIMIT:  # noqa: ASYNC110 - many records wait for one condition
            await asyncio.sleep(0.005)

    def forget_positions(self) -> None:
        """Partitions were assigned: the store has the word on where they stand."""
        self.seen.positions.clear()

    async def _process(self) -> None:
        while not self._stopping.is_set():
            await wait_for(self._wake, min(0.25, self._pace.due_seconds))
            self._wake.clear()
            await self._look_at_the_time()
            while self._inbox and not self._stopping.is_set():
                await self._settle_next()
                await self._look_at_the_time()

    async def _look_at_the_time(self) -> None:
        now = time.monotonic()
        if now >= self._due_at:
            self._due_at = now + self._pace.due_seconds
            await self._insist(self._due)
        if now >= self._purge_at and not self._inbox:
            self._purge_at = now + self._pace.purge_seconds
            await self._insist(self._purge)

    async def _settle_next(self) -> None:
        records = [self._inbox.popleft() for _ in range(min(self._pace.batch, len(self._inbox)))]
        await self._insist(self._settle, records)
        self.seen.in_hand.subtract(record.source for record in records)

    async def _insist(self, attempt: Callable[..., Awaitable[None]], *args: object) -> None:
        """Until it is done or proves not to be ours."""
        pause = 0.2
        while not self._stopping.is_set():
            try:
                await attempt(*args)
            except Conflict as lost:
                self._metrics.conflicts.inc()
                log.warning("another worker moved on", sources=str(lost))
                for source in lost.sources:
                    self.seen.positions.pop(source, None)
            except (BrokerAway, *PASSING) as problem:
                self._in_trouble(problem)
                await wait_for(self._stopping, pause)
                pause = min(5.0, pause * 2)
            else:
                self.seen.database_trouble = None
                return

    def _in_trouble(self, problem: Exception) -> None:
        self._metrics.retries.labels(type(problem).__name__).inc()
        self.seen.positions.clear()  # whether the last transaction stands is unknown
        reason = reason_of(problem)
        if isinstance(problem, BrokerAway):
            self.seen.broker_trouble = f"the broker does not answer ({reason})"
        else:
            self.seen.database_trouble = f"the database does not answer ({reason})"
        log.warning("will try again", reason=reason)

    async def _settle(self, records: Sequence[Record]) -> None:
        await self._know_positions()
        picked = pick(self.seen.positions, records)
        for source, offset in picked.astray.items():
            self._seek(source, offset, "gap")
        if picked.work:
            work = {source: (self.seen.positions[source], taken) for source, taken in picked.work.items()}
            self._moved(await asyncio.to_thread(self._desk.apply, work))
        for record in records:
            at = self.seen.positions.get(record.source)
            if at is not None and record.offset < at.next:
                record.acknowledge()  # a hint for the next start

    async def _due(self) -> None:
        """Until nothing is due: after an outage there is more than one transaction's worth."""
        await self._know_positions()
        while self.seen.positions and not self._stopping.is_set():
            after = await asyncio.to_thread(self._desk.apply_due, dict(self.seen.positions))
            if not after:
                return
            self._moved(after)

    async def _purge(self) -> None:
        """Only where the topic has nothing newer: what a rebuild has yet to read may still want the old facts."""
        await self._know_positions()
        ends = self.seen.ends
        at_end = {source: at for source, at in self.seen.positions.items() if ends.get(source) == at.next}
        if at_end:
            self._moved(await asyncio.to_thread(self._desk.purge, at_end))

    def _moved(self, after: Positions) -> None:
        self.seen.positions.update(after)
        for source in after:
            self._metrics.heartbeat.labels(source.partition).set(self._now().timestamp())
        self._relay.wake()

    # -- positions -----------------------------------------------------------------------------------------------

    async def _know_positions(self) -> None:
        owned, known = self._carrier.owned(), self.seen.positions
        for source in known.keys() - owned:
            del known[source]
            self._metrics.forget_partition(source.partition)
        if missing := owned - known.keys():
            await self._learn(missing)

    async def _learn(self, missing: set[Source]) -> None:
        partitions = [source.partition for source in missing]
        found = await asyncio.to_thread(self._desk.positions, partitions)  # before the ends: else a false alarm
        begins = await answered(self._carrier.beginnings(missing))
        ends = await answered(self._carrier.ends(missing))
        _refuse_gaps(found, begins, ends)
        if missing - found.keys():
            found = await asyncio.to_thread(self._desk.positions, partitions, begins)
        owned = self._carrier.owned()
        self.seen.positions.update({source: at for source, at in found.items() if source in owned})
        self.seen.arrived.update(dict.fromkeys(missing, time.monotonic()))
        self.seen.broker_trouble = None
        self._relay.wake()

    def _seek(self, source: Source, offset: int, why: str) -> None:
        now = time.monotonic()
        if now - self.seen.sought.get(source, float("-inf")) < SEEK_AGAIN_SECONDS:
            return
        self.seen.sought[source] = now
        self._metrics.seeks.labels(why).inc()
        log.info("fetching again", topic=source.topic, partition=source.partition, offset=offset, why=why)
        self._carrier.seek(source, offset)

    async def _nudge(self) -> None:
        """Once a second: where nothing comes although there is something, fetch again; and read the gauges."""
        while not self._stopping.is_set():
            await wait_for(self._stopping, 1.0)
            self.seen.beat = time.monotonic()
            try:
                await self._look_around()
                self.seen.broker_trouble = None
            except BrokerAway as problem:
                self.seen.broker_trouble = f"the broker does not answer ({reason_of(problem)})"
            except PASSING as problem:
                log.info("gauges not read", reason=reason_of(problem))

    async def _look_around(self) -> None:
        before = dict(self.seen.positions)
        ends = await answered(self._carrier.ends(before)) if before else {}
        _refuse_gaps(before, dict.fromkeys(before, 0), ends)
        self.seen.ends, self.seen.ends_at = ends, time.monotonic()
        for source, at in dict(self.seen.positions).items():
            self._look_at(source, at, ends.get(source, 0))
        await asyncio.to_thread(self._desk.watch, [source.partition for source in before])

    def _look_at(self, source: Source, at: Position, end: int) -> None:
        self._metrics.lag.labels(source.partition).set(max(0, end - at.next))
        now = time.monotonic()
        if end <= at.next:
            self._metrics.heartbeat.labels(source.partition).set(self._now().timestamp())
        elif self.seen.in_hand[source] <= 0 and now - self.seen.arrived.get(source, now) > NOTHING_CAME_SECONDS:
            self._seek(source, at.next, "nothing-came")


def _refuse_gaps(found: Positions, begins: Mapping[Source, int], ends: Mapping[Source, int]) -> None:
    faults = [gap(source, at, begins[source], ends[source]) for source, at in found.items()]
    if said := [fault for fault in faults if fault]:
        end_process("; ".join(said), EXIT_REFUSED)


async def _vital(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as problem:
        log.exception("unexpected")
        end_process(f"unexpected {type(problem).__name__}")
