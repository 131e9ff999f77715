import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, exc, select, text

from services.common.database import (
    DatabaseHeld,
    Instant,
    durability_faults,
    from_microseconds,
    hold,
    is_poison,
    open_engine,
    reading,
    to_microseconds,
)

META = MetaData()
NOTES = Table("notes", META, Column("n", Integer, primary_key=True), Column("at", Instant))


def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deeper/store.db"


def made(engine: Engine) -> Engine:
    META.create_all(engine)
    return engine


def test_an_instant_comes_back_to_the_microsecond_and_in_utc(tmp_path: Path) -> None:
    engine = made(open_engine(sqlite_url(tmp_path)))
    at = datetime(2026, 3, 1, 8, 0, 0, 123457, tzinfo=timezone(timedelta(hours=8)))
    with engine.begin() as db:
        db.execute(NOTES.insert(), {"n": 1, "at": at})
        found = db.scalar(select(NOTES.c.at))
    engine.dispose()
    assert found == at
    assert found is not None
    assert found.tzinfo is UTC
    assert from_microseconds(to_microseconds(at)) == at


def test_a_naive_time_is_never_stored(tmp_path: Path) -> None:
    engine = made(open_engine(sqlite_url(tmp_path)))
    with pytest.raises(exc.StatementError, match="aware"), engine.begin() as db:
        db.execute(NOTES.insert(), {"n": 1, "at": datetime(2026, 3, 1)})  # noqa: DTZ001 - that is the fault
    engine.dispose()


def test_a_new_store_is_durable_as_it_stands(tmp_path: Path) -> None:
    engine = open_engine(sqlite_url(tmp_path))
    assert durability_faults(engine) == []
    engine.dispose()


def test_a_store_that_may_lose_a_commit_is_reported(tmp_path: Path) -> None:
    from sqlalchemy import event

    engine = open_engine(sqlite_url(tmp_path))

    @event.listens_for(engine, "connect")
    def careless(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    assert durability_faults(engine) == ["the database has synchronous = 0, but 2 is needed"]
    engine.dispose()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    engine = made(open_engine(sqlite_url(tmp_path)))
    with engine.begin() as writer:
        writer.execute(NOTES.insert(), {"n": 1})
        with reading(engine) as db:
            assert db.scalars(select(NOTES.c.n)).all() == []
    with reading(engine) as db:
        assert db.scalars(select(NOTES.c.n)).all() == [1]
    engine.dispose()


def test_a_full_disk_is_a_passing_trouble_and_nothing_of_the_transaction_stands(tmp_path: Path) -> None:
    engine = made(open_engine(sqlite_url(tmp_path), max_pages=8))
    with engine.begin() as db:
        db.execute(text("CREATE TABLE ballast (b BLOB)"))

    def fill() -> None:
        with engine.begin() as db:
            db.execute(NOTES.insert(), {"n": 2})
            db.execute(text("INSERT INTO ballast VALUES (zeroblob(100000))"))

    with pytest.raises(exc.OperationalError, match="full") as problem:
        fill()
    assert not is_poison(problem.value)
    with reading(engine) as db:
        assert db.scalars(select(NOTES.c.n)).all() == []
    engine.dispose()


def test_content_the_database_refuses_is_poison(tmp_path: Path) -> None:
    engine = made(open_engine(sqlite_url(tmp_path)))

    def twice() -> None:
        with engine.begin() as db:
            db.execute(NOTES.insert(), [{"n": 1}, {"n": 1}])

    with pytest.raises(exc.IntegrityError) as problem:
        twice()
    assert is_poison(problem.value)
    engine.dispose()


def test_only_one_process_holds_a_file(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    with hold(url), pytest.raises(DatabaseHeld, match="another process"), hold(url):
        pass
    with hold(url):
        pass


def test_an_error_names_the_statement_and_none_of_its_values(tmp_path: Path) -> None:
    engine = open_engine(sqlite_url(tmp_path))
    with pytest.raises(exc.OperationalError) as caught, engine.begin() as db:
        db.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Zorblax"})
    engine.dispose()
    assert "nowhere" in str(caught.value)
    assert "Zorblax" not in str(caught.value)


def test_a_new_store_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    engine = made(open_engine(sqlite_url(tmp_path)))
    with engine.begin() as db:
        db.execute(NOTES.insert(), {"n": 1})
        open_to_others = {file.name: file.stat().st_mode & 0o077 for file in (tmp_path / "deeper").iterdir()}
    engine.dispose()
    assert open_to_others == {"store.db": 0, "store.db-wal": 0, "store.db-shm": 0}
