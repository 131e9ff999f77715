"""What the parts of the notifier share: a store, a site, the time, metrics, and how they wake each other."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from services.common.clock import Now
from services.notifier.metrics import Metrics
from services.notifier.rulebook.site import SiteFiles
from services.notifier.store.acting import Acting, Topics


def _nobody() -> None:
    return None


@dataclass(slots=True)
class Bench:
    """Handed to every part. `wake_sender` and `wake_relay` are set once those exist."""

    engine: Engine
    site: SiteFiles
    topics: Topics
    key: bytes = field(repr=False)
    now: Now
    metrics: Metrics
    beats: dict[str, float] = field(default_factory=dict)
    """Monotonic time at which each part last went round."""
    wake_sender: Callable[[], None] = _nobody
    wake_relay: Callable[[], None] = _nobody

    @contextmanager
    def acting(self) -> Iterator[Acting]:
        """Open a transaction; once it has committed, count what it counted and wake who has new work."""
        with self.engine.begin() as db:
            acting = self.join(db)
            yield acting
        self.acted(acting)

    def join(self, db: Connection) -> Acting:
        """Act in a transaction that the caller has opened and whose counts the caller adds."""
        return Acting(db, self.site.current(), self.topics, self.key, self.now())

    def acted(self, acting: Acting) -> None:
        """Do what follows a committed transaction."""
        self.metrics.add(acting.counts)
        self.wake_sender()
        self.wake_relay()

    def beat(self, part: str) -> None:
        """Say that a part has gone round once more."""
        self.beats[part] = time.monotonic()
        self.metrics.heartbeat.labels(part).set(self.now().timestamp())
