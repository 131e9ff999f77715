"""Take alerts, retest plans and patients into the store, each offset with its consequences in one transaction.

The store is the truth: positions are read from it, Kafka's committed offsets are hints for people who watch the lag.
While the store or the broker is away nothing is taken and nothing is lost; whoever asks is told why.
"""

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from schemas.admin import connected, describe
from schemas.topics import ALERTS, PATIENTS, RETESTS
from services.common.database import PASSING, is_poison
from services.common.errors import Misconfigured
from services.common.inbox import Conflict, Move, Position, Source, gap
from services.common.kafka import KafkaSettings
from services.notifier.app.handling import Record, bury, handle
from services.notifier.app.work import Bench
from services.notifier.store.tables import inbox

READ = (PATIENTS, RETESTS, ALERTS)
CONTIGUOUS = frozenset({ALERTS.name})
"""Not compacted and not written in transactions: an offset that is left out was skipped by the client."""

POLL_MS = 500
PROBE_SECONDS, PROBE_WAITS_MS = 5.0, 3_000
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0

log = structlog.get_logger("consumer")


class Consumer(threading.Thread):
    """Reads until stopped. `trouble` says why nothing is taken, None while all is well."""

    def __init__(self, bench: Bench, kafka: KafkaSettings, group: str, *, batch: int, session_seconds: float) -> None:
        super().__init__(name="consumer", daemon=True)
        self._bench, self._kafka, self._group = bench, kafka, group
        self._batch, self._session_ms = batch, int(session_seconds * 1000)
        self._names: Mapping[str, str] = {kafka.topic(topic.name): topic.name for topic in READ}
        self._positions: dict[Source, Position] = {}
        self._stopping = threading.Event()
        self._probed_at = float("-inf")
        self.trouble: str | None = "not yet connected to Kafka"
        self.failed: BaseException | None = None
        """What ended the thread although nobody asked for it."""

    def stop(self, timeout: float = 15.0) -> None:
        """End after the batch in hand."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout)

    def run(self) -> None:
        """Connect, take, and connect again after trouble."""
        pause = FIRST_PAUSE
        try:
            while not self._stopping.is_set():
                self._bench.beat("consumer")
                try:
                    self._recognise()
                    self._read()
                except (KafkaError, *PASSING) as problem:
                    self._say(f"cannot take from Kafka: {type(problem).__name__}")
                except Misconfigured as problem:
                    self._say(problem.detail)
                else:
                    return
                self._stopping.wait(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
        except BaseException as problem:
            self.failed = problem
            log.exception("consumer ended")

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("not taking", trouble=trouble)
        self.trouble = trouble
        self._bench.metrics.retries.labels("consumer", "kafka-or-store").inc()

    def _recognise(self) -> None:
        """Refuse topics that were deleted and made anew. Raises Misconfigured."""
        with connected(self._kafka) as admin:
            found = describe(admin, self._names)
        with self._bench.engine.begin() as db:
            for name, entry in found.items():
                sentence = inbox.recognise(db, name, str(entry.get("topic_id")), len(entry["partitions"]))
                if sentence is not None:
                    raise Misconfigured("topic_recreated", sentence)

    def _read(self) -> None:
        """Take until stopped. Raises KafkaError, what a store that is away raises, and Misconfigured."""
        self._positions = {}
        consumer = KafkaConsumer(
            *self._names,
            **self._kafka.for_kafka_python(),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=self._batch,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms // 3,
            max_poll_interval_ms=120_000,
            isolation_level="read_committed",
            allow_auto_create_topics=False,
        )
        try:
            while not self._stopping.is_set():
                self._once(consumer)
                self._bench.beat("consumer")
        finally:
            consumer.close(timeout_ms=5_000)

    def _once(self, consumer: KafkaConsumer) -> None:
        """Poll and take once; on a store that is away, put the client back to where the store stands."""
        fetched = consumer.poll(timeout_ms=POLL_MS)
        new = self._follow_assignment(consumer)
        records = [
            self._record(each) for partition, each_of in fetched.items() if partition not in new for each in each_of
        ]
        work = self._next(consumer, records)
        if not work:
            self._probe(consumer)
            self._measure(consumer, work)
            return
        try:
            self._take(work)
        except Conflict:
            self._bench.metrics.conflicts.inc()
            self._positions = {}
            return
        except PASSING as problem:
            self._away(consumer, problem)
            return
        self.trouble = None
        self._measure(consumer, work)
        consumer.commit_async()

    def _probe(self, consumer: KafkaConsumer) -> None:
        """A client whose brokers are away polls on in silence: now and then ask for something that needs an answer."""
        if time.monotonic() - self._probed_at < PROBE_SECONDS or not self._positions:
            return
        try:
            consumer.end_offsets([TopicPartition(*min(self._positions))], timeout_ms=PROBE_WAITS_MS)
        except KafkaError as problem:
            self._say(f"Kafka does not answer: {type(problem).__name__}")
        else:
            self.trouble = None
        self._probed_at = time.monotonic()

    def _measure(self, consumer: KafkaConsumer, moved: Collection[Source]) -> None:
        """Show how far each partition is behind, and that it moves or stands at its end."""
        metrics, now = self._bench.metrics, self._bench.now().timestamp()
        for source, at in self._positions.items():
            end = consumer.highwater(TopicPartition(*source))
            behind = 0 if end is None else max(0, end - at.next)
            labels = (self._names[source.topic], str(source.partition))
            metrics.lag.labels(*labels).set(behind)
            if source in moved or behind == 0:
                metrics.partition_heartbeat.labels(*labels).set(now)

    def _away(self, consumer: KafkaConsumer, problem: BaseException) -> None:
        """The store cannot be written: go back, so that the client keeps its membership and brings it again."""
        self.trouble = f"the store cannot be written: {type(problem).__name__}"
        self._bench.metrics.retries.labels("consumer", "store").inc()
        log.warning("not taken", trouble=self.trouble)
        for source, at in self._positions.items():
            consumer.seek(TopicPartition(*source), at.next)
        self._positions = {}
        self._stopping.wait(1.0)

    def _follow_assignment(self, consumer: KafkaConsumer) -> frozenset[Any]:
        """Read the positions of partitions that are new to us and go there; returns them. Raises Misconfigured."""
        assigned = {Source(each.topic, each.partition): each for each in consumer.assignment()}
        self._positions = {source: at for source, at in self._positions.items() if source in assigned}
        new = {source: each for source, each in assigned.items() if source not in self._positions}
        if not new:
            return frozenset()
        begins, ends = consumer.beginning_offsets(list(new.values())), consumer.end_offsets(list(new.values()))
        with self._bench.engine.begin() as db:
            inbox.begin(db, {source: begins[each] for source, each in new.items()})
            for topic in {source.topic for source in new}:
                mine = [source.partition for source in new if source.topic == topic]
                self._positions |= inbox.positions(db, topic, mine)
        for source, each in new.items():
            sentence = gap(source, self._positions[source], begins[each], ends[each])
            if sentence is not None and not self._compacted_away(source, begins[each], ends[each]):
                raise Misconfigured("gap", sentence)
            consumer.seek(each, self._positions[source].next)
        return frozenset(new.values())

    def _compacted_away(self, source: Source, begin: int, end: int) -> bool:
        """Of a compacted topic the beginning may move past what was taken: newer values have replaced it."""
        return self._names[source.topic] not in CONTIGUOUS and begin <= end and self._positions[source].next < begin

    def _record(self, fetched: ConsumerRecord) -> Record:
        name = self._names[fetched.topic]
        return Record(name, fetched.topic, fetched.partition, fetched.offset, fetched.key, fetched.value)

    def _next(self, consumer: KafkaConsumer, records: Sequence[Record]) -> dict[Source, list[Record]]:
        """Choose what is next; what was done before is dropped, what was skipped is fetched again."""
        work: dict[Source, list[Record]] = {}
        for record in records:
            source = Source(record.topic, record.partition)
            at = self._positions.get(source)
            if at is None:
                continue
            taken = work.setdefault(source, [])
            expected = taken[-1].offset + 1 if taken else at.next
            if record.offset > expected and record.name in CONTIGUOUS:
                consumer.seek(TopicPartition(*source), expected)
                break
            if record.offset >= expected:
                taken.append(record)
        return {source: taken for source, taken in work.items() if taken}

    def _take(self, work: Mapping[Source, list[Record]]) -> None:
        """One transaction for all; content that the store refuses is found by taking records one by one."""
        try:
            self._transact(work)
        except Conflict:
            raise
        except Exception as problem:
            if isinstance(problem, PASSING):
                raise
            log.exception("a batch cannot be taken as a whole", records=sum(map(len, work.values())))
            self._one_by_one(work)

    def _transact(self, work: Mapping[Source, list[Record]]) -> None:
        moves = {source: Move(self._positions[source], taken[-1].offset + 1) for source, taken in work.items()}
        with self._bench.acting() as acting:
            after = inbox.advance(acting.db, moves)
            for records in work.values():
                for record in records:
                    handle(acting, record)
        self._positions |= after

    def _one_by_one(self, work: Mapping[Source, list[Record]]) -> None:
        """A record that breaks its own transaction is buried, so that it does not keep all later ones from people."""
        for source, records in work.items():
            for record in records:
                try:
                    self._transact({source: [record]})
                except Conflict:
                    raise
                except Exception as problem:
                    if isinstance(problem, PASSING):
                        raise
                    log.exception("record buried", topic=record.topic, partition=record.partition, offset=record.offset)
                    self._bury(source, record, "refused-by-store" if is_poison(problem) else "failed", problem)

    def _bury(self, source: Source, record: Record, reason: str, problem: Exception) -> None:
        with self._bench.acting() as acting:
            after = inbox.advance(acting.db, {source: Move(self._positions[source], record.offset + 1)})
            bury(acting, record, reason, type(problem).__name__)
            acting.count("records", record.name, "dead")
        self._positions |= after
