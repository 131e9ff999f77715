from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import clinical_event_v1 as wire_v1
from schemas.alert_v1 import Alert as AlertMessage
from schemas.alert_v1 import Point as PointMessage
from schemas.base import Comparator, Precision
from schemas.dead_letter_v1 import DeadLetter
from schemas.retest_v1 import RetestPlan
from services.common.errors import Reject
from services.common.inbox import Source
from services.common.outbox import MAX_MESSAGE_BYTES
from services.detector.domain import values
from services.detector.domain.statements import Alert, Plan, PlanKind, PlanStatus, Point, PublishPlan, SayAlert
from services.detector.translate.incoming import _translated, read
from services.detector.translate.outgoing import Names, dead_letter, saying
from services.detector.translate.wire import WireResult, read_report
from tests.unit.detector.events import NOON, TOPIC, a_report, a_result, an_enrolment
from tests.unit.detector.minds import an_alert

EXAMPLES = Path(wire_v1.__file__).parent / "examples" / "clinical_event_v1"
NAMES = Names.under("")
SOURCE = Source(TOPIC, 3)


def by_the_model(body: bytes) -> values.Event:
    return _translated(wire_v1.decode(body))


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.pass.json")), ids=lambda path: path.stem)
def test_every_good_example_becomes_an_event_of_the_same_patient(example: Path) -> None:
    body = example.read_bytes()
    message = wire_v1.decode(body)
    incoming = read(SOURCE, 7, message.patient_ref.encode(), body)
    assert incoming.reject is None
    assert incoming.event == by_the_model(body)
    assert (incoming.patient_ref, incoming.event_id) == (message.patient_ref, message.event_id)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.fail.json")), ids=lambda path: path.stem)
def test_no_bad_example_becomes_an_event(example: Path) -> None:
    incoming = read(SOURCE, 7, b"PAT1", example.read_bytes())
    assert incoming.event is None
    assert incoming.reject is not None


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6)
zones = st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=3, minutes=30))])
instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001
texts = st.text(max_size=20)
results = st.builds(
    wire_v1.Result,
    result_id=st.text(min_size=1, max_size=40),
    analyte=st.text(min_size=1, max_size=40),
    code=st.builds(wire_v1.Code, value=st.none() | texts, system=st.none() | texts, text=st.none() | texts),
    value=st.none() | decimals,
    comparator=st.none() | st.sampled_from(Comparator),
    unit=st.none() | texts,
    original=st.builds(wire_v1.Original, value=st.none() | texts, unit=st.none() | texts),
    reference_low=st.none() | decimals,
    reference_high=st.none() | decimals,
    status=st.sampled_from("PFCXDI"),
    collected_at=st.none() | instants,
    collected_precision=st.sampled_from(Precision),
    resulted_at=st.none() | instants,
    remarks=st.lists(st.sampled_from(["haemolysed", "clotted", "time-suspect"]), max_size=3).map(tuple),
    order_key=st.none() | texts,
    specimen_id=st.none() | texts,
)
reports = st.builds(
    wire_v1.LabReport,
    event_id=st.text(min_size=1, max_size=40),
    patient_ref=st.text(min_size=1, max_size=20),
    source=st.text(min_size=1, max_size=20),
    received_at=instants,
    backfill=st.booleans(),
    birth_date_token=st.none() | texts,
    results=st.lists(results, max_size=4).map(tuple),
)


@given(reports)
def test_the_fast_way_reads_what_the_model_reads(report: wire_v1.LabReport) -> None:
    fast = read_report(report.encode())
    assert fast is not None
    assert fast[0] == by_the_model(report.encode())


def test_the_fast_way_knows_every_field_of_a_domain_result() -> None:
    from_the_report = {"received_at", "backfill", "source"}
    wire = {field.name for field in msgspec.structs.fields(WireResult)}
    assert {field.name for field in fields(values.LabResult)} == wire | from_the_report


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"value": "NaN"}, id="not a number"),
        pytest.param({"reference_high": "Infinity"}, id="an infinite limit"),
        pytest.param({"collected_at": "2026-03-01T12:00:00"}, id="a naive time"),
        pytest.param({"status": "FF"}, id="two letters of status"),
        pytest.param({"result_id": ""}, id="no id"),
        pytest.param({"remarks": ["drunk"]}, id="an unknown remark"),
        pytest.param({"comparator": "~"}, id="an unknown comparator"),
    ],
)
def test_what_the_model_refuses_the_fast_way_leaves_to_it(broken: Mapping[str, Any]) -> None:
    report = msgspec.json.decode(a_report().encode())
    report["results"][0] |= broken
    body = msgspec.json.encode(report)
    assert read_report(body) is None
    assert read(SOURCE, 0, b"PAT1", body).reject is not None


@pytest.mark.parametrize(
    ("key", "body", "reason"),
    [
        pytest.param(b"PAT1", None, "empty", id="a tombstone"),
        pytest.param(b"PAT1", b"", "empty", id="no bytes"),
        pytest.param(b"PAT1", b"\xff\xfe", "undecodable", id="not UTF-8"),
        pytest.param(b"PAT1", b"{", "undecodable", id="half a message"),
        pytest.param(b"PAT1", b"[]", "undecodable", id="a list"),
        pytest.param(b"PAT1", b'{"kind":"horoscope"}', "unknown_kind", id="a kind of a newer writer"),
        pytest.param(b"PAT1", b'{"patient_ref":"PAT1"}', "unknown_kind", id="no kind"),
        pytest.param(b"PAT2", a_report().encode(), "wrong_key", id="the key of another patient"),
        pytest.param(None, a_report().encode(), "wrong_key", id="no key"),
    ],
)
def test_what_cannot_be_used_has_a_reason(key: bytes | None, body: bytes | None, reason: str) -> None:
    incoming = read(SOURCE, 5, key, body)
    assert incoming.event is None
    assert incoming.reject is not None
    assert incoming.reject.reason == reason


def test_a_dead_letter_tells_where_and_why_and_nothing_of_the_content() -> None:
    body = b'{"kind":"lab-report","event_id":"e1","patient_ref":"PAT1","source":"lis","received_at":"WANG XIAOMING"}'
    incoming = read(SOURCE, 5, b"PAT1", body)
    assert incoming.reject is not None
    said = dead_letter(incoming, incoming.reject, NOON, NAMES)
    assert said.value is not None
    letter = DeadLetter.model_validate_json(said.value)
    assert b"WANG" not in said.value
    assert "received_at" in letter.detail
    assert letter.origin is not None
    assert (letter.origin.partition, letter.origin.offset) == (3, 5)
    assert said.topic == "clinical-events.v1.dead"


def test_a_replayed_dead_letter_has_the_same_id() -> None:
    incoming = read(SOURCE, 5, b"PAT1", b"{")
    first, again = (
        dead_letter(incoming, Reject("undecodable"), now, NAMES) for now in (NOON, NOON + timedelta(days=1))
    )
    assert first.effect == again.effect


def test_the_registry_is_recognised_and_nobody_else() -> None:
    assert read(SOURCE, 0, b"PAT1", an_enrolment().encode()).registers
    assert not read(SOURCE, 0, b"PAT1", a_report().encode()).registers


def test_the_ids_of_the_results_are_known_without_looking_into_the_event() -> None:
    report = a_report(results=[a_result("one"), a_result("two")])
    assert set(read(SOURCE, 0, b"PAT1", report.encode()).result_keys.values()) == {"one", "two"}


def test_an_alert_is_published_with_every_field() -> None:
    alert = an_alert(series=(Point(NOON, Decimal("812.0")),))
    said = saying(SayAlert(alert), 3, NAMES)
    assert said.value is not None
    message = AlertMessage.model_validate_json(said.value)
    assert (said.topic, said.key, said.partition) == ("alerts.v1", b"PAT1", 3)
    assert {field.name for field in fields(Alert)} == set(AlertMessage.model_fields)
    assert message.series == (PointMessage(collected_at=NOON, value=Decimal("812.0")),)
    assert message.urgency == "P2"


def test_every_step_of_an_alert_has_an_id_of_its_own() -> None:
    first, second = (saying(SayAlert(an_alert(seq=seq)), 0, NAMES).effect for seq in (1, 2))
    assert first != second
    assert first == saying(SayAlert(an_alert(seq=1, decided_at=NOON + timedelta(days=9))), 0, NAMES).effect


def test_an_alert_is_never_lost_for_its_size() -> None:
    endless = tuple(Point(NOON + timedelta(minutes=n), Decimal(n)) for n in range(20_000))
    said = saying(SayAlert(an_alert(series=endless)), 0, NAMES)
    assert said.value is not None
    assert len(said.value) <= MAX_MESSAGE_BYTES
    assert AlertMessage.model_validate_json(said.value).level == 2


def test_a_plan_is_published_under_the_key_that_compaction_keeps() -> None:
    plan = Plan(
        plan_id="plan-1",
        seq=4,
        patient_ref=values.PatientRef("PAT1"),
        episode_id="ep",
        kind=PlanKind.EVERY_3_DAYS,
        status=PlanStatus.SCHEDULED,
        due_at=NOON,
        window_from=NOON,
        window_to=NOON,
        overdue_at=NOON,
        draw=1,
        minimum_draws=3,
        missing=("ferritin",),
        pending=(),
        reason="episode open",
        decided_at=NOON,
        late=False,
    )
    said = saying(PublishPlan(plan), 0, NAMES)
    assert said.value is not None
    message = RetestPlan.model_validate_json(said.value)
    assert (said.topic, said.key) == ("retests.v1", b"PAT1|plan-1")
    assert {field.name for field in fields(Plan)} == set(RetestPlan.model_fields)
    assert message.kind == "every-3-days"
