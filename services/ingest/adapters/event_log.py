"""Appends records to Kafka and says when they are durable: the positive answer to a sender waits for this.

Law: `Stored` only after every record of an append was acknowledged by all in-sync replicas. Whatever else happens, an
append is decided within its deadline, and the event loop never waits for Kafka's client, which lives in a thread.
What was given up here may still arrive in Kafka later: ids make that harmless.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.ingest.adapters.producer_thread import ProducerThread, Ticket
from services.ingest.metrics import IngestMetrics

MIB = 1024 * 1024
MAX_RECORD_BYTES = 15 * MIB
"""Below the topics' `max.message.bytes` of 16 MiB, with room for key, headers and framing."""
MAX_HELD_BYTES = 256 * MIB
SILENT_AFTER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `topic` is the name in Kafka, prefix included."""

    topic: str
    key: bytes
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stored:
    """Every record is in every in-sync replica."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Not known to be stored: the sender must not get a positive answer and should try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A record that Kafka will never take; nothing of the append was sent by us, or Kafka refused it."""

    topic: str
    size: int


Durability = Stored | Unavailable | TooLarge


class EventLog:
    """The asyncio side. One per process; `start` must run inside the event loop that calls `append`."""

    def __init__(self, thread: ProducerThread, metrics: IngestMetrics, *, answer_seconds: float) -> None:
        self._thread = thread
        self._metrics = metrics
        self._answer_seconds = answer_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: dict[Ticket, asyncio.Future[Durability]] = {}
        self._by_deadline: deque[Ticket] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._held_bytes = 0
        self._silent_since: float | None = None
        self._verdicts: deque[tuple[Ticket, BaseException | None, int]] = deque()
        self._called = False
        self._stopping = False

    def start(self) -> None:
        """Begin to connect; the broker may be away."""
        self._loop = asyncio.get_running_loop()
        self._thread.start(self._on_verdict)

    async def stop(self) -> None:
        """Give up what is open and end the thread, which flushes what it was handed."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        for future in self._open.values():
            if not future.done():
                future.set_result(Unavailable("stopping"))
        if self._loop is not None:
            await asyncio.to_thread(self._thread.stop)

    def fault(self) -> str | None:
        """Return why records cannot be stored at present, or None. May be asked from any thread."""
        since = self._silent_since
        if since is not None and (silence := time.monotonic() - since) > SILENT_AFTER_SECONDS:
            return f"Kafka has not acknowledged anything for {silence:.0f} s"
        return self._thread.trouble

    def append(self, records: Sequence[Record]) -> "asyncio.Future[Durability]":
        """Send the records in order; the future is always resolved within `answer_seconds`, never with an exception."""
        future: asyncio.Future[Durability] = asyncio.get_running_loop().create_future()
        if self._loop is None or self._stopping:
            future.set_result(Unavailable("starting" if self._loop is None else "stopping"))
            return future
        for record in records:
            if len(record.value) > MAX_RECORD_BYTES:
                future.set_result(TooLarge(record.topic, len(record.value)))
                return future
        ticket = Ticket(records, sum(len(record.value) for record in records), time.monotonic() + self._answer_seconds)
        self._open[ticket] = future
        self._expect(ticket)
        if self._held_bytes + ticket.size > MAX_HELD_BYTES:
            ticket.given_up = True  # waits for its deadline unsent: the sender is slowed down, not turned away at once
            return future
        self._held_bytes += ticket.size
        if self._silent_since is None:
            self._silent_since = time.monotonic()
        self._thread.hand_over(ticket)
        return future

    def _expect(self, ticket: Ticket) -> None:
        while self._by_deadline and self._by_deadline[0] not in self._open:
            self._by_deadline.popleft()
        self._by_deadline.append(ticket)
        if self._timer is None:
            self._wait_for_the_oldest()

    def _wait_for_the_oldest(self) -> None:
        assert self._loop is not None
        delay = max(0.0, self._by_deadline[0].deadline - time.monotonic())
        self._timer = self._loop.call_later(delay, self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._by_deadline and (self._by_deadline[0].deadline <= now or self._by_deadline[0] not in self._open):
            ticket = self._by_deadline.popleft()
            future = self._open.get(ticket)
            if future is not None:
                self._give_up(ticket, future)
        if self._by_deadline:
            self._wait_for_the_oldest()

    def _give_up(self, ticket: Ticket, future: "asyncio.Future[Durability]") -> None:
        del self._open[ticket]
        overloaded = ticket.given_up
        if not overloaded and self._thread.take_back(ticket):
            self._release(ticket)
        self._resolve(future, Unavailable("overloaded" if overloaded else "deadline"))

    def _on_verdict(self, ticket: Ticket, error: BaseException | None, decided: int) -> None:
        """Any thread: `decided` records of a ticket were acknowledged (`error` None) or failed."""
        self._verdicts.append((ticket, error, decided))
        if not self._called:
            self._called = True
            assert self._loop is not None
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._called = False  # before the first look: a verdict that comes meanwhile calls again
        acknowledged = False
        while self._verdicts:
            ticket, error, decided = self._verdicts.popleft()
            acknowledged = acknowledged or error is None
            if ticket.left > 0:
                self._count_down(ticket, error, decided)
        if acknowledged and self._held_bytes:
            self._silent_since = time.monotonic()

    def _count_down(self, ticket: Ticket, error: BaseException | None, decided: int) -> None:
        ticket.left = max(0, ticket.left - decided)
        ticket.error = ticket.error or error
        if ticket.left == 0:
            self._release(ticket)
            self._thread.forget(ticket)
        if (ticket.left == 0 or error is not None) and (future := self._open.pop(ticket, None)) is not None:
            self._resolve(future, self._durability(ticket))

    def _release(self, ticket: Ticket) -> None:
        self._held_bytes -= ticket.size
        if not self._held_bytes:
            self._silent_since = None

    def _durability(self, ticket: Ticket) -> Durability:
        if ticket.error is None:
            return Stored()
        if type(ticket.error).__name__ in ("MessageSizeTooLargeError", "RecordListTooLargeError"):
            largest = max(ticket.records, key=lambda record: len(record.value))
            return TooLarge(largest.topic, len(largest.value))
        return Unavailable(type(ticket.error).__name__)

    def _resolve(self, future: "asyncio.Future[Durability]", durability: Durability) -> None:
        if isinstance(durability, Unavailable):
            self._metrics.log_failures.labels(durability.reason).inc()
        if not future.done():
            future.set_result(durability)
