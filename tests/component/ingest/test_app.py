"""The app with the real domain before a log that does what the test says."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from schemas.clinical_event_v1 import AdverseEventGraded, LabReport, decode
from schemas.dead_letter_v1 import DeadLetter
from schemas.raw_message_v1 import RawMessage
from services.common.kafka import topic_name
from services.ingest.adapters.event_log import Durability, Record, Stored, TooLarge, Unavailable
from services.ingest.adapters.http_api import Recorded
from services.ingest.adapters.mllp_connection import Origin, Reply
from services.ingest.adapters.registry import Registrar, canonical
from services.ingest.adapters.registry_bodies import AdverseEventBody, Statement
from services.ingest.adapters.tokens import Grant
from services.ingest.app import Ingest, Topics
from services.ingest.domain.framing import HEAD_BYTES, Damaged, Fault, Frame
from services.ingest.metrics import IngestMetrics
from services.ingest.rulebook import load_profiles, load_tables
from tests.support.messages import Subject, a_panel, oru

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
KEY = b"k" * 32
SOURCES = (
    '[[source]]\nname = "lis"\napplication = "LIS"\nfacility = "LAB"\nauthority = "HOSP"\nzone = "Asia/Shanghai"\n'
)
ANNA = Subject("00042")


@dataclass(slots=True)
class FakeLog:
    """Answers each append with the next of `says`, or stores it."""

    says: list[Durability] = field(default_factory=list)
    appended: list[Sequence[Record]] = field(default_factory=list)

    def append(self, records: Sequence[Record]) -> "asyncio.Future[Durability]":
        future: asyncio.Future[Durability] = asyncio.get_running_loop().create_future()
        self.appended.append(records)
        future.set_result(self.says.pop(0) if self.says else Stored())
        return future

    def fault(self) -> str | None:
        return None


@dataclass(slots=True)
class Shell:
    app: Ingest
    log: FakeLog
    metrics: IngestMetrics
    time: list[datetime]

    async def receive(self, frame: Frame | Damaged) -> Reply:
        self.metrics.frames_in.inc()
        return await self.app.read(frame, Origin("10.0.0.1", "mllp"))()

    def on(self, topic: str, append: int = -1) -> list[Record]:
        return [record for record in self.log.appended[append] if record.topic == f"p.{topic}"]

    def outcomes(self) -> dict[str, float]:
        found = {
            sample.labels["outcome"]: sample.value
            for metric in self.metrics.frames.collect()
            for sample in metric.samples
            if sample.name == "ingest_frames_total" and sample.value
        }
        assert sum(found.values()) == self.metrics.frames_in._value.get()
        return found


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "sources.toml").write_text(SOURCES, "utf-8")
    tables, log, metrics, time = load_tables(), FakeLog(), IngestMetrics(CollectorRegistry()), [NOW]
    app = Ingest(
        log,
        topics=Topics.named(partial(topic_name, "p.")),
        tables=tables,
        profiles=load_profiles(tmp_path, tables),
        registrar=Registrar(KEY, partial(canonical, tables)),
        site_key=KEY,
        metrics=metrics,
        now=lambda: time[0],
    )
    return Shell(app, log, metrics, time)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def a_message(**values: str) -> str:
    return oru(ANNA, a_panel(**values), collected_at=NOW - timedelta(hours=2), control_id="C1", order="O1")


def a_frame(text: str) -> Frame:
    return Frame(text.encode())


def test_a_report_is_answered_after_raw_message_and_event_went_in_one_append(shell: Shell) -> None:
    async def test() -> None:
        text = a_message(FERRITIN="812")
        reply = await shell.receive(a_frame(text))

        assert reply.content is not None
        assert b"MSA|AA|C1" in reply.content
        (raw,), (event,) = shell.on("raw-messages.v1"), shell.on("clinical-events.v1")
        stored = RawMessage.model_validate_json(raw.value)
        assert (stored.body, stored.source, stored.peer, raw.key) == (text.encode(), "lis", "10.0.0.1", b"lis")
        report = decode(event.value)
        assert isinstance(report, LabReport)
        assert len(report.results) == 20
        assert report.raw_ref == stored.raw_id
        assert event.key == report.patient_ref.encode()
        assert b"00042" not in event.value
        assert shell.outcomes() == {"published": 1}

    run(test)


def test_the_same_message_again_is_answered_and_is_the_same_event(shell: Shell) -> None:
    async def test() -> None:
        for _ in range(2):
            reply = await shell.receive(a_frame(a_message()))
            assert reply.content is not None
            assert b"MSA|AA|" in reply.content
        first, again = (json.loads(shell.on("clinical-events.v1", n)[0].value)["event_id"] for n in (0, 1))
        assert first == again

    run(test)


def test_what_kafka_does_not_confirm_is_not_answered_and_ends_the_connection(shell: Shell) -> None:
    async def test() -> None:
        shell.log.says.append(Unavailable("deadline"))
        reply = await shell.receive(a_frame(a_message()))

        assert reply == Reply(None, close=True)
        assert shell.outcomes() == {"no_ack": 1}

    run(test)


def test_a_result_in_an_unknown_unit_is_answered_positively_and_kept_without_a_canonical_unit(shell: Shell) -> None:
    async def test() -> None:
        reply = await shell.receive(a_frame(a_message().replace("|ug/L|", "|furlong/L|")))

        assert reply.content is not None
        assert b"MSA|AA|" in reply.content
        report = decode(shell.on("clinical-events.v1")[0].value)
        assert isinstance(report, LabReport)
        (ferritin,) = [result for result in report.results if result.original.unit == "furlong/L"]
        assert (ferritin.unit, ferritin.original.value) == (None, "80")

    run(test)


def test_a_quarantined_result_is_a_dead_letter_beside_the_others_and_names_its_place_only(shell: Shell) -> None:
    async def test() -> None:
        await shell.receive(a_frame(a_message(FERRITIN="1.2.3")))

        (letter,) = (DeadLetter.model_validate_json(record.value) for record in shell.on("clinical-events.v1.dead"))
        assert letter.reason == "value_unparsable"
        assert letter.detail.startswith("OBX[")
        assert "1.2.3" not in letter.model_dump_json()
        assert shell.metrics.quarantined.labels("value_unparsable")._value.get() == 1
        report = decode(shell.on("clinical-events.v1")[0].value)
        assert isinstance(report, LabReport)
        assert len(report.results) == 19

    run(test)


@pytest.mark.parametrize(
    ("text", "reason", "answered"),
    [
        pytest.param(a_message().replace("00042^^^HOSP^MR", ""), "no_patient", True, id="no patient"),
        pytest.param(a_message().replace("LIS|LAB", "XX|YY"), "unknown_source", True, id="a sender nobody knows"),
        pytest.param(a_message() + a_message(), "multiple_msh", True, id="two messages in one frame"),
        pytest.param("hello", "no_msh", False, id="no HL7 at all"),
    ],
)
def test_a_message_that_cannot_be_used_is_kept_and_refused(
    shell: Shell, text: str, reason: str, *, answered: bool
) -> None:
    async def test() -> None:
        reply = await shell.receive(a_frame(text))

        (letter,) = (DeadLetter.model_validate_json(record.value) for record in shell.on("raw-messages.v1.dead"))
        (raw,) = (RawMessage.model_validate_json(record.value) for record in shell.on("raw-messages.v1"))
        assert (letter.reason, letter.raw_ref, letter.sha256) == (reason, raw.raw_id, raw.sha256)
        assert "Anna" not in letter.model_dump_json()
        assert (reply.content is not None and b"MSA|AE|C1" in reply.content) is answered
        assert reply.close is not answered
        assert shell.outcomes() == {"refused": 1}
        assert shell.metrics.dead_letters.labels(reason)._value.get() == 1

    run(test)


def test_a_message_we_do_not_use_is_kept_and_answered_positively(shell: Shell) -> None:
    async def test() -> None:
        reply = await shell.receive(a_frame(a_message().replace("ORU^R01^ORU_R01", "SIU^S12")))

        assert reply.content is not None
        assert b"MSA|AA|C1" in reply.content
        assert [record.topic for record in shell.log.appended[0]] == ["p.raw-messages.v1"]
        assert shell.outcomes() == {"ignored": 1}

    run(test)


def test_an_answer_to_us_is_not_answered_and_not_stored(shell: Shell) -> None:
    async def test() -> None:
        text = "MSH|^~\\&|LIS|LAB|IRAE|TRIAL|20260302||ACK^R01|9|P|2.5.1\rMSA|AA|9\r"
        assert await shell.receive(a_frame(text)) == Reply()
        assert shell.log.appended == []
        assert shell.outcomes() == {"acknowledgement": 1}

    run(test)


def test_the_beginning_of_a_damaged_frame_is_kept_and_its_sender_told_once(shell: Shell) -> None:
    async def test() -> None:
        damaged = Damaged(Fault.OVERSIZE, a_message().encode()[:400], must_close=True)
        reply = await shell.receive(damaged)

        assert reply.content is not None
        assert b"MSA|AE|C1|oversize" in reply.content
        assert reply.close
        assert RawMessage.model_validate_json(shell.on("raw-messages.v1")[0].value).body == damaged.head

    run(test)


def test_what_kafka_never_takes_is_refused_with_its_beginning_kept(shell: Shell) -> None:
    async def test() -> None:
        shell.log.says.append(TooLarge("p.clinical-events.v1", 99_999_999))
        reply = await shell.receive(a_frame(a_message()))

        assert reply.content is not None
        assert b"MSA|AE|C1|oversize" in reply.content
        assert len(RawMessage.model_validate_json(shell.on("raw-messages.v1")[0].value).body) <= HEAD_BYTES
        assert shell.on("clinical-events.v1") == []
        assert shell.outcomes() == {"refused": 1}

    run(test)


def test_a_fault_of_ours_refuses_one_frame_and_the_feed_goes_on(shell: Shell) -> None:
    async def test() -> None:
        tables = shell.app._tables
        shell.app._tables = None  # type: ignore[assignment]
        refused = await shell.receive(a_frame(a_message()))
        shell.app._tables = tables
        accepted = await shell.receive(a_frame(a_message()))

        assert refused.content is not None
        assert b"MSA|AE|C1|internal_error" in refused.content
        assert accepted.content is not None
        assert b"MSA|AA|C1" in accepted.content
        assert shell.outcomes() == {"refused": 1, "published": 1}

    run(test)


def test_a_frame_that_cannot_even_be_refused_with_its_header_is_kept_and_ends_its_connection_alone(
    shell: Shell,
) -> None:
    async def test() -> None:
        profiles = shell.app._profiles
        shell.app._profiles = None  # type: ignore[assignment]
        reply = await shell.receive(a_frame(a_message()))
        shell.app._profiles = profiles

        assert reply == Reply(None, close=True, source="unknown")
        (letter,) = (DeadLetter.model_validate_json(record.value) for record in shell.on("raw-messages.v1.dead"))
        assert letter.reason == "internal_error"
        assert shell.outcomes() == {"refused": 1}

    run(test)


def a_grading(grade: int) -> Statement:
    text = f'{{"term": "Hepatitis", "grade": {grade}, "graded_at": "2026-03-01T08:00:00Z"}}'
    body = AdverseEventBody.model_validate_json(text)
    grant = Grant("trial-office", "HOSP", frozenset({"coordinator"}))
    return Statement(grant=grant, mrn="00042", name="ae1", body=body, content=text.encode())


def test_each_call_is_published_with_its_own_time_and_the_same_statement_has_the_same_id(shell: Shell) -> None:
    async def test() -> None:
        answers = [await shell.app.record(a_grading(grade)) for grade in (2, 3, 2)]
        published = [shell.on("clinical-events.v1", call) for call in range(3)]
        events = [decode(record.value) for (record,) in published]

        assert [answer.event_id for answer in answers if isinstance(answer, Recorded)] == [e.event_id for e in events]
        assert [event.grade for event in events if isinstance(event, AdverseEventGraded)] == [2, 3, 2]
        assert events[0].event_id == events[2].event_id != events[1].event_id
        assert events[0].received_at < events[1].received_at < events[2].received_at

    run(test)


@pytest.mark.parametrize(
    ("step", "later"),
    [
        pytest.param(timedelta(milliseconds=-200), True, id="a clock that is set right by a little"),
        pytest.param(timedelta(hours=-1), False, id="a clock that was wrong is believed once it is right"),
    ],
)
def test_a_clock_that_is_set_back_does_not_put_calls_out_of_order(
    shell: Shell, step: timedelta, *, later: bool
) -> None:
    async def test() -> None:
        await shell.app.record(a_grading(2))
        shell.time[0] += step
        await shell.app.record(a_grading(3))
        first, second = (decode(shell.on("clinical-events.v1", call)[0].value) for call in (0, 1))

        assert (first.received_at < second.received_at) is later

    run(test)
