"""Slow down guessing: after a few failures a name, or an address, waits longer and longer.

In memory on purpose: a restart forgives, and nobody can fill the store by failing to sign in.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=1)
NAMES_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    last_at: datetime


class Limiter:
    """Counts failures per name; used by several threads."""

    def __init__(self, free_failures: int) -> None:
        self._free = free_failures
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, name: str, now: datetime) -> timedelta:
        """Return how long this name still has to wait; zero when it may try."""
        with self._lock:
            known = self._failures.get(name)
        if known is None or known.count < self._free or now - known.last_at > FORGOTTEN_AFTER:
            return timedelta(0)
        doublings: int = min(known.count - self._free, 10)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << doublings))
        return max(timedelta(0), known.last_at + pause - now)

    def failed(self, name: str, now: datetime) -> None:
        """Count a failure; the names that failed longest ago are forgotten first."""
        with self._lock:
            known = self._failures.pop(name, None)
            fresh = known is None or now - known.last_at > FORGOTTEN_AFTER
            self._failures[name] = _Failures(1 if fresh or known is None else known.count + 1, now)
            while len(self._failures) > NAMES_KEPT:
                self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forget a name's failures."""
        with self._lock:
            self._failures.pop(name, None)
