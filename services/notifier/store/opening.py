"""Open the notifier's store."""

from pathlib import Path

from sqlalchemy import Engine

from services.common.migrations import Migrations
from services.notifier.store.tables import inbox

MIGRATIONS = Migrations(Path(__file__).parent / "migrations", lock=0x1AE_A0717)


def open_store(url: str) -> Engine:
    """Return the engine of a store at this version. Raises Misconfigured, and database errors while it is away."""
    return MIGRATIONS.open(url)


def store_id(engine: Engine) -> str:
    """Return the name of this store."""
    with engine.begin() as db:
        return inbox.identify(db)
