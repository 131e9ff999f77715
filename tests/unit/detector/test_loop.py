import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from services.common.clock import utc_now
from services.common.inbox import Source
from services.common.outbox import Unsaid
from services.detector.app.carrier import BrokerAway, Record
from services.detector.app.desk import Desk
from services.detector.app.loop import Loop, Pace
from services.detector.metrics import Metrics
from services.detector.store.opening import open_store
from services.detector.translate.outgoing import Names
from tests.unit.detector.events import TOPIC, a_report
from tests.unit.detector.minds import Recorder
from tests.unit.detector.test_desk import KEEP

A = Source(TOPIC, 0)


class Tape:
    """A carrier that brings what it is told to bring, and can be away."""

    def __init__(self) -> None:
        self.log = [a_report(f"e{n}") for n in range(40)]
        self.mine, self.is_away, self.refuses = {A}, False, 0
        self.sought: list[int] = []
        self.sent: list[Unsaid] = []
        self.acknowledged: list[int] = []

    def record(self, offset: int) -> Record:
        report = self.log[offset]
        acknowledge = lambda: self.acknowledged.append(offset)  # noqa: E731
        return Record(A, offset, report.patient_ref.encode(), report.encode(), acknowledge)

    def owned(self) -> set[Source]:
        return set(self.mine)

    def assigning(self) -> bool:
        return False

    def seek(self, source: Source, offset: int) -> None:
        self.sought.append(offset)

    async def beginnings(self, sources: Collection[Source]) -> dict[Source, int]:
        return self._answer(sources, 0)

    async def ends(self, sources: Collection[Source]) -> dict[Source, int]:
        return self._answer(sources, len(self.log))

    def _answer(self, sources: Collection[Source], offset: int) -> dict[Source, int]:
        if self.is_away:
            raise BrokerAway("away")
        return dict.fromkeys(sources, offset)

    async def send(self, message: Unsaid) -> Awaitable[object]:
        if self.refuses:
            self.refuses -= 1
            raise BrokerAway("refused")
        self.sent.append(message)
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Workshop:
    """A loop over a tape, a desk on a real store, and a database that can be made to fail."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.tape, self.registry = engine, Tape(), CollectorRegistry()
        metrics = Metrics(self.registry)
        self.desk = Desk(engine, Recorder(), Names.under(""), metrics, utc_now, KEEP)
        self.loop = Loop(self.tape, self.desk, Pace(batch=7, due_seconds=0.05), metrics, utc_now)
        self.failures: Iterator[object] = iter(())
        event.listen(engine, "commit", self._maybe_fail)

    def _maybe_fail(self, _db: object) -> None:
        for _ in itertools.islice(self.failures, 1):
            raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - many conditions, no event for each
                await asyncio.sleep(0.01)

    def said(self) -> list[bytes | None]:
        return [message.value for message in self.tape.sent]

    def next(self) -> int:
        return self.desk.positions([0])[A].next


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    yield engine
    engine.dispose()


def play(engine: Engine, scene: Callable[[Workshop], Awaitable[None]]) -> Workshop:
    async def whole() -> Workshop:
        shop = Workshop(engine)
        shop.loop.start()
        await scene(shop)
        await shop.loop.stop(10)
        return shop

    return asyncio.run(whole())


def test_what_comes_in_order_is_taken_said_and_acknowledged(engine: Engine) -> None:
    async def scene(shop: Workshop) -> None:
        for offset in range(20):
            await shop.loop.receive(shop.tape.record(offset))
        await shop.until(lambda: len(shop.tape.sent) == 20 and len(shop.tape.acknowledged) == 20)

    shop = play(engine, scene)
    assert shop.next() == 20
    assert len(set(shop.said())) == 20
    assert shop.desk.unsaid([0]) == []


def test_a_record_that_was_skipped_is_fetched_again_and_nothing_is_taken_out_of_turn(engine: Engine) -> None:
    async def scene(shop: Workshop) -> None:
        for offset in (0, 1, 3, 4):
            await shop.loop.receive(shop.tape.record(offset))
        await shop.until(lambda: bool(shop.tape.sought))
        for offset in range(2, 6):
            await shop.loop.receive(shop.tape.record(offset))
        await shop.until(lambda: len(shop.tape.sent) == 6)

    shop = play(engine, scene)
    assert shop.tape.sought[0] == 2
    assert shop.next() == 6


def test_when_nothing_comes_although_there_is_something_it_is_fetched(engine: Engine) -> None:
    async def scene(shop: Workshop) -> None:
        await shop.until(lambda: bool(shop.tape.sought))

    assert play(engine, scene).tape.sought[0] == 0


def test_a_database_that_is_full_for_a_while_loses_nothing_and_is_said(engine: Engine) -> None:
    async def scene(shop: Workshop) -> None:
        await shop.until(lambda: shop.loop.trouble() is None)
        shop.failures = itertools.repeat(None)
        for offset in range(10):
            await shop.loop.receive(shop.tape.record(offset))
        await shop.until(lambda: shop.loop.trouble() is not None)
        assert "disk is full" in str(shop.loop.trouble())
        assert shop.loop.sight().excused is not None
        shop.failures = iter(())
        await shop.until(lambda: len(shop.tape.sent) == 10)
        await shop.until(lambda: shop.loop.trouble() is None)

    shop = play(engine, scene)
    assert shop.next() == 10
    assert len(set(shop.said())) == 10


def test_a_broker_that_refuses_for_a_while_gets_every_message_in_the_end(engine: Engine) -> None:
    async def scene(shop: Workshop) -> None:
        shop.tape.refuses = 2
        for offset in range(5):
            await shop.loop.receive(shop.tape.record(offset))
        await shop.until(lambda: len(set(shop.said())) == 5)

    assert play(engine, scene).desk.unsaid([0]) == []


def test_a_broker_that_is_away_makes_us_unready_until_it_is_back(engine: Engine) -> None:
    async def scene(shop: Workshop) -> None:
        shop.tape.is_away = True
        await shop.until(lambda: "broker" in str(shop.loop.trouble()))
        shop.tape.is_away = False
        await shop.until(lambda: shop.loop.trouble() is None)

    play(engine, scene)


def test_partitions_that_are_no_longer_ours_are_left_alone(engine: Engine) -> None:
    async def scene(shop: Workshop) -> None:
        await shop.loop.receive(shop.tape.record(0))
        await shop.until(lambda: len(shop.tape.sent) == 1)
        shop.tape.mine = set()
        await shop.loop.receive(shop.tape.record(1))
        await shop.until(lambda: not shop.loop.seen.positions)
        assert shop.registry.get_sample_value("detector_heartbeat_seconds", {"partition": "0"}) is None

    assert play(engine, scene).next() == 1


def test_after_another_worker_moved_on_the_store_has_the_word(engine: Engine) -> None:
    async def scene(shop: Workshop) -> None:
        await shop.until(lambda: A in shop.loop.seen.positions)
        other = Desk(engine, Recorder(), Names.under(""), Metrics(CollectorRegistry()), utc_now, KEEP)
        other.apply({A: (other.positions([0])[A], [shop.tape.record(0), shop.tape.record(1)])})
        for offset in range(4):
            await shop.loop.receive(shop.tape.record(offset))
        await shop.until(lambda: len(shop.tape.sent) == 4)

    shop = play(engine, scene)
    assert shop.next() == 4
    assert len(set(shop.said())) == 4
    assert shop.registry.get_sample_value("detector_conflicts_total") == 1
