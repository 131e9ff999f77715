import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from services.ingest.adapters.event_log import MAX_RECORD_BYTES, EventLog, Record, Stored, TooLarge, Unavailable
from services.ingest.adapters.producer_thread import ProducerThread
from services.ingest.metrics import IngestMetrics

SOON = 5.0


class FakeFuture:
    def __init__(self) -> None:
        self.stored: list[Callable[[object], None]] = []
        self.failed: list[Callable[[BaseException], None]] = []

    def add_callback(self, call: Callable[[object], None]) -> "FakeFuture":
        self.stored.append(call)
        return self

    def add_errback(self, call: Callable[[BaseException], None]) -> "FakeFuture":
        self.failed.append(call)
        return self


class FakeProducer:
    """Keeps what it is sent until the test says what becomes of it; `raises` fails `send` itself."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.sent: list[tuple[str, bytes | None]] = []
        self.futures: list[FakeFuture] = []
        self.closed = threading.Event()
        self.arrived = threading.Semaphore(0)
        self.raises = raises

    def send(self, topic: str, value: bytes | None = None, key: bytes | None = None) -> FakeFuture:
        if self.raises is not None:
            raise self.raises
        self.sent.append((topic, value))
        self.futures.append(FakeFuture())
        return self.futures[-1]

    def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def close(self, timeout: float | None = None) -> None:
        self.closed.set()

    def acknowledge(self, number: int) -> None:
        for call in self.futures[number].stored:
            call(object())

    def fail(self, number: int, error: BaseException) -> None:
        for call in self.futures[number].failed:
            call(error)


class Cluster:
    """Hands out producers in turn; `away` makes it refuse."""

    def __init__(self, *producers: FakeProducer) -> None:
        self.producers = list(producers)
        self.made: list[FakeProducer] = []
        self.away = False

    def make(self) -> FakeProducer:
        if self.away or not self.producers:
            raise ConnectionError("no broker")
        self.made.append(self.producers.pop(0))
        return self.made[-1]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


@asynccontextmanager
async def a_log(cluster: Cluster, *, answer_seconds: float = SOON) -> AsyncIterator[EventLog]:
    metrics = IngestMetrics(CollectorRegistry())
    log = EventLog(ProducerThread(cluster.make, ("t",)), metrics, answer_seconds=answer_seconds)
    log.start()
    try:
        yield log
    finally:
        await log.stop()


async def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not reached():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def records(*values: bytes) -> list[Record]:
    return [Record("t", b"k", value) for value in values]


def test_an_append_is_stored_only_once_every_record_is_acknowledged() -> None:
    async def test() -> None:
        producer = FakeProducer()
        async with a_log(Cluster(producer)) as log:
            future = log.append(records(b"raw", b"event"))
            await until(lambda: len(producer.futures) == 2)
            producer.acknowledge(1)
            await asyncio.sleep(0.05)
            assert not future.done()
            producer.acknowledge(0)
            assert await future == Stored()
            assert log.fault() is None

    run(test())


def test_records_leave_in_the_order_of_their_appends() -> None:
    async def test() -> None:
        producer = FakeProducer()
        async with a_log(Cluster(producer)) as log:
            for number in range(50):
                log.append(records(b"%d" % number, b"%d'" % number))
            await until(lambda: len(producer.sent) == 100)
            expected = [value for number in range(50) for value in (b"%d" % number, b"%d'" % number)]
            assert [value for _, value in producer.sent] == expected

    run(test())


def test_a_broker_that_says_nothing_is_unavailable_at_the_deadline_and_a_late_word_changes_nothing() -> None:
    async def test() -> None:
        producer = FakeProducer()
        async with a_log(Cluster(producer), answer_seconds=0.1) as log:
            future = log.append(records(b"raw"))
            assert await future == Unavailable("deadline")
            producer.acknowledge(0)
            again = log.append(records(b"raw"))
            await until(lambda: len(producer.futures) == 2)
            producer.acknowledge(1)
            assert await again == Stored()

    run(test())


def test_after_any_failure_the_producer_is_closed_and_the_next_append_goes_to_a_new_one() -> None:
    async def test() -> None:
        dead, alive = FakeProducer(), FakeProducer()
        async with a_log(Cluster(dead, alive)) as log:
            first = log.append(records(b"raw", b"event"))
            await until(lambda: len(dead.futures) == 2)
            dead.acknowledge(0)
            dead.fail(1, TimeoutError())
            assert await first == Unavailable("TimeoutError")
            second = log.append(records(b"again"))
            await until(lambda: alive.futures)
            alive.acknowledge(0)
            assert await second == Stored()
            await until(dead.closed.is_set)
            assert not alive.closed.is_set()

    run(test())


def test_a_failure_in_send_itself_replaces_the_producer_too() -> None:
    async def test() -> None:
        dead, alive = FakeProducer(raises=TimeoutError()), FakeProducer()
        async with a_log(Cluster(dead, alive)) as log:
            assert await log.append(records(b"raw", b"event")) == Unavailable("TimeoutError")
            second = log.append(records(b"again"))
            await until(lambda: alive.futures)
            alive.acknowledge(0)
            assert await second == Stored()

    run(test())


def test_what_waits_while_no_broker_answers_is_sent_if_one_comes_back_in_time() -> None:
    async def test() -> None:
        producer = FakeProducer()
        cluster = Cluster(producer)
        cluster.away = True
        async with a_log(cluster) as log:
            future = log.append(records(b"raw"))
            await asyncio.sleep(0.2)
            assert log.fault() is not None
            cluster.away = False
            await until(lambda: producer.futures)
            producer.acknowledge(0)
            assert await future == Stored()
            assert log.fault() is None

    run(test())


def test_what_was_given_up_before_it_was_sent_is_never_sent() -> None:
    async def test() -> None:
        producer = FakeProducer()
        cluster = Cluster(producer)
        cluster.away = True
        async with a_log(cluster, answer_seconds=0.1) as log:
            assert await log.append(records(b"old")) == Unavailable("deadline")
            cluster.away = False
            await until(lambda: log.fault() is None)
            new = log.append(records(b"new"))
            await until(lambda: producer.futures)
            producer.acknowledge(0)
            assert await new == Stored()
            assert [value for _, value in producer.sent] == [b"new"]

    run(test())


def test_a_record_that_kafka_never_takes_is_refused_before_anything_is_sent() -> None:
    async def test() -> None:
        producer = FakeProducer()
        async with a_log(Cluster(producer)) as log:
            await until(lambda: log.fault() is None)
            too_large = records(b"raw", bytes(MAX_RECORD_BYTES + 1))
            assert await log.append(too_large) == TooLarge("t", MAX_RECORD_BYTES + 1)
            assert producer.sent == []

    run(test())


def test_a_stopping_log_resolves_what_is_open() -> None:
    async def test() -> None:
        async with a_log(Cluster(FakeProducer())) as log:
            future = log.append(records(b"raw"))
        assert await future == Unavailable("stopping")
        assert await log.append(records(b"raw")) == Unavailable("stopping")

    run(test())


def test_a_log_that_was_not_started_stores_nothing() -> None:
    async def test() -> None:
        log = EventLog(ProducerThread(FakeProducer, ("t",)), IngestMetrics(CollectorRegistry()), answer_seconds=1)
        assert await log.append(records(b"raw")) == Unavailable("starting")
        assert log.fault() == "waiting for Kafka"
        await log.stop()

    run(test())
