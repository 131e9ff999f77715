"""Hand queued messages to their channels, the most urgent first, several at once, each channel for itself.

One loop takes what is due and writes what became of it in one transaction; a few threads per channel talk to carriers.
A carrier that is slow or away holds up its own channel only. Killed at any moment, what was taken is taken again after
its lease, with the same Message-ID.
"""

import queue as queues
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.common.database import PASSING
from services.notifier.adapters.port import Channel, Outcome, retry
from services.notifier.app.letters import Writer
from services.notifier.app.results import settle
from services.notifier.app.work import Bench
from services.notifier.store import queue
from services.notifier.store.queue import Item

LEASE = timedelta(seconds=120)
"""Longer than any attempt: connection, log-in and each command have the channel's own timeout."""

EVERY_SECONDS = 1.0
STOP_SECONDS = 12.0

log = structlog.get_logger("sender")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt."""

    item: Item
    outcome: Outcome
    seconds: float
    at: datetime


class Lane:
    """One channel with its threads."""

    def __init__(self, channel: Channel, parallel: int, name: str) -> None:
        self.channel, self.parallel, self.in_hand = channel, parallel, 0
        self.pool = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix=f"send-{name}")

    @property
    def free(self) -> int:
        """How many more may be in hand: some more than are on the way, so that no thread waits for the store."""
        return 2 * self.parallel - self.in_hand

    def close(self) -> None:
        """Begin nothing more; what is on the way ends by itself."""
        self.pool.shutdown(wait=False, cancel_futures=True)


class Sender(threading.Thread):
    """Sends until stopped. `open_lanes` makes the channels of the site; asked again when the site's files change."""

    def __init__(self, bench: Bench, writer: Writer, open_lanes: Callable[[], dict[str, Lane]]) -> None:
        super().__init__(name="sender", daemon=True)
        self._bench, self._writer, self._open_lanes = bench, writer, open_lanes
        self._lanes = open_lanes()
        self._results: queues.SimpleQueue[Result] = queues.SimpleQueue()
        self._kept: list[Result] = []
        self._wake, self._stopping, self._reopen = threading.Event(), threading.Event(), threading.Event()
        self._spread = random.Random()  # noqa: S311 - spreads attempts, guards nothing
        self.trouble: str | None = None
        self.failed: BaseException | None = None

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def reopen(self) -> None:
        """The site's channels have changed."""
        self._reopen.set()
        self._wake.set()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Take nothing more, wait for what is on the way, write what became of it."""
        self._stopping.set()
        self._wake.set()
        if self.is_alive():
            self.join(timeout)

    def run(self) -> None:
        """Go round."""
        try:
            while not self._stopping.is_set():
                self._wake.wait(EVERY_SECONDS)
                self._wake.clear()
                self._round()
            self._finish()
        except BaseException as problem:
            self.failed = problem
            log.exception("sender ended")

    def _round(self) -> None:
        if self._reopen.is_set():
            self._reopen.clear()
            self._change_lanes()
        try:
            self.once()
            self.trouble = None
        except PASSING as problem:
            self.trouble = f"the store cannot be written: {type(problem).__name__}"
            self._bench.metrics.retries.labels("sender", "store").inc()
            log.warning("not sending", trouble=self.trouble)
            self._stopping.wait(1.0)
            self._wake.set()

    def _change_lanes(self) -> None:
        """What is on the way over an old lane still comes back; its item is not taken twice meanwhile."""
        former, self._lanes = self._lanes, self._open_lanes()
        for lane in former.values():
            lane.close()

    def once(self, *, take: bool = True) -> int:
        """Write results and take what is due, in one transaction; returns how many were taken."""
        while not self._results.empty():
            self._kept.append(self._results.get())
        lanes = self._lanes if take else {}
        taken: list[tuple[Lane, Item]] = []
        with self._bench.engine.begin() as db:
            acting = self._bench.join(db)
            for result in self._kept:
                settle(acting, result.item, result.outcome, result.seconds, self._spread.random(), result.at)
            for name, lane in lanes.items():
                if lane.free > 0:
                    taken += [(lane, item) for item in queue.take(db, name, acting.now, lane.free, LEASE)]
        for result in self._kept:
            self._observe(result)
        wrote, self._kept = bool(self._kept), []
        if wrote:
            self._bench.metrics.add(acting.counts)
            self._bench.wake_relay()
        for lane, item in taken:
            lane.in_hand += 1
            lane.pool.submit(self._attempt, lane, item)
        self._bench.beat("sender")
        return len(taken)

    def _attempt(self, lane: Lane, item: Item) -> None:
        """Run in a lane's thread: compose, send, report. Whatever happens, a result comes back."""
        began = time.monotonic()
        try:
            outcome = lane.channel.send(self._writer.write(item))
        except Exception:
            log.exception("attempt failed", item=item.item_id, channel=item.channel)
            outcome = retry("failed in the notifier")
        seconds = time.monotonic() - began
        lane.in_hand -= 1
        self._results.put(Result(item, outcome, seconds, self._bench.now()))
        self._wake.set()

    def _observe(self, result: Result) -> None:
        metrics, item = self._bench.metrics, result.item
        metrics.send_seconds.labels(item.channel).observe(result.seconds)
        log.info(
            "attempt",
            item=item.item_id,
            kind=item.kind,
            urgency=item.urgency,
            channel=item.channel,
            outcome=result.outcome.kind,
            detail=result.outcome.detail,
            attempt=item.attempts + 1,
            patient_ref=item.patient_ref,
            seconds=round(result.seconds, 3),
        )

    def _finish(self) -> None:
        """Wait for what is on the way and write it; what does not come back is taken again after its lease."""
        lanes: Sequence[Lane] = tuple(self._lanes.values())
        for lane in lanes:
            lane.close()
        deadline = time.monotonic() + STOP_SECONDS - 2
        while any(thread.is_alive() for lane in lanes for thread in lane.pool._threads) and time.monotonic() < deadline:  # noqa: SLF001
            self._wake.wait(0.1)
            self._wake.clear()
        try:
            self.once(take=False)
        except PASSING as problem:
            log.warning("results not written; those messages are sent again", problem=type(problem).__name__)
        for lane in lanes:
            lane.channel.close()
