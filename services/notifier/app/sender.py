"""Hand queued messages to their channels, the most urgent first, several at once, each channel for itself.

One loop takes what is due and writes what became of it in one transaction; a few threads per channel talk to carriers.
A carrier that is slow or away holds up its own channel only. Killed at any moment, what was taken is taken again after
its lease, with the same Message-ID.
"""

import json
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
from services.notifier.domain.delivery import Kind
from services.notifier.store import queue
from services.notifier.store.acting import Acting
from services.notifier.store.queue import Item

LEASE, RENEW_SECONDS = timedelta(seconds=20), 5.0
"""How long a taken message is ours unless we say so again: a dead sender's messages wait no longer than this."""

EVERY_SECONDS = 1.0
STOP_SECONDS = 12.0

log = structlog.get_logger("sender")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt."""

    lane: "Lane"
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

    def retire(self) -> None:
        """Begin nothing more; what is on the way ends by itself."""
        self.pool.shutdown(wait=False, cancel_futures=True)


class Sender(threading.Thread):
    """Sends until stopped. `open_lanes` makes the channels of the site; asked again when the site's files change."""

    def __init__(self, bench: Bench, writer: Writer, open_lanes: Callable[[], dict[str, Lane]]) -> None:
        super().__init__(name="sender", daemon=True)
        self._bench, self._writer, self._open_lanes = bench, writer, open_lanes
        self._lanes = open_lanes()
        self._retired: list[Lane] = []
        self._in_hand: set[str] = set()
        self._renewed_at = 0.0
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
        """What is on the way over an old lane still comes back; what had not begun is taken again after its lease."""
        self._retired += self._lanes.values()
        self._lanes = self._open_lanes()
        for lane in self._retired:
            lane.retire()

    def once(self, *, take: bool = True) -> int:
        """Write results and take what is due, in one transaction; returns how many were taken."""
        self._collect()
        lanes = self._lanes if take else {}
        taken: list[tuple[Lane, Item]] = []
        with self._bench.engine.begin() as db:
            acting = self._bench.join(db)
            self._renew(acting)
            for result in sorted(self._kept, key=lambda each: each.item.subject_id):
                settle(acting, result.item, result.outcome, result.seconds, self._spread.random(), result.at)
            for name, lane in lanes.items():
                if lane.free > 0:
                    taken += [(lane, item) for item in queue.take(db, name, acting.now, lane.free, LEASE)]
        for result in self._kept:
            self._observe(result)
        self._in_hand -= {result.item.item_id for result in self._kept}
        self._kept = []
        if acting.counts:
            self._bench.acted(acting)
        for lane, item in taken:
            lane.in_hand += 1
            self._in_hand.add(item.item_id)
            lane.pool.submit(self._attempt, lane, item)
        self._bench.beat("sender")
        return len(taken)

    def _collect(self) -> None:
        while not self._results.empty():
            result = self._results.get()
            result.lane.in_hand -= 1
            self._kept.append(result)
        for lane in [lane for lane in self._retired if lane.in_hand <= 0]:
            lane.channel.close()
            self._retired.remove(lane)

    def _renew(self, acting: Acting) -> None:
        """Say that what is in hand is still ours."""
        if self._in_hand and time.monotonic() - self._renewed_at > RENEW_SECONDS:
            queue.renew(acting.db, self._in_hand, acting.now + LEASE)
            self._renewed_at = time.monotonic()

    def _attempt(self, lane: Lane, item: Item) -> None:
        """Run in a lane's thread: compose, send, report. Whatever happens, a result comes back."""
        began = time.monotonic()
        try:
            outcome = lane.channel.send(self._writer.write(item))
        except Exception:
            log.exception("attempt failed", item=item.item_id, channel=item.channel)
            outcome = retry("failed in the notifier")
        seconds = time.monotonic() - began
        self._results.put(Result(lane, item, outcome, seconds, self._bench.now()))
        self._wake.set()

    def _observe(self, result: Result) -> None:
        metrics, item = self._bench.metrics, result.item
        metrics.send_seconds.labels(item.channel).observe(result.seconds)
        if result.outcome.kind is Kind.SENT and item.kind == "alert":
            metrics.to_person_seconds.labels(item.urgency).observe(_since_decided(result))
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
            lane.retire()
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


def _since_decided(result: Result) -> float:
    decided_at = datetime.fromisoformat(json.loads(result.item.payload)["alert"]["decided_at"])
    return max(0.0, (result.at - decided_at).total_seconds())
