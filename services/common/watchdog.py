"""Ends a process that no longer makes progress, so that its supervisor starts a fresh one.

Stream clients can end up alive and idle. The judgement is pure; a thread of its own asks it every second, so that a
blocked event loop is seen too. A process that was itself stopped for a while starts with new patience.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from services.common.errors import EXIT_STUCK

STOPPED_SECONDS = 10.0
"""Asked every second: a longer pause means that the whole process was stopped."""

log = structlog.get_logger("watchdog")


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of a process at one moment."""

    beat: float
    """Monotonic time at which the loop last turned."""
    behind: Mapping[str, object] = field(default_factory=dict)
    """What has work waiting, by name, with a mark that changes with any progress."""
    unknown: str | None = None
    """What is not known although it should be (assignment, positions, ends)."""
    excused: str | None = None
    """A trouble that is seen, said and retried elsewhere (the database is away): waiting is right."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds each kind of standstill may last."""

    silent: float = 30.0
    stuck: float = 50.0
    unknown: float = 75.0


class Judge:
    """Remembers since when each mark stands still; `verdict` is asked about once a second."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._marks: dict[str, tuple[object, float]] = {}
        self._unknown_since: float | None = None
        self._asked_at: float | None = None
        self._grace_from = float("-inf")

    def verdict(self, sight: Sight, now: float) -> str | None:
        """Return a sentence if the process should end, given monotonic `now`."""
        if self._asked_at is not None and now - self._asked_at > STOPPED_SECONDS:  # we were stopped, so was the rest
            self.forget(now)
        self._asked_at = now
        return self._silent(sight, now) or self._stuck(sight, now) or self._lost(sight, now)

    def forget(self, now: float) -> None:
        """Begin with new patience."""
        self._marks, self._unknown_since, self._grace_from = {}, None, now

    def _silent(self, sight: Sight, now: float) -> str | None:
        silence = now - max(sight.beat, self._grace_from)
        return f"the event loop has not turned for {silence:.0f} s" if silence > self._patience.silent else None

    def _stuck(self, sight: Sight, now: float) -> str | None:
        if sight.excused is not None:
            self._marks = {}
            return None
        self._marks = {
            name: self._marks[name] if name in self._marks and self._marks[name][0] == mark else (mark, now)
            for name, mark in sight.behind.items()
        }
        late = [name for name, (_, since) in self._marks.items() if now - since > self._patience.stuck]
        return f"no progress for {self._patience.stuck:.0f} s: {', '.join(sorted(late))}" if late else None

    def _lost(self, sight: Sight, now: float) -> str | None:
        if sight.unknown is None or sight.excused is not None:
            self._unknown_since = None
            return None
        self._unknown_since = now if self._unknown_since is None else self._unknown_since
        lost = now - self._unknown_since > self._patience.unknown
        return f"{sight.unknown} for {self._patience.unknown:.0f} s" if lost else None


class Watchdog(threading.Thread):
    """Asks the judge every second and ends the process on its verdict.

    `excuse` is asked only before the end: a sentence (no broker can be reached) means that a fresh process would fare
    no better, and gives new patience.
    """

    def __init__(
        self,
        look: Callable[[], Sight],
        *,
        judge: Judge | None = None,
        excuse: Callable[[], str | None] = lambda: None,
        end: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._look, self._judge, self._excuse, self._end = look, judge or Judge(), excuse, end or end_process
        self._stopping = threading.Event()

    def run(self) -> None:
        """Watch until stopped."""
        while not self._stopping.wait(1.0):
            self.check(time.monotonic())

    def check(self, now: float) -> None:
        """Look once."""
        verdict = self._judge.verdict(self._look(), now)
        if verdict is None:
            return
        excuse = self._excuse()
        if excuse is None:
            self._end(verdict)
        else:
            log.warning("standing still, but excused", verdict=verdict, excuse=excuse)
            self._judge.forget(now)

    def stop(self) -> None:
        """Stop watching: the process is ending anyway."""
        self._stopping.set()


def end_process(reason: str, code: int = EXIT_STUCK) -> NoReturn:
    """Leave at once, without the clean-up that a stuck process would hang in: the store makes that harmless."""
    log.critical("ending the process", reason=reason)
    os._exit(code)
