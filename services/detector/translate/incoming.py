"""A record of `clinical-events.v1` to a domain event, or the reason why it cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypedDict, assert_never

from pydantic import ValidationError

from schemas import clinical_event_v1 as wire_v1
from services.common.errors import Reject
from services.common.identifiers import stable_id
from services.common.inbox import Source
from services.detector.domain import values
from services.detector.translate.wire import read_report, utc

REGISTRY_CALLS = (
    values.Enrolment,
    values.CycleRecorded,
    values.AdverseEventGraded,
    values.ConfounderRecorded,
    values.BaselinePinned,
)
NO_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)


class Common(TypedDict):
    """What all events share."""

    event_id: values.EventId
    patient_ref: values.PatientRef
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event with where it stood; `event` None: it cannot be used, for the reason `reject`."""

    source: Source
    offset: int
    body: bytes
    event: values.Event | None
    reject: Reject | None = None
    patient_ref: str = ""
    event_id: str = ""
    received_at: datetime = NO_INSTANT
    result_keys: Mapping[int, str] = field(default_factory=dict)
    raw_ref: str | None = None

    def refused(self, reject: Reject) -> "Incoming":
        """Return the same event as one that cannot be used."""
        return replace(self, event=None, reject=reject)

    @property
    def fact_id(self) -> str:
        """The name under which the fact is kept: what comes again under it says nothing new.

        A call of the registry is named with its time: "the last call received counts", also when it returns to words
        that were said before (enrolled, withdrawn, enrolled). A record that Kafka brings twice has the same time.
        """
        if isinstance(self.event, REGISTRY_CALLS):
            return stable_id(self.event_id, self.received_at.isoformat())
        return self.event_id

    @property
    def registers(self) -> bool:
        """Whether the registry speaks: from then on the patient's facts are kept for good."""
        return isinstance(self.event, values.Enrolment)


def read(source: Source, offset: int, key: bytes | None, body: bytes | None) -> Incoming:
    """Read one record; never raises on what it contains."""
    try:
        event, raw_ref = _event(body)
    except Reject as reject:
        return Incoming(source, offset, body or b"", None, reject, patient_ref=_printable(key))
    incoming = Incoming(
        source=source,
        offset=offset,
        body=body or b"",
        event=event,
        patient_ref=event.patient_ref,
        event_id=event.event_id,
        received_at=event.received_at,
        result_keys=result_keys(event),
        raw_ref=raw_ref,
    )
    if key != event.patient_ref.encode():
        return incoming.refused(
            Reject("wrong_key", "the record's key is not its patient_ref: the order is not the patient's")
        )
    return incoming


def fact(body: bytes) -> values.Event:
    """Read a stored fact again. Raises Reject for one that this version cannot read any more."""
    return _event(body)[0]


def result_keys(event: values.Event) -> dict[int, str]:
    """Return the ids of the results that an event brings, by their keys."""
    results = event.results if isinstance(event, values.LabReport) else ()
    return {key_of(result.result_id): result.result_id for result in results}


def key_of(result_id: str) -> int:
    """Return the key of a result id: the first 8 bytes of its SHA-256."""
    return int.from_bytes(sha256(result_id.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def _event(body: bytes | None) -> tuple[values.Event, str | None]:
    if not body:
        raise Reject("empty", "a record without a body")
    if (fast := read_report(body)) is not None:
        return fast
    try:
        event = wire_v1.decode(body)
    except ValidationError as problem:
        raise _undecodable(problem) from None
    return _translated(event), event.raw_ref


def _undecodable(problem: ValidationError) -> Reject:
    """Name the places and the kinds of fault, never the content."""
    faults = problem.errors(include_url=False, include_context=False, include_input=False)
    kind = "unknown_kind" if any(fault["type"].startswith("union_tag") for fault in faults) else "undecodable"
    places = [f"{'.'.join(str(step) for step in fault['loc'])}: {fault['type']}" for fault in faults[:5]]
    return Reject(kind, "; ".join(places)[:500])


def _printable(key: bytes | None) -> str:
    text = (key or b"").decode("ascii", "replace")
    return text if text.isprintable() and len(text) <= 64 else ""  # noqa: PLR2004 - the longest patient_ref


def _translated(event: wire_v1.AnyEvent) -> values.Event:
    """Copy field by field; the names are the same on both sides."""
    common: Common = {
        "event_id": values.EventId(event.event_id),
        "patient_ref": values.PatientRef(event.patient_ref),
        "received_at": utc(event.received_at),
    }
    match event:
        case wire_v1.LabReport():
            return _report(event)
        case wire_v1.Enrolment():
            return values.Enrolment(
                **common,
                status=values.PatientStatus(event.status),
                arm=None if event.arm is None else values.Arm(event.arm),
                consented_at=_utc(event.consented_at),
                consented_precision=values.Precision(event.consented_precision),
                first_dose_at=_utc(event.first_dose_at),
                first_dose_precision=values.Precision(event.first_dose_precision),
                sex=values.Sex(event.sex),
                birth_date_token=event.birth_date_token,
                sex_token=event.sex_token,
                cycle_days=event.cycle_days,
            )
        case wire_v1.CycleRecorded():
            return values.CycleRecorded(
                **common,
                n=event.n,
                administered_at=utc(event.administered_at),
                administered_precision=values.Precision(event.administered_precision),
                given=event.status == "given",
                drugs=event.drugs,
            )
        case wire_v1.AdverseEventGraded():
            return values.AdverseEventGraded(
                **common,
                adverse_event_id=event.adverse_event_id,
                grade=event.grade,
                graded_at=utc(event.graded_at),
                graded_precision=values.Precision(event.graded_precision),
                term=event.term,
                organ=event.organ,
            )
        case wire_v1.ConfounderRecorded():
            return values.ConfounderRecorded(
                **common,
                confounder_id=event.confounder_id,
                confounder=values.ConfounderKind(event.confounder),
                at=utc(event.at),
                at_precision=values.Precision(event.at_precision),
            )
        case wire_v1.BaselinePinned():
            return values.BaselinePinned(
                **common,
                analyte=values.Analyte(event.analyte),
                value=event.value,
                pinned_by=event.pinned_by,
                collected_at=_utc(event.collected_at),
            )
        case wire_v1.EpisodeClosed():
            return values.EpisodeClosed(
                **common,
                at=utc(event.at),
                outcome=event.outcome,
                by=event.by,
                episode_id=event.episode_id,
                rule_id=None if event.rule_id is None else values.RuleId(event.rule_id),
            )
        case wire_v1.EpisodeConfirmed():
            return values.EpisodeConfirmed(**common, at=utc(event.at), by=event.by, episode_id=event.episode_id)
        case wire_v1.PatientMerged():
            return values.PatientMerged(**common, survivor_ref=values.PatientRef(event.survivor_ref))
        case _:
            assert_never(event)


def _report(event: wire_v1.LabReport) -> values.LabReport:
    return values.LabReport(
        event_id=values.EventId(event.event_id),
        patient_ref=values.PatientRef(event.patient_ref),
        received_at=utc(event.received_at),
        results=tuple(_result(result, event) for result in event.results),
        birth_date_token=event.birth_date_token,
        sex_token=event.sex_token,
    )


def _result(result: wire_v1.Result, event: wire_v1.LabReport) -> values.LabResult:
    return values.LabResult(
        result_id=values.ResultId(result.result_id),
        analyte=values.Analyte(result.analyte),
        value=result.value,
        unit=result.unit,
        status=result.status,
        collected_at=_utc(result.collected_at),
        resulted_at=_utc(result.resulted_at),
        received_at=utc(event.received_at),
        comparator=None if result.comparator is None else values.Comparator(result.comparator),
        reference_low=result.reference_low,
        reference_high=result.reference_high,
        collected_precision=values.Precision(result.collected_precision),
        specimen=result.specimen,
        assay=result.assay,
        remarks=result.remarks,
        order_key=result.order_key,
        specimen_id=result.specimen_id,
        code=result.code.value,
        backfill=event.backfill,
        source=event.source,
    )


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else utc(at)
