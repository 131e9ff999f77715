"""The thread that owns kafka-python's producer: makes it, hands it records, replaces it after any failure.

Law: the settings are those that were measured (docs/adr); an idempotent producer that has failed once is dead for good,
so after any exception of a future it is closed with a short timeout and a new one is made.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import structlog

log = structlog.get_logger("producer")

HOUSEKEEPING_SECONDS = 0.5
PROBE_SECONDS = 5.0
DELIVERY_SECONDS = 20.0
CLOSE_SECONDS = 1.0
STOP_SECONDS = 3.0

ALL = 1_000_000
Verdict = Callable[["Ticket", BaseException | None, int], None]
"""(ticket, error or None, how many of its records this decides; `ALL`: whatever is left)"""


class Sendable(Protocol):
    """A record as the producer takes it."""

    @property
    def topic(self) -> str:
        """Name in Kafka."""

    @property
    def key(self) -> bytes:
        """Decides on the partition."""

    @property
    def value(self) -> bytes:
        """The message."""


class Pending(Protocol):
    """What kafka-python answers to `send`."""

    def add_callback(self, call: Callable[[object], None]) -> object:
        """Call with the record's metadata once it is stored."""

    def add_errback(self, call: Callable[[BaseException], None]) -> object:
        """Call with what went wrong."""


class Producer(Protocol):
    """What is needed of kafka-python's KafkaProducer."""

    def send(self, topic: str, value: bytes | None = None, key: bytes | None = None) -> Pending:
        """Enqueue."""

    def partitions_for(self, topic: str) -> set[int] | None:
        """Fetch the topic's metadata, so that `send` does not wait for it."""

    def close(self, timeout: float | None = None) -> None:
        """Give up what is not yet sent after `timeout` seconds."""


@dataclass(slots=True, eq=False)
class Ticket:
    """Records that are answered for together. `left` counts those without a verdict; the event loop owns it."""

    records: Sequence[Sendable]
    size: int
    deadline: float
    left: int = 0
    error: BaseException | None = None
    given_up: bool = False
    line: "Line | None" = None

    def __post_init__(self) -> None:
        self.left = len(self.records)


@dataclass(slots=True, eq=False)
class Line:
    """One producer's life, and the tickets that it has not wholly decided."""

    producer: Producer
    broken: str | None = None
    open: set[Ticket] = field(default_factory=set)


class ProducerThread:
    """`make_producer` may raise while no broker answers; `probe` asks the broker something while nothing is sent."""

    def __init__(
        self,
        make_producer: Callable[[], Producer],
        topics: Sequence[str],
        *,
        probe: Callable[[], None] = lambda: None,
        on_new_producer: Callable[[], None] = lambda: None,
    ) -> None:
        self._make_producer, self._topics = make_producer, tuple(topics)
        self._probe, self._on_new_producer = probe, on_new_producer
        self._tickets: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._claim = threading.Lock()
        self._line: Line | None = None
        self._stopping = False
        self._probed_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self.trouble: str | None = "waiting for Kafka"
        """One sentence while no record can be sent, else None."""

    def start(self, verdict: Verdict) -> None:
        """Begin; `verdict` is called from threads, once per record that was taken."""
        self._verdict = verdict
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what was handed to the producer gets a few seconds to leave."""
        self._stopping = True
        self._tickets.put(None)
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS + CLOSE_SECONDS)

    def hand_over(self, ticket: Ticket) -> None:
        """Send the ticket's records in the order of calls."""
        self._tickets.put(ticket)

    def take_back(self, ticket: Ticket) -> bool:
        """Give the ticket up; tells whether it had not been sent, so that no verdict will come."""
        with self._claim:
            ticket.given_up = True
            return ticket.line is None

    def forget(self, ticket: Ticket) -> None:
        """All records of the ticket are decided."""
        if ticket.line is not None:
            ticket.line.open.discard(ticket)

    def _run(self) -> None:
        while not self._stopping:
            self._keep_a_line()
            ticket = self._next()
            if ticket is not None:
                self._send(ticket)
        if self._line is not None:
            _close(self._line, STOP_SECONDS)

    def _next(self) -> Ticket | None:
        try:
            ticket = self._tickets.get(timeout=HOUSEKEEPING_SECONDS)
        except queue.Empty:
            self._ask_the_broker()
            return None
        # Without a line that works the ticket waits for one until its deadline.
        while ticket is not None and not self._works() and not ticket.given_up and not self._stopping:
            self._keep_a_line()
        return ticket

    def _works(self) -> bool:
        return self._line is not None and self._line.broken is None

    def _keep_a_line(self) -> None:
        if self._works():
            return
        if self._line is not None:
            self._drop(self._line)
        try:
            producer = self._make_producer()
        except Exception as problem:  # noqa: BLE001 - whatever it was, the broker cannot be used now
            self.trouble = f"Kafka does not answer ({type(problem).__name__})"
            time.sleep(HOUSEKEEPING_SECONDS)
            return
        try:
            for topic in self._topics:
                producer.partitions_for(topic)
        except Exception as problem:  # noqa: BLE001 - the same
            self.trouble = f"Kafka does not know the topics ({type(problem).__name__})"
            _close(Line(producer), CLOSE_SECONDS)
            return
        self._line = Line(producer)
        self.trouble = None
        self._on_new_producer()
        log.info("producer ready")

    def _drop(self, line: Line) -> None:
        self._line = None
        self.trouble = f"a Kafka producer failed ({line.broken})"
        log.warning("producer replaced", problem=line.broken)
        # Closing takes seconds and its outcome does not matter: it must not delay the next producer.
        threading.Thread(target=self._bury, args=(line,), name="producer-close", daemon=True).start()

    def _bury(self, line: Line) -> None:
        _close(line, CLOSE_SECONDS)
        time.sleep(CLOSE_SECONDS)  # futures of a forced close fail a moment later
        for ticket in list(line.open):
            self._verdict(ticket, NeverResolved(), ALL)

    def _send(self, ticket: Ticket) -> None:
        line = self._line
        with self._claim:
            if ticket.given_up or line is None:
                return
            ticket.line = line
        line.open.add(ticket)
        for record in ticket.records:
            try:
                future = line.producer.send(record.topic, value=record.value, key=record.key)
            except Exception as problem:  # noqa: BLE001 - not enqueued, whatever it was
                line.broken = type(problem).__name__
                self._verdict(ticket, problem, ALL)
                return
            future.add_callback(partial(self._on_stored, ticket))
            future.add_errback(partial(self._on_failed, line, ticket))

    def _on_stored(self, ticket: Ticket, _metadata: object) -> None:
        self._verdict(ticket, None, 1)

    def _on_failed(self, line: Line, ticket: Ticket, error: BaseException) -> None:
        line.broken = type(error).__name__
        self._verdict(ticket, error, 1)

    def _ask_the_broker(self) -> None:
        """While nothing is sent, nothing would tell that the broker has gone."""
        line = self._line
        if line is None or line.open or time.monotonic() - self._probed_at < PROBE_SECONDS:
            return
        self._probed_at = time.monotonic()
        try:
            self._probe()
        except Exception as problem:  # noqa: BLE001 - whatever it was, the broker did not answer
            self.trouble = f"Kafka does not answer ({type(problem).__name__})"
        else:
            self.trouble = None


class NeverResolved(Exception):
    """A closed producer left this record without a verdict."""


def _close(line: Line, seconds: float) -> None:
    try:
        line.producer.close(timeout=seconds)
    except Exception as problem:  # noqa: BLE001 - it is thrown away in any case
        log.info("producer did not close", problem=type(problem).__name__)
