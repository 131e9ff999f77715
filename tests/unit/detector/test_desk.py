from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine
from structlog.testing import CapturingLogger

from schemas.alert_v1 import Alert
from schemas.dead_letter_v1 import DeadLetter
from services.common.inbox import Conflict, Position, Source
from services.common.outbox import Unsaid
from services.detector.app import batch
from services.detector.app.desk import Arrived, Desk
from services.detector.metrics import Metrics
from services.detector.store import facts, heads
from services.detector.store.opening import open_store
from services.detector.translate.outgoing import Names
from tests.unit.detector.events import NOON, TOPIC, Fetched, a_report, a_result, an_enrolment, fetched, in_order
from tests.unit.detector.minds import Recorder

A, B = Source(TOPIC, 0), Source(TOPIC, 1)
KEEP = timedelta(days=35)


class Bench:
    """A desk with its store, a mind that records and a clock that is set."""

    def __init__(self, engine: Engine, mind: Recorder) -> None:
        self.engine, self.mind, self.now = engine, mind, NOON + timedelta(hours=1)
        self.registry = CollectorRegistry()
        self.desk = Desk(engine, mind, Names.under(""), Metrics(self.registry), self.clock, KEEP)
        self.at = dict(self.desk.positions([0, 1], {A: 0, B: 0}))

    def clock(self) -> datetime:
        return self.now

    def take(self, records: Sequence[Arrived], source: Source = A) -> None:
        self.at |= self.desk.apply({source: (self.at[source], records)})

    def said(self) -> list[Unsaid]:
        return list(self.desk.unsaid([0, 1]))

    def alerts(self) -> list[str]:
        return [Alert.model_validate_json(row.value or b"").alert_id for row in self.said() if row.topic == "alerts.v1"]

    def dead(self) -> list[str]:
        return [
            DeadLetter.model_validate_json(row.value or b"").reason
            for row in self.said()
            if row.topic.endswith(".dead")
        ]

    def history(self, ref: str = "PAT1") -> list[bytes]:
        with self.engine.begin() as db:
            return facts.history(db, ref)

    def patient(self, ref: str = "PAT1") -> heads.PatientRow | None:
        with self.engine.begin() as db:
            return heads.load(db, [ref]).get(ref)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"detector_{name}", labels) or 0.0

    def conserved(self) -> bool:
        outcomes = sum(self.count("events_total", outcome=outcome) for outcome in ("applied", "repeated", "dead"))
        return outcomes == self.count("events_taken_total")


MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(store_url: str) -> Iterator[MakeBench]:
    engine = open_store(store_url)
    yield lambda **mind: Bench(engine, Recorder(**mind))
    engine.dispose()


def test_a_batch_leaves_facts_heads_alerts_and_the_next_offset_together(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1"), a_report("e2", "PAT2"), a_report("e3")))
    assert b.at[A] == Position(3, 1)
    assert b.alerts() == ["of-e1", "of-e2", "of-e3"]
    assert b.history() == [a_report("e1").encode(), a_report("e3").encode()]
    assert b.count("events_total", outcome="applied") == 3
    assert b.conserved()


def test_the_same_event_again_changes_and_says_nothing(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1"), a_report("e1")))
    b.take(in_order(a_report("e1"), first=2))
    assert b.alerts() == ["of-e1"]
    assert len(b.history()) == 1
    assert b.count("events_total", outcome="repeated") == 2
    assert b.conserved()


def test_the_registry_may_return_to_words_it_said_before(bench: MakeBench) -> None:
    desk = bench()
    calls = (an_enrolment("enrolled"), an_enrolment("withdrawn", hours=0.1), an_enrolment("enrolled", hours=0.2))
    desk.take(in_order(*calls))
    assert desk.count("events_total", outcome="applied") == 3
    assert len(desk.history()) == 3


def test_a_registry_call_that_kafka_brings_twice_is_one_call(bench: MakeBench) -> None:
    desk = bench()
    desk.take(in_order(an_enrolment(), an_enrolment()))
    assert desk.count("events_total", outcome="repeated") == 1
    assert len(desk.history()) == 1


def test_one_event_id_of_two_patients_is_two_events(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1", "PAT1"), a_report("e1", "PAT2")))
    assert b.count("events_total", outcome="applied") == 2


def test_whoever_comes_second_writes_nothing(bench: MakeBench) -> None:
    b, zombie = bench(), bench()
    b.take(in_order(a_report("e1")))
    with pytest.raises(Conflict):
        zombie.take(in_order(a_report("e2")))
    assert b.alerts() == ["of-e1"]
    assert zombie.count("events_taken_total") == 0


def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on(bench: MakeBench) -> None:
    b = bench()
    b.take([fetched(a_report("e1")), Fetched(A, 1, b"PAT1", b"{"), fetched(a_report("e3"), 2)])
    assert b.alerts() == ["of-e1", "of-e3"]
    assert b.dead() == ["undecodable"]
    assert b.conserved()


def test_a_decision_that_fails_buries_its_event_and_is_loud(bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(batch, "log", log)
    b = bench(fails_on={"e2"})
    b.take(in_order(a_report("e1"), a_report("e2"), a_report("e3", "PAT2")))
    assert b.alerts() == ["of-e1", "of-e3"]
    assert b.dead() == ["decision_failed"]
    assert b.count("decision_failures_total", when="event") == 1
    assert len(b.history()) == 1
    [call] = log.calls
    assert (call.method_name, call.args, call.kwargs["patient_ref"]) == ("error", ("decision failed",), "PAT1")
    assert "812" not in str(call), "the exception's words hold a value"
    assert b.conserved()


def test_an_event_that_the_domain_sets_aside_is_kept_and_a_dead_letter(bench: MakeBench) -> None:
    b = bench(ignores={"e1": "birth_date_mismatch"})
    b.take(in_order(a_report("e1")))
    assert b.dead() == ["birth_date_mismatch"]
    assert len(b.history()) == 1
    assert b.conserved()


def test_history_is_read_only_when_it_is_asked_for_and_holds_this_batch_too(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1"), a_report("e2")))
    b.mind.wants_history = True
    b.take(in_order(a_report("e3"), a_report("e4"), first=2))
    assert b.mind.asked == [
        (("e1",), None),
        (("e2",), None),
        (("e3",), ("e1", "e2")),
        (("e4",), ("e1", "e2", "e3")),
    ]
    assert b.count("refolds_total") == 2


def test_a_result_that_came_before_is_recognised_across_batches_and_within_one(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1", results=[a_result("r1")]), a_report("e2", results=[a_result("r1"), a_result("r2")])))
    b.take(in_order(a_report("e3", results=[a_result("r2")]), a_report("e4", "PAT2", [a_result("r2")]), first=2))
    assert b.mind.known == [set(), {"r1"}, {"r2"}, set()]


def test_time_comes_once_for_each_patient_and_in_the_same_transaction_as_its_consequences(bench: MakeBench) -> None:
    b = bench(wake_after=timedelta(days=3))
    b.take(in_order(a_report("e1"), a_report("e2", "PAT2")))
    assert b.desk.apply_due(b.at) == {}
    b.now += timedelta(days=30)
    b.at |= b.desk.apply_due(b.at)
    assert b.at[A] == Position(2, 2)
    assert b.mind.asked[2:] == [((), None), ((), None)]
    assert b.desk.apply_due(b.at) == {}


def test_a_worker_that_was_replaced_cannot_take_the_time_step_again(bench: MakeBench) -> None:
    b = bench(wake_after=timedelta(days=3))
    b.take(in_order(a_report("e1")))
    stale = dict(b.at)
    b.now += timedelta(days=30)
    b.desk.apply_due(b.at)
    b.now += timedelta(days=30)
    with pytest.raises(Conflict):
        b.desk.apply_due(stale)


def test_a_time_step_that_fails_is_tried_again_later_and_stops_nobody_else(bench: MakeBench) -> None:
    b = bench(wake_after=timedelta(days=3))
    b.take(in_order(a_report("e1"), a_report("e2", "PAT2")))
    b.now += timedelta(days=4)

    real, fails_first = b.mind.decide, iter([True, False])

    def decide(*args: object, **named: object) -> object:
        if next(fails_first):
            raise ZeroDivisionError
        return real(*args, **named)  # type: ignore[arg-type]

    b.mind.decide = decide  # type: ignore[method-assign, assignment]
    b.at |= b.desk.apply_due(b.at)
    assert b.count("decision_failures_total", when="time") == 1
    first, second = b.patient("PAT1"), b.patient("PAT2")
    assert first is not None
    assert second is not None
    assert {first.wake_at, second.wake_at} == {b.now + timedelta(minutes=15), b.now + timedelta(days=3)}


@pytest.mark.parametrize("store_url", [pytest.param("postgresql", id="PostgreSQL refuses NUL in text")], indirect=True)
def test_what_the_database_refuses_is_found_one_by_one_and_buried(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1"), a_report("nul\x00"), a_report("e3", "PAT2")))
    assert b.alerts() == ["of-e1", "of-e3"]
    assert b.dead() == ["not_storable"]
    assert b.at[A].next == 3
    assert b.conserved()


def test_facts_of_a_patient_nobody_enrols_go_in_time(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1"), a_report("e2", day=20)))
    b.now = NOON + KEEP - timedelta(seconds=1)
    assert b.desk.purge(b.at) == {}
    b.now = NOON + KEEP + timedelta(seconds=1)
    b.at |= b.desk.purge(b.at)
    assert b.history() == [a_report("e2", day=20).encode()]
    assert b.patient() is not None
    b.now = NOON + KEEP + timedelta(days=21)
    b.at |= b.desk.purge(b.at)
    assert b.patient() is None
    assert b.history() == []
    assert b.count("purged_facts_total") == 2


def test_facts_of_an_enrolled_patient_stay_for_good(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1"), an_enrolment(), a_report("e2", day=1)))
    b.now += timedelta(days=3650)
    assert b.desk.purge(b.at) == {}
    assert len(b.history()) == 3


def test_a_patient_who_comes_back_after_the_purge_begins_anew(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1", results=[a_result("r1")])))
    b.now += KEEP
    b.at |= b.desk.purge(b.at)
    b.take(in_order(a_report("e2", results=[a_result("r1")], day=40), first=1))
    assert b.mind.known[-1] == set()


def test_the_gauges_tell_what_waits(bench: MakeBench) -> None:
    b = bench(wake_after=timedelta(days=1))
    b.take(in_order(a_report("e1"), a_report("e2", "PAT2")))
    b.now += timedelta(days=2)
    b.desk.watch([0, 1])
    assert b.count("outbox_rows") == 2
    assert b.count("outbox_oldest_seconds") == timedelta(days=2).total_seconds()
    assert b.count("due_late") == 2
    assert b.count("due_oldest_seconds") == timedelta(days=1).total_seconds()


def test_what_has_been_acknowledged_is_forgotten(bench: MakeBench) -> None:
    b = bench()
    b.take(in_order(a_report("e1"), a_report("e2")))
    b.desk.said([b.said()[0].id])
    assert b.alerts() == ["of-e2"]
