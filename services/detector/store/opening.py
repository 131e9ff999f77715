"""Open the detector's store, or look at it without changing it."""

from pathlib import Path

from sqlalchemy import Engine, make_url

from services.common.database import durability_faults, is_sqlite, open_engine
from services.common.migrations import Migrations
from services.detector.store.tables import INBOX

MIGRATIONS = Migrations(Path(__file__).parent / "migrations", lock=0x1AE_DE7EC)


def open_store(url: str) -> Engine:
    """Return the engine of a store at this version. Raises Misconfigured, and database errors while it is away."""
    return MIGRATIONS.open(url)


def store_faults(url: str) -> list[str]:
    """Return a sentence per fault of a store, which is looked at and not changed. Raises while it is away."""
    file = make_url(url).database if is_sqlite(url) else None
    if file is not None and not Path(file).exists():
        return []  # the first start makes it
    engine = open_engine(url)
    try:
        return durability_faults(engine)
    finally:
        engine.dispose()


def store_id(engine: Engine) -> str:
    """Return the name of this store."""
    with engine.begin() as db:
        return INBOX.identify(db)
