from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, MetaData

from services.common.database import open_engine
from services.common.inbox import FAR, Conflict, Move, Position, Source, gap, inbox_tables, pick

META = MetaData()
INBOX = inbox_tables(META)
A, B = Source("events", 0), Source("events", 1)


@dataclass(frozen=True)
class Fetched:
    source: Source
    offset: int


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    engine = open_engine(store_url)
    META.create_all(engine)
    with engine.begin() as db:
        INBOX.begin(db, {A: 0, B: 7})
    yield engine
    engine.dispose()


def positions(engine: Engine) -> dict[Source, Position]:
    with engine.begin() as db:
        return INBOX.positions(db, "events", [0, 1, 2])


def move(engine: Engine, moves: dict[Source, Move]) -> dict[Source, Position]:
    with engine.begin() as db:
        return INBOX.advance(db, moves)


def test_a_source_begins_once_and_then_keeps_its_position(engine: Engine) -> None:
    with engine.begin() as db:
        INBOX.begin(db, {A: 99})
    assert positions(engine) == {A: Position(0, 0), B: Position(7, 0)}


def test_moving_on_returns_the_positions_that_hold_after_the_commit(engine: Engine) -> None:
    after = move(engine, {B: Move(Position(7, 0), 9), A: Move(Position(0, 0), 5)})
    assert after == {A: Position(5, 1), B: Position(9, 1)} == positions(engine)


def test_time_alone_moves_the_version_so_that_two_workers_cannot_both_act(engine: Engine) -> None:
    assert move(engine, {A: Move(Position(0, 0), 0)}) == {A: Position(0, 1)}
    with pytest.raises(Conflict):
        move(engine, {A: Move(Position(0, 0), 0)})


def test_whoever_comes_second_writes_nothing_at_all(engine: Engine) -> None:
    move(engine, {A: Move(Position(0, 0), 5)})
    with pytest.raises(Conflict) as conflict:
        move(engine, {A: Move(Position(0, 0), 3), B: Move(Position(7, 0), 9)})
    assert conflict.value.sources == (A,)
    assert positions(engine)[B] == Position(7, 0)


def test_a_source_that_never_began_cannot_be_moved(engine: Engine) -> None:
    with pytest.raises(Conflict):
        move(engine, {Source("events", 2): Move(Position(0, 0), 1)})


def test_a_topic_made_anew_is_recognised(engine: Engine) -> None:
    with engine.begin() as db:
        assert INBOX.recognise(db, "events", "first-id", 12) is None
        assert INBOX.recognise(db, "events", "first-id", 12) is None
        assert "made anew" in str(INBOX.recognise(db, "events", "second-id", 12))
        assert "24 partitions" in str(INBOX.recognise(db, "events", "first-id", 24))


def test_a_store_has_one_name_for_ever(engine: Engine) -> None:
    with engine.begin() as db:
        name = INBOX.identify(db)
    with engine.begin() as db:
        assert INBOX.identify(db) == name
    assert len(name) == 12


@pytest.mark.parametrize(
    ("begin", "next_offset", "end", "fault"),
    [
        pytest.param(0, 0, 0, False, id="an empty topic"),
        pytest.param(5, 5, 9, False, id="next is the oldest"),
        pytest.param(5, 9, 9, False, id="next is the end"),
        pytest.param(6, 5, 9, True, id="deleted unprocessed"),
        pytest.param(0, 10, 9, True, id="beyond the end"),
    ],
)
def test_records_that_are_gone_are_a_fault(begin: int, next_offset: int, end: int, fault: bool) -> None:
    assert (gap(A, Position(next_offset, 0), begin, end) is not None) is fault


@pytest.mark.parametrize(
    ("offsets", "taken", "astray"),
    [
        pytest.param([10, 11, 12], [10, 11, 12], None, id="in order"),
        pytest.param([8, 9, 10], [10], None, id="repeated first"),
        pytest.param([11, 12], [], 10, id="one was skipped"),
        pytest.param([10, 12, 13], [10], 11, id="one was skipped in the middle"),
        pytest.param([12, 10, 11, 12], [10, 11, 12], None, id="skipped and then brought"),
        pytest.param([10, 10, 11], [10, 11], None, id="twice"),
        pytest.param([], [], None, id="nothing"),
    ],
)
def test_only_what_is_next_is_taken(offsets: list[int], taken: list[int], astray: int | None) -> None:
    picked = pick({A: Position(10, 3)}, [Fetched(A, offset) for offset in offsets])
    assert [record.offset for record in picked.work.get(A, [])] == taken
    assert picked.astray.get(A) == astray


def test_records_far_below_are_not_waited_through() -> None:
    far_below = pick({A: Position(10 + FAR, 0)}, [Fetched(A, 9)])
    assert far_below.astray == {A: 10 + FAR}
    assert pick({A: Position(10 + FAR, 0)}, [Fetched(A, 10)]).astray == {}


def test_what_is_no_longer_ours_is_left_alone() -> None:
    picked = pick({B: Position(0, 0)}, [Fetched(A, 0)])
    assert picked.work == {}
    assert picked.astray == {}


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(0, 30))
def test_whatever_is_brought_what_is_taken_has_no_hole_and_no_repeat(offsets: list[int], next_offset: int) -> None:
    taken = pick({A: Position(next_offset, 0)}, [Fetched(A, offset) for offset in offsets]).work.get(A, [])
    assert [record.offset for record in taken] == list(range(next_offset, next_offset + len(taken)))
