"""Every metric of the notifier, with help text. No patient, person or address is a label.

Conservation: `notifier_records_total` summed over outcomes is what was taken from the topics;
`notifier_queued_total` summed over kinds equals `notifier_messages` summed over states, in a store this process filled.
"""

from collections import Counter as Tally
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.common.metrics import LATENCY_BUCKETS

TO_PERSON_BUCKETS = (*LATENCY_BUCKETS, 120.0, 300.0, 900.0, 3600.0)


class Metrics:
    """The metrics of one notifier process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"notifier_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"notifier_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"notifier_{name}", text, labels, buckets=buckets, registry=registry)

        self.records = counter("records_total", "Records taken, by what became of them", "topic", "outcome")
        self.dead_letters = counter("dead_letters_total", "Records that could not be used", "topic", "reason")
        self.alerts = counter("alert_messages_total", "Alert messages by whether and why they were said", "reason")
        self.reminders = counter("reminders_total", "Overdue draws that were told")
        self.queued = counter("queued_total", "Messages queued for people", "kind")
        self.told = counter("told_total", "Attempts to tell somebody, by result", "channel", "result")
        self.suppressed = counter("suppressed_total", "Who was not told, by reason", "reason")
        self.escalations = counter("escalations_total", "Steps taken because nobody acknowledged", "urgency")
        self.acknowledgements = counter("acknowledgements_total", "Acknowledgements", "urgency")
        self.retries = counter("retries_total", "Work that failed and is tried again", "part", "reason")
        self.conflicts = counter("conflicts_total", "Batches another notifier had already taken")
        self.fallbacks = counter(
            "plain_messages_total", "Messages sent in their shortest form: composing failed, a bug"
        )
        self.send_seconds = histogram("send_seconds", "One attempt", LATENCY_BUCKETS, "channel")
        self.to_person_seconds = histogram(
            "decided_to_sent_seconds", "From the detector's decision to the carrier", TO_PERSON_BUCKETS, "urgency"
        )
        self.messages = gauge("messages", "Messages in the store by state", "state")
        self.oldest_message = gauge("oldest_message_seconds", "Age of the oldest message that was tried and not sent")
        self.outbox_rows = gauge("outbox_rows", "Messages that wait to be published on Kafka")
        self.outbox_oldest = gauge("outbox_oldest_seconds", "Age of the oldest of them")
        self.without_step = gauge("alerts_without_next_step", "Open alerts for which nothing is due: must be 0")
        self.step_late = gauge("next_step_late_seconds", "How late the most overdue step of a ladder is")
        self.audit_findings = gauge("audit_findings", "Broken promises the auditor sees: must be 0")
        self.site_faulty = gauge("site_files_faulty", "1 while changed site files are faulty and not in force")
        self.heartbeat = gauge("heartbeat_seconds", "Unix time at which the part last went round", "part")
        self.partition_heartbeat = gauge(
            "partition_heartbeat_seconds",
            "Unix time at which the partition last moved on or was seen to be at its end",
            "topic",
            "partition",
        )
        self.lag = gauge("lag_records", "Records in the topic that are not yet in the store", "topic", "partition")

    def add(self, counts: Tally[tuple[str, ...]]) -> None:
        """Add what a committed transaction counted."""
        known: Mapping[str, Counter] = {
            "alerts": self.alerts,
            "queued": self.queued,
            "told": self.told,
            "suppressed": self.suppressed,
            "escalations": self.escalations,
            "acknowledgements": self.acknowledgements,
            "dead": self.dead_letters,
            "records": self.records,
            "reminders": self.reminders,
        }
        for (name, *labels), number in counts.items():
            counter = known[name]
            (counter.labels(*labels) if labels else counter).inc(number)
