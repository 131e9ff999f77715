"""Six workers that each believe to own everything, on one database: the result is the plain fold, each effect once."""

import random
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, func, select
from sqlalchemy.exc import DBAPIError

from services.common.clock import utc_now
from services.common.database import insert_for, open_engine
from services.common.inbox import Conflict, Move, Position, Source, inbox_tables
from services.common.outbox import Saying, outbox_table

META = MetaData()
INBOX, OUTBOX = inbox_tables(META), outbox_table(META)
FOLDS = Table(
    "folds",
    META,
    Column("patient", String(20), primary_key=True),
    Column("number", Integer),
    Column("digest", Integer),
)
PARTITIONS, EVENTS, WORKERS = 3, 300, 6
Fold = dict[str, tuple[int, int]]


def log_of(partition: int) -> list[tuple[str, int]]:
    dice = random.Random(partition)
    return [(f"p{partition}-{dice.randrange(4)}", dice.randrange(1000)) for _ in range(EVENTS)]


LOGS = {Source("events", partition): log_of(partition) for partition in range(PARTITIONS)}


def fold(state: Fold, patient: str, value: int) -> None:
    """Depends on the order and on the number of times."""
    count, digest = state.get(patient, (0, 0))
    state[patient] = (count + 1, (digest * 31 + value) % 1_000_003)


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    engine = open_engine(store_url)
    META.create_all(engine)
    with engine.begin() as db:
        INBOX.begin(db, dict.fromkeys(LOGS, 0))
    yield engine
    engine.dispose()


def take(engine: Engine, work: dict[Source, tuple[Position, int]]) -> dict[Source, Position]:
    with engine.begin() as db:
        after = INBOX.advance(db, {source: Move(at, at.next + count) for source, (at, count) in work.items()})
        state = {row.patient: (row.number, row.digest) for row in db.execute(select(FOLDS))}
        sayings = []
        for source, (at, count) in work.items():
            for offset in range(at.next, at.next + count):
                fold(state, *LOGS[source][offset])
                sayings.append(Saying(f"{source.partition}:{offset}", source.partition, "said", None, b"x"))
        mine = {log[0] for source in work for log in LOGS[source]}
        insert = insert_for(db)(FOLDS)
        upsert = insert.on_conflict_do_update(
            index_elements=["patient"], set_={"number": insert.excluded.number, "digest": insert.excluded.digest}
        )
        rows = [{"patient": p, "number": c, "digest": h} for p, (c, h) in sorted(state.items()) if p in mine]
        if rows:
            db.execute(upsert, rows)
        OUTBOX.say(db, sayings, utc_now())
    return after


def zombie(url: str, seed: int, conflicts: list[int]) -> None:
    engine, dice = open_engine(url), random.Random(seed)
    known: dict[Source, Position] = {}
    while True:
        try:
            if len(known) < PARTITIONS:
                with engine.begin() as db:
                    known = INBOX.positions(db, "events", range(PARTITIONS))
            if all(at.next == EVENTS for at in known.values()):
                break
            chosen = dice.sample(list(LOGS), dice.randrange(1, PARTITIONS + 1))
            known |= take(engine, {s: (known[s], min(dice.randrange(12), EVENTS - known[s].next)) for s in chosen})
        except Conflict as conflict:
            conflicts[seed] += 1
            for source in conflict.sources:
                known.pop(source)
        except DBAPIError:
            known = {}
    engine.dispose()


def test_six_zombies_on_one_database_leave_exactly_the_plain_fold(engine: Engine, store_url: str) -> None:
    conflicts = [0] * WORKERS
    threads = [threading.Thread(target=zombie, args=(store_url, seed, conflicts)) for seed in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    expected: Fold = {}
    for log in LOGS.values():
        for patient, value in log:
            fold(expected, patient, value)
    with engine.begin() as db:
        found = {row.patient: (row.number, row.digest) for row in db.execute(select(FOLDS))}
        effects = db.scalars(select(OUTBOX.rows.c.effect)).all()
        said = db.scalar(select(func.count()).select_from(OUTBOX.rows))
    assert found == expected
    assert set(effects) == {f"{partition}:{offset}" for partition in range(PARTITIONS) for offset in range(EVENTS)}
    assert said == PARTITIONS * EVENTS
    assert sum(conflicts) > 0, "nobody was ever fenced: the test has not tried anything"
