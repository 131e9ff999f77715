"""Every metric of ingest, with its help text. Law: no patient in a label, and frames in = the sum of their outcomes."""

from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.clinical_event_v1 import ClinicalEvent
from services.common.clock import Now
from services.common.metrics import LATENCY_BUCKETS
from services.ingest.domain.outcome import (
    Acknowledgement,
    FrameOutcome,
    Ignored,
    Outcome,
    Published,
    Refused,
    messages_of,
)

FRAME_OUTCOMES = ("published", "ignored", "acknowledgement", "refused", "no_ack")


class IngestMetrics:
    """The metrics; `registry` is a parameter so that tests and several services in one process do not meet."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.frames_in = Counter(
            "ingest_frames_in_total",
            "Frames received whole or given up; equals the sum of ingest_frames_total once nothing is in flight",
            registry=registry,
        )
        self.frames = Counter(
            "ingest_frames_total",
            "What became of each frame: published, ignored, acknowledgement, refused (dead letter), no_ack",
            ["outcome"],
            registry=registry,
        )
        self.messages = Counter(
            "ingest_messages_total",
            "Messages by source, type and what became of them",
            ["source", "type", "outcome"],
            registry=registry,
        )
        self.notes = Counter(
            "ingest_message_notes_total",
            "What was noticed in messages that were used or ignored, and why they were ignored",
            ["source", "note"],
            registry=registry,
        )
        self.results = Counter(
            "ingest_results_total", "Laboratory results by what became of them", ["outcome"], registry=registry
        )
        self.dead_letters = Counter(
            "ingest_dead_letters_total", "Dead letters written, by reason", ["reason"], registry=registry
        )
        self.frame_errors = Counter(
            "ingest_frame_errors_total", "Faults of framing and of connections", ["kind"], registry=registry
        )
        self.quarantined = Counter(
            "ingest_quarantined_results_total", "Results kept but not judged, by reason", ["reason"], registry=registry
        )
        self.ack_seconds = Histogram(
            "ingest_ack_seconds",
            "From the last byte of a frame to its answer",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.connections = Gauge("ingest_connections", "Open MLLP connections", ["source"], registry=registry)
        self.last_message = Gauge(
            "ingest_last_message_seconds",
            "When the last message came, in Unix time",
            ["source"],
            registry=registry,
        )
        self.http_requests = Counter(
            "ingest_http_requests_total", "HTTP requests by route and status code", ["route", "code"], registry=registry
        )
        self.log_failures = Counter(
            "ingest_log_failures_total",
            "Appends that Kafka did not confirm, by reason",
            ["reason"],
            registry=registry,
        )
        self.producers = Counter(
            "ingest_producers_total",
            "Kafka producers made; a rise means that one was replaced",
            registry=registry,
        )
        for outcome in FRAME_OUTCOMES:
            self.frames.labels(outcome)


class Count:
    """Counts what was stored and answered."""

    def __init__(self, metrics: IngestMetrics, now: Now) -> None:
        self._metrics, self._now = metrics, now

    def frame(self, outcome: FrameOutcome, source: str | None) -> None:
        """Count a frame, once, and each of its messages."""
        source = source or "unknown"
        messages = messages_of(outcome)
        kinds = {_kind(message) for message in messages} or {"ignored"}
        self._metrics.frames.labels(next(kind for kind in FRAME_OUTCOMES if kind in kinds)).inc()
        for message in messages:
            self._message(message, source)
        self._metrics.last_message.labels(source).set(self._now().timestamp())

    def _message(self, message: Outcome, source: str) -> None:
        kind = message.header.message_type if message.header else "unreadable"
        self._metrics.messages.labels(source, kind, _kind(message)).inc()
        match message:
            case Published():
                self._results(message, source)
            case Ignored():
                self._metrics.notes.labels(source, message.reason).inc()
                self._results(message, source)
            case Refused():
                self._metrics.dead_letters.labels(message.reason).inc()
            case Acknowledgement():
                pass
            case _:
                assert_never(message)

    def _results(self, message: Published | Ignored, source: str) -> None:
        tally = message.tally
        for outcome, number in (
            ("published", tally.published),
            ("quarantined", tally.quarantined),
            ("unmapped", tally.unmapped),
            ("ignored", tally.ignored),
        ):
            if number:
                self._metrics.results.labels(outcome).inc(number)
        for quarantined in message.quarantined:
            self._metrics.quarantined.labels(quarantined.reason).inc()
        for letter in {(quarantined.patient_ref, quarantined.reason) for quarantined in message.quarantined}:
            self._metrics.dead_letters.labels(letter[1]).inc()
        for note, number in message.notes.items():
            self._metrics.notes.labels(source, note).inc(number)

    def statement(self, event: ClinicalEvent, source: str) -> None:
        """Count a statement of the registry."""
        kind = str(type(event).model_fields["kind"].default)
        self._metrics.messages.labels(source, kind, "published").inc()
        self._metrics.last_message.labels(source).set(self._now().timestamp())


def _kind(message: Outcome) -> str:
    match message:
        case Published():
            return "published"
        case Ignored():
            return "ignored"
        case Acknowledgement():
            return "acknowledgement"
        case Refused():
            return "refused"
        case _:
            assert_never(message)
