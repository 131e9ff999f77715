import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, MetaData

from services.common.clock import utc_now
from services.common.database import open_engine
from services.common.outbox import MAX_MESSAGE_BYTES, OutboxRelay, Saying, TooLarge, outbox_table

META = MetaData()
OUTBOX = outbox_table(META)


def saying(effect: str, partition: int = 0, value: bytes | None = b"v") -> Saying:
    return Saying(effect, partition, "alerts", b"k", value)


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    engine = open_engine(store_url)
    META.create_all(engine)
    yield engine
    engine.dispose()


def keep(engine: Engine, *sayings: Saying) -> None:
    with engine.begin() as db:
        OUTBOX.say(db, sayings, utc_now())


def waiting(engine: Engine) -> int:
    with engine.begin() as db:
        return OUTBOX.count(db)


class Broker:
    """Takes what its producers send; breaks them when told to, for good, as an idempotent producer breaks."""

    def __init__(self) -> None:
        self.said: list[bytes | None] = []
        self.producers = 0
        self.break_at: set[int] = set()
        self.changed = threading.Condition()

    def producer(self) -> "Producer":
        self.producers += 1
        return Producer(self)


class Producer:
    def __init__(self, broker: Broker) -> None:
        self.broker, self.broken, self.closed = broker, False, False

    def send(self, topic: str, value: bytes | None = None, key: bytes | None = None) -> "Future":
        assert not self.closed
        return Future(self, value)

    def close(self, timeout: float | None = None) -> None:
        self.closed = True
        raise RuntimeError("even closing fails")


class Future:
    def __init__(self, producer: Producer, value: bytes | None) -> None:
        self.producer, self.value = producer, value

    def get(self, timeout: float | None = None) -> object:
        broker = self.producer.broker
        with broker.changed:
            if self.producer.broken or len(broker.said) in broker.break_at:
                broker.break_at.discard(len(broker.said))
                self.producer.broken = True
                raise TimeoutError
            broker.said.append(self.value)
            broker.changed.notify_all()
        return None


def test_an_effect_is_kept_once_however_often_it_is_said(engine: Engine) -> None:
    keep(engine, saying("a"), saying("a"))
    keep(engine, saying("a"), saying("b"))
    with engine.begin() as db:
        rows = OUTBOX.unsaid(db)
    assert len(rows) == 2


def test_rows_come_in_the_order_they_were_kept_and_only_of_the_own_partitions(engine: Engine) -> None:
    keep(engine, saying("a", 1, b"1"), saying("b", 2, b"2"), saying("c", 1, b"3"))
    with engine.begin() as db:
        assert [row.value for row in OUTBOX.unsaid(db, [1])] == [b"1", b"3"]
        assert [row.value for row in OUTBOX.unsaid(db)] == [b"1", b"2", b"3"]
        assert OUTBOX.unsaid(db, []) == []


@pytest.mark.parametrize(
    ("size", "refused"),
    [pytest.param(MAX_MESSAGE_BYTES, False, id="just fits"), pytest.param(MAX_MESSAGE_BYTES + 1, True, id="too large")],
)
def test_what_the_broker_would_refuse_is_refused_before_it_is_kept(engine: Engine, size: int, refused: bool) -> None:
    if refused:
        with pytest.raises(TooLarge):
            keep(engine, saying("a", value=b"x" * size))
    else:
        keep(engine, saying("a", value=b"x" * size))
    assert waiting(engine) == (0 if refused else 1)


def test_the_age_of_the_oldest_row_is_known(engine: Engine) -> None:
    with engine.begin() as db:
        assert OUTBOX.oldest(db) is None
    before = utc_now()
    keep(engine, saying("a"))
    with engine.begin() as db:
        oldest = OUTBOX.oldest(db)
    assert oldest is not None
    assert before <= oldest <= utc_now()


def test_the_relay_publishes_everything_and_forgets_it(engine: Engine) -> None:
    broker = Broker()
    keep(engine, *(saying(f"e{n}", value=str(n).encode()) for n in range(1203)))
    assert OutboxRelay(engine, OUTBOX, broker.producer).drain() == 1203
    assert broker.said == [str(n).encode() for n in range(1203)]
    assert waiting(engine) == 0


def test_after_any_failure_the_producer_is_replaced_and_nothing_is_missing(engine: Engine) -> None:
    broker = Broker()
    broker.break_at = {3, 7}
    keep(engine, *(saying(f"e{n}", value=str(n).encode()) for n in range(10)))
    relay = OutboxRelay(engine, OUTBOX, broker.producer, every_seconds=0.01)
    relay.start()
    with broker.changed:
        assert broker.changed.wait_for(lambda: len(broker.said) >= 10, 30)
    relay.stop()
    assert sorted(filter(None, broker.said)) == [str(n).encode() for n in range(10)]
    assert broker.producers == 3
    assert waiting(engine) == 0


def test_rows_found_at_the_start_are_published_without_being_woken(engine: Engine) -> None:
    keep(engine, saying("left by a dead process"))
    broker = Broker()
    relay = OutboxRelay(engine, OUTBOX, broker.producer, every_seconds=0.01)
    relay.start()
    with broker.changed:
        assert broker.changed.wait_for(lambda: broker.said, 30)
    relay.stop()
    assert relay.trouble is None
