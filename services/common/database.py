"""Open the relational store of a service: SQLite on one machine, PostgreSQL where several workers share it.

A transaction that has committed is on the disk, and a transaction that writes has the right to write from its first
statement: nothing in the stores depends on the isolation level being better than READ COMMITTED.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import IO, Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Engine,
    LargeBinary,
    Table,
    create_engine,
    event,
    exc,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

PASSING = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError, OSError)
"""The database is away, full, locked or restarting: whether the last transaction stands is unknown; try again."""

POISON = (exc.DataError, exc.IntegrityError, exc.StatementError)
"""The database will never take this content. `PASSING` errors are StatementErrors too: ask `is_poison`."""

POSTGRES_SETTINGS = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",  # a worker stopped inside its transaction blocks the others no longer
    "synchronous_commit": "on",
    "timezone": "UTC",
}
SQLITE_SETTINGS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON", "cache_size=-16384")


class DatabaseHeld(Exception):
    """Another process works on this SQLite file."""


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored exactly as microseconds since 1970 UTC: the same order and index on both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Refuse naive times: they are a bug of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must be aware")
        return to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return UTC."""
        return None if value is None else from_microseconds(value)


class Bytes(LargeBinary):
    """Bytes as they are: both drivers take and give them, wrapping each one costs a tenth of a batch's writing."""

    def bind_processor(self, dialect: Dialect) -> None:
        """Nothing to do."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Nothing to do."""


def to_microseconds(at: datetime) -> int:
    """Return the exact number of microseconds since 1970 UTC of an aware time."""
    return (at - EPOCH) // MICROSECOND


def from_microseconds(count: int) -> datetime:
    """Return the aware UTC time of `to_microseconds`."""
    return EPOCH + count * MICROSECOND


def is_poison(problem: BaseException) -> bool:
    """Tell whether the database refused the content itself, so that trying again is pointless."""
    return isinstance(problem, POISON) and not isinstance(problem, PASSING)


def insert_for(bind: Engine | Connection) -> Callable[[Table], Any]:
    """Return the dialect's `insert`, which knows ON CONFLICT."""
    return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[bind.dialect.name]


def is_sqlite(url: str) -> bool:
    """Tell whether the store is one file of one process."""
    return make_url(url).get_backend_name() == "sqlite"


def open_engine(url: str, *, max_pages: int | None = None) -> Engine:
    """Return the engine of a store; nothing is connected yet.

    `max_pages` caps the size of an SQLite file (4 KiB each): writing past it fails like a full disk does.
    Errors name the statement, never its values: those are patients, and errors are logged.
    """
    return _open_sqlite(url, max_pages) if is_sqlite(url) else _open_postgres(url)


def _open_postgres(url: str) -> Engine:
    options = " ".join(f"-c {name}={value}" for name, value in POSTGRES_SETTINGS.items())
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=4,
        max_overflow=4,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "options": options,
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
        },
    )


def _open_sqlite(url: str, max_pages: int | None) -> Engine:
    file = make_url(url).database
    if file and file != ":memory:":
        _make_private(Path(file))
    engine = create_engine(url, connect_args={"timeout": 10}, pool_timeout=10, hide_parameters=True)
    settings = SQLITE_SETTINGS if max_pages is None else (*SQLITE_SETTINGS, f"max_page_count={max_pages}")

    @event.listens_for(engine, "connect")
    def on_connect(connection: SqliteConnection, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is ours, see below
        for setting in settings:
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def on_begin(db: Connection) -> None:
        # IMMEDIATE: a transaction that reads first and writes later would fail with SQLITE_BUSY and no waiting.
        db.exec_driver_sql("BEGIN" if db.get_execution_options().get("reading") else "BEGIN IMMEDIATE")

    return engine


def _make_private(file: Path) -> None:
    """Make a store that is not there yet readable by its owner alone; SQLite gives its side files the same rights."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads: it waits for no writer, and no writer for it."""
    with engine.connect().execution_options(reading=True) as db, db.begin():
        yield db


@contextmanager
def hold(url: str) -> Iterator[None]:
    """Keep other processes from working on the same SQLite file; PostgreSQL needs no such thing.

    Raises DatabaseHeld at once if another process holds it. The lock ends with the process, however it ends.
    """
    file = make_url(url).database
    if not is_sqlite(url) or not file or file == ":memory:":
        yield
        return
    lock = Path(f"{file}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as handle:
        _lock(handle, file)
        yield


def _lock(handle: IO[str], file: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DatabaseHeld(f"another process (pid {_holder(handle)}) works on {file}; stop it first") from None
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()


def _holder(handle: IO[str]) -> str:
    handle.seek(0)
    return handle.read(20).strip() or "unknown"


def durability_faults(engine: Engine) -> list[str]:
    """Return a sentence for each setting under which a committed transaction could be lost."""
    with reading(engine) as db:
        found = _sqlite_facts(db) if engine.dialect.name == "sqlite" else _postgres_facts(db)
    return [f"the database has {name} = {is_}, but {wanted} is needed" for name, is_, wanted in found if is_ != wanted]


def _sqlite_facts(db: Connection) -> Sequence[tuple[str, str, str]]:
    def ask(name: str) -> str:
        return str(db.exec_driver_sql(f"PRAGMA {name}").scalar()).lower()

    journal = ask("journal_mode")
    return () if journal == "memory" else (("journal_mode", journal, "wal"), ("synchronous", ask("synchronous"), "2"))


def _postgres_facts(db: Connection) -> Sequence[tuple[str, str, str]]:
    wanted = {"fsync": "on", "full_page_writes": "on", "transaction_isolation": "read committed"}
    facts = [(name, str(db.scalar(text(f"SHOW {name}"))), value) for name, value in wanted.items()]
    synchronous = str(db.scalar(text("SHOW synchronous_commit")))
    facts.append(("synchronous_commit", "on" if synchronous in ("on", "remote_apply") else synchronous, "on"))
    facts.append(("pg_is_in_recovery", str(db.scalar(text("SELECT pg_is_in_recovery()"))), "False"))
    return facts
