"""Events as they stand in Kafka, with defaults, so that a test shows only what matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from schemas.clinical_event_v1 import AnyEvent, Enrolment, LabReport, Result
from services.common.inbox import Source

TOPIC = "clinical-events.v1"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Fetched:
    source: Source
    offset: int
    key: bytes | None
    value: bytes | None


def a_result(result_id: str = "r1", value: str = "812", collected_at: datetime = NOON) -> Result:
    return Result(
        result_id=result_id,
        analyte="ferritin",
        value=Decimal(value),
        unit="ug/L",
        collected_at=collected_at,
        order_key="o",
    )


def a_report(
    event_id: str = "e1", ref: str = "PAT1", results: Sequence[Result] | None = None, day: int = 0
) -> LabReport:
    at = NOON + timedelta(days=day)
    return LabReport(
        event_id=event_id,
        patient_ref=ref,
        source="lis",
        received_at=at,
        raw_ref=f"raw-{event_id}",
        results=tuple(results) if results is not None else (a_result(f"{event_id}-r", collected_at=at),),
    )


def an_enrolment(event_id: str = "enrolled", ref: str = "PAT1", hours: float = 0) -> Enrolment:
    at = NOON + timedelta(hours=hours)
    return Enrolment(event_id=event_id, patient_ref=ref, source="registry", received_at=at, status="enrolled")


def fetched(event: AnyEvent, offset: int = 0, partition: int = 0) -> Fetched:
    return Fetched(Source(TOPIC, partition), offset, event.patient_ref.encode(), event.encode())


def in_order(*events: AnyEvent, first: int = 0, partition: int = 0) -> list[Fetched]:
    return [fetched(event, first + n, partition) for n, event in enumerate(events)]
