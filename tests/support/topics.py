"""Reads topics from outside, as an auditor would: from the first record to the end, without a consumer group."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition

POLL_MS = 100


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic; `value` is its JSON, None for a tombstone."""

    partition: int
    offset: int
    key: str | None
    value: dict[str, Any] = field(repr=False)
    at_ms: int


class TopicReader:
    """Follows one topic from its beginning; every record read stays in `records`."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self.records: list[Record] = []
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=50, max_poll_records=5_000,
        )  # fmt: skip
        found = self._consumer.partitions_for_topic(topic)
        if not found:
            message = f"topic {topic} does not exist"
            raise LookupError(message)
        self._partitions = [TopicPartition(topic, number) for number in sorted(found)]
        self._consumer.assign(self._partitions)
        self._consumer.seek_to_beginning(*self._partitions)

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def poll(self) -> list[Record]:
        """Return what has come since the last call."""
        news = [
            Record(
                record.partition, record.offset, record.key.decode() if record.key is not None else None,
                json.loads(record.value) if record.value else {}, record.timestamp,
            )
            for batch in self._consumer.poll(timeout_ms=POLL_MS).values()
            for record in batch
        ]  # fmt: skip
        self.records += news
        return news

    def to_end(self, timeout: float = 30.0) -> list[Record]:
        """Read to where the topic ends now and return all records. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        ends = self._consumer.end_offsets(self._partitions)
        while any(self._consumer.position(partition) < end for partition, end in ends.items()):
            self.poll()
            if time.monotonic() > deadline:
                message = f"{self.topic} was not read to its end within {timeout} s"
                raise TimeoutError(message)
        return self.records

    def wait_for(
        self, wanted: Callable[[dict[str, Any]], bool], timeout: float, *, count: int = 1
    ) -> list[dict[str, Any]]:
        """Return the wanted messages once there are `count`. Raises TimeoutError with what came instead."""
        deadline = time.monotonic() + timeout
        while True:
            found = [record.value for record in self.records if wanted(record.value)]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                message = f"{len(found)} of {count} on {self.topic} within {timeout} s; came: {self._summary()}"
                raise TimeoutError(message)
            self.poll()

    def _summary(self) -> list[dict[str, Any]]:
        names = ("action", "rule_id", "level", "urgency", "kind", "status", "reason", "state", "recipient", "alert_id")
        return [{name: r.value[name] for name in names if name in r.value} for r in self.records[-40:]]
