"""Every metric of the detector, with help text.

Conservation: `detector_events_taken_total` is counted from the offsets that committed transactions moved past,
`detector_events_total` from what became of each event; the sum over its outcomes must equal the former.
"""

import contextlib
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.common.metrics import LATENCY_BUCKETS


class EventOutcome(StrEnum):
    """What became of an event; every event has exactly one."""

    APPLIED = "applied"
    REPEATED = "repeated"
    DEAD = "dead"


class Metrics:
    """The metrics of one detector process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"detector_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"detector_{name}", text, labels, registry=registry)

        self.taken = counter("events_taken_total", "Events that committed transactions moved past")
        self.events = counter("events_total", "Events by outcome: applied, repeated, dead", "outcome")
        self.dead_letters = counter("dead_letters_total", "Events that could not be used, by reason", "reason")
        self.failures = counter("decision_failures_total", "Decisions that raised: a bug, look at the log", "when")
        self.alerts = counter("alerts_total", "What was said", "rule", "action", "urgency", "mode")
        self.plans = counter("plans_total", "Retest plans published", "kind", "status")
        self.refolds = counter("refolds_total", "Decisions for which a patient's whole history was read")
        self.purged = counter("purged_facts_total", "Facts of patients who were not enrolled, dropped in time")
        self.conflicts = counter("conflicts_total", "Batches another worker had already taken")
        self.retries = counter("retries_total", "Attempts that failed and are made again", "reason")
        self.seeks = counter("seeks_total", "Times fetching was set back to where the store stands", "why")
        self.published = counter("published_total", "Messages acknowledged by the broker", "topic")
        self.batch_seconds = Histogram(
            "detector_batch_seconds", "One transaction, decisions included", buckets=LATENCY_BUCKETS, registry=registry
        )
        self.heartbeat = gauge(
            "heartbeat_seconds",
            "Unix time at which the partition last moved on or was seen to be at its end",
            "partition",
        )
        self.lag = gauge("lag_events", "Events in the topic that are not yet in the store", "partition")
        self.outbox_rows = gauge("outbox_rows", "Messages that wait to be published")
        self.outbox_oldest = gauge("outbox_oldest_seconds", "Age of the oldest message that waits to be published")
        self.due_late = gauge("due_late", "Patients whose time has come and who wait for their decision")
        self.due_oldest = gauge("due_oldest_seconds", "How long the first of them has been waiting")
        self.patients = gauge("patients", "Patients in the store")
        for outcome in EventOutcome:
            self.events.labels(outcome)

    def forget_partition(self, partition: int) -> None:
        """Another worker has it now: an old heartbeat here would look like a standstill."""
        for metric in (self.heartbeat, self.lag):
            with contextlib.suppress(KeyError):
                metric.remove(partition)
