from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, update

from services.notifier.adapters.port import refused, retry, sent
from services.notifier.app.results import settle
from services.notifier.store import queue
from services.notifier.store.acknowledge import Acknowledged, AlreadyBy, Ended, Expired, Superseded, Unknown
from services.notifier.store.ladders import without_step
from services.notifier.store.opening import open_store
from services.notifier.store.tables import escalations, metadata, outbox
from tests.component.notifier.floor import KEY, LEASE, Floor, open_floor, whom
from tests.support.site import STAFF, SitePlan, write_site
from tests.support.stores import DATABASES, fresh_postgres
from tests.support.worklist import a_plan

QUARTER = timedelta(minutes=15)
BOTH = {("li", "pager"), ("li", "mail"), ("wang", "pager"), ("wang", "mail")}


@pytest.fixture(scope="module", params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One store for all tests of this file, emptied for each."""
    if request.param == "sqlite":
        engine = open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
        yield engine
        engine.dispose()
    else:
        server: URL = request.getfixturevalue("postgres_server")
        for url in fresh_postgres(server.render_as_string(hide_password=False)):
            engine = open_store(url)
            yield engine
            engine.dispose()


@pytest.fixture
def floor(engine: Engine, tmp_path: Path) -> Floor:
    with engine.begin() as db:
        for table in reversed(metadata.sorted_tables):
            db.execute(table.delete())
    return open_floor(engine, tmp_path / "site")


def test_a_p1_pages_and_mails_everybody_who_holds_the_role(floor: Floor) -> None:
    alert = floor.alert()
    assert whom(floor.send()) == BOTH
    assert set(floor.told(alert.alert_id)) == BOTH
    assert {delivery.state for delivery in floor.deliveries()} == {"sent"}


def test_the_same_message_twice_and_an_older_one_change_nothing(floor: Floor) -> None:
    alert = floor.alert(seq=7)
    floor.send()
    floor.alert(seq=7)
    floor.alert(seq=3, level=4)
    assert floor.take() == []
    assert len(floor.told(alert.alert_id)) == 4


def test_unanswered_the_ladder_climbs_and_its_last_step_repeats(floor: Floor) -> None:
    alert = floor.alert()
    floor.send()
    steps = []
    for _ in range(4):
        floor.tick(QUARTER)
        steps.append({person for person, _ in whom(floor.send())})
    assert steps == [{"li", "wang", "night"}] * 4
    assert floor.phase(alert.alert_id) == "escalated"
    assert [delivery.state for delivery in floor.deliveries()].count("escalated") == 4


def test_an_acknowledgement_stops_the_ladder_and_is_published(floor: Floor) -> None:
    alert = floor.alert()
    floor.send()
    answer = floor.acknowledge(alert, "li")
    assert isinstance(answer, Acknowledged)
    floor.tick(QUARTER)
    assert floor.take() == []
    assert "acknowledged" in {delivery.state for delivery in floor.deliveries()}


def test_a_second_person_is_told_who_answered_first(floor: Floor) -> None:
    alert = floor.alert()
    floor.send()
    floor.acknowledge(alert, "li")
    answer = floor.acknowledge(alert, "wang")
    assert isinstance(answer, AlreadyBy)
    assert answer.person_id == "li"


def test_an_acknowledgement_cancels_what_had_not_left(floor: Floor) -> None:
    alert = floor.alert()
    first, *_ = floor.take(limit=1)
    floor.answer(first)
    floor.acknowledge(alert, first.person_id)
    floor.now += LEASE
    assert floor.take() == []
    assert len(floor.told(alert.alert_id, "not-told")) == 2, "one per channel was in a sender's hands"


def test_an_acknowledgement_of_p1_expires_and_the_same_link_answers_again(floor: Floor) -> None:
    alert = floor.alert()
    floor.send()
    floor.acknowledge(alert, "li")
    floor.tick(timedelta(hours=8))
    assert whom(floor.send()) == BOTH
    assert "expired" in {delivery.state for delivery in floor.deliveries()}
    assert isinstance(floor.acknowledge(alert, "li"), Acknowledged)


def test_worsening_pages_again_and_the_old_link_does_not_cover_it(floor: Floor) -> None:
    alert = floor.alert(level=1)
    floor.send()
    floor.acknowledge(alert, "li")
    floor.alert(action="escalated", level=3)
    assert whom(floor.send()) == BOTH
    assert isinstance(floor.acknowledge(alert, "li"), Superseded)
    assert floor.phase(alert.alert_id) == "told"


def test_what_had_not_left_is_replaced_by_the_worse_level(floor: Floor) -> None:
    floor.alert(level=1)
    floor.alert(action="escalated", level=3)
    items = floor.take()
    assert (len(items), {item.level for item in items}) == (4, {3})


def test_whoever_was_told_of_a_former_standing_only_does_not_hear_of_the_end_of_this_one(floor: Floor) -> None:
    floor.alert()
    floor.send()
    floor.alert(action="withdrawn")
    floor.send()
    floor.alert(action="raised", roles=["haematology"])
    floor.send()
    floor.alert(action="cleared", roles=["haematology"])
    assert whom(floor.send()) == {("wang", "pager"), ("wang", "mail")}


def test_a_withdrawal_reaches_exactly_those_told_by_the_same_channels(floor: Floor) -> None:
    alert = floor.alert()
    items = floor.take()
    reached, bounced = items[0], items[1]
    floor.answer(reached)
    floor.answer(bounced, refused("RCPT 550"))
    for item in items[2:]:
        floor.answer(item, retry("RCPT 451"))
    floor.alert(action="withdrawn")
    after = floor.send()
    assert whom(after) == {(reached.person_id, reached.channel)}
    assert {item.kind for item in after} == {"follow-up"}
    floor.tick(timedelta(days=2))
    assert floor.take() == []
    assert isinstance(floor.acknowledge(alert, "li"), Ended)


def test_a_message_that_arrives_while_its_alert_is_withdrawn_is_corrected(floor: Floor) -> None:
    floor.alert()
    on_the_way = floor.take()
    floor.alert(action="withdrawn")
    assert floor.take() == []
    floor.answer(on_the_way[0])
    for item in on_the_way[1:]:
        floor.answer(item, retry("RCPT 451"))
    assert whom(floor.send()) == {(on_the_way[0].person_id, on_the_way[0].channel)}


def test_a_message_whose_sender_died_while_it_was_withdrawn_counts_as_told(floor: Floor) -> None:
    alert = floor.alert()
    floor.take()
    floor.alert(action="withdrawn")
    floor.tick(LEASE + timedelta(seconds=1))
    assert whom(floor.send()) == BOTH
    assert len(floor.told(alert.alert_id, "unsure")) == 4


def test_a_handed_over_message_without_an_answer_is_sent_again_and_corrected_later(floor: Floor) -> None:
    floor.alert(roles=["haematology"])
    for item in floor.take():
        floor.answer(item, retry("no answer after DATA", unsure=True))
    floor.now += timedelta(seconds=5)
    again = floor.take()
    assert {item.message_id for item in again} == {f"<{item.item_id}@lab-alerts>" for item in again}
    for item in again:
        floor.answer(item, retry("no answer after DATA", unsure=True))
    floor.alert(action="cleared", roles=["haematology"])
    assert whom(floor.take()) == {("wang", "pager"), ("wang", "mail")}


def test_what_was_never_told_is_withdrawn_in_silence(floor: Floor) -> None:
    floor.alert()
    floor.alert(action="withdrawn")
    assert floor.take() == []


def test_a_shadow_alert_reaches_nobody_and_that_is_on_record(floor: Floor) -> None:
    alert = floor.alert(mode="shadow")
    assert floor.take() == []
    assert len(floor.told(alert.alert_id, "not-told")) == 1


def test_an_alert_that_stands_again_is_told_again(floor: Floor) -> None:
    floor.alert()
    floor.send()
    floor.alert(action="withdrawn")
    floor.send()
    floor.alert(action="raised")
    again = floor.send()
    assert (whom(again), {item.kind for item in again}) == (BOTH, {"alert"})


def test_a_revision_corrects_the_told_and_tells_those_who_still_waited(floor: Floor) -> None:
    floor.alert(level=3)
    items = floor.take()
    floor.answer(items[0])
    for item in items[1:]:
        floor.answer(item, retry("RCPT 451"))
    floor.alert(action="revised", level=2)
    after = floor.take()
    assert {(item.kind, item.level) for item in after} == {("follow-up", 2), ("alert", 2)}
    assert whom(after) == BOTH


def test_p3_waits_for_the_next_working_day_in_one_mail_per_person(floor: Floor) -> None:
    first = floor.alert(alert_id="a1", urgency="P3", level=1)
    floor.alert(alert_id="a2", urgency="P3", level=1)
    floor.tick()
    assert floor.take() == []
    floor.tick(timedelta(hours=22))
    digests = floor.send()
    assert {(item.kind, item.person_id, item.channel) for item in digests} == {
        ("digest", "li", "mail"),
        ("digest", "wang", "mail"),
    }
    assert set(floor.told(first.alert_id)) == {("li", "mail"), ("wang", "mail")}


def test_what_ends_before_its_digest_is_never_said(floor: Floor) -> None:
    floor.alert(urgency="P3", level=1)
    floor.alert(action="withdrawn", urgency="P3", level=1)
    floor.tick(timedelta(days=9))
    assert floor.take() == []


def test_whoever_read_it_in_a_digest_hears_of_a_withdrawal_at_once_and_of_recovery_in_the_next(floor: Floor) -> None:
    for alert_id in ("a1", "a2"):
        floor.alert(alert_id=alert_id, urgency="P3", level=1)
    floor.tick(timedelta(hours=22))
    floor.send()
    floor.alert(alert_id="a1", action="withdrawn", urgency="P3", level=1)
    floor.alert(alert_id="a2", action="cleared", urgency="P3", level=1)
    now = floor.send()
    assert {(item.kind, item.alert_id) for item in now} == {("follow-up", "a1")}
    floor.tick(timedelta(days=1))
    assert {item.kind for item in floor.send()} == {"digest"}


def test_late_p2_goes_to_the_digest(floor: Floor) -> None:
    floor.alert(urgency="P2", late=True)
    assert floor.take() == []
    floor.tick(timedelta(hours=22))
    assert {item.kind for item in floor.take()} == {"digest"}


def test_where_everybody_is_refused_the_next_step_is_taken_at_once(floor: Floor) -> None:
    floor.alert()
    for item in floor.take():
        floor.answer(item, refused("RCPT 550"))
    floor.tick()
    assert ("night", "pager") in whom(floor.send())


def test_a_role_nobody_holds_falls_to_the_last_resort_and_says_so(floor: Floor) -> None:
    alert = floor.alert(roles=["dermatology"])
    people = {person for person, _ in whom(floor.send())}
    assert people == {"li", "wang"}, "immunology is the fall-back of dermatology"
    assert floor.told(alert.alert_id, "not-told") == [(None, None)]
    assert "not-told" in {delivery.state for delivery in floor.deliveries()}


def test_a_carrier_that_is_away_for_hours_brings_no_storm(floor: Floor) -> None:
    floor.alert()
    for _ in range(40):
        for item in floor.take():
            floor.answer(item, retry("ConnectionRefusedError"))
        floor.tick(QUARTER)
    floor.now += timedelta(minutes=5)
    waiting = floor.take()
    assert len(waiting) == len(whom(waiting)) == 6


def test_the_most_urgent_leave_first(floor: Floor) -> None:
    for number, urgency in enumerate(["P2", "P1", "P2", "P1"]):
        floor.alert(alert_id=f"a{number}", urgency=urgency, roles=["haematology"])
    with floor.engine.begin() as db:
        taken = queue.take(db, "mail", floor.now, 10, LEASE)
    assert [item.urgency for item in taken] == ["P1", "P1", "P2", "P2"]


def test_what_a_dead_sender_held_is_taken_again_with_the_same_message_id(floor: Floor) -> None:
    floor.alert()
    first = floor.take()
    assert floor.take() == []
    floor.now += LEASE
    again = floor.take()
    assert {item.message_id for item in again} == {item.message_id for item in first}


def test_a_result_that_comes_twice_is_written_once(floor: Floor) -> None:
    alert = floor.alert()
    item = floor.take()[0]
    floor.answer(item)
    floor.answer(item, refused("RCPT 550"))
    assert floor.told(alert.alert_id) == [(item.person_id, item.channel)]
    assert floor.told(alert.alert_id, "refused") == []


def test_an_overdue_draw_is_told_once_per_slot(floor: Floor) -> None:
    floor.plan(a_plan(seq=1, status="due").model_dump_json().encode())
    assert floor.take() == []
    for seq in (2, 3):
        floor.plan(a_plan(seq=seq, status="overdue").model_dump_json().encode())
    assert whom(floor.send()) == {("office", "mail")}
    floor.plan(a_plan(seq=4, status="overdue", draw=2).model_dump_json().encode())
    assert whom(floor.send()) == {("office", "mail")}


@pytest.mark.parametrize("status", ["missed", "satisfied", "stopped"])
def test_a_reminder_that_had_not_left_is_not_said_once_the_draw_is_no_longer_asked_for(
    floor: Floor, status: str
) -> None:
    floor.plan(a_plan(seq=1, status="overdue").model_dump_json().encode())
    (item,) = floor.take()
    floor.answer(item, retry("451"))
    floor.plan(a_plan(seq=2, status=status).model_dump_json().encode())
    floor.now += timedelta(hours=1)
    assert floor.take() == []


def test_a_reminder_in_a_senders_hands_is_not_tried_again_once_the_draw_has_come(floor: Floor) -> None:
    floor.plan(a_plan(seq=1, status="overdue").model_dump_json().encode())
    (item,) = floor.take()
    floor.plan(a_plan(seq=2, status="missed").model_dump_json().encode())
    floor.answer(item, retry("451"))
    floor.now += timedelta(hours=1)
    assert floor.take() == []


def test_a_withdrawal_outlives_a_mail_server_that_is_away_for_days(floor: Floor) -> None:
    floor.alert(urgency="P2")
    floor.send()
    floor.alert(urgency="P2", action="withdrawn")
    waiting = floor.take()
    floor.now += timedelta(days=3)
    for item in waiting:
        floor.answer(item, retry("451"))
    floor.now += timedelta(hours=1)
    assert whom(floor.take()) == whom(waiting)
    assert waiting


def test_where_every_page_of_a_p1_is_refused_a_mail_is_not_waited_for(floor: Floor) -> None:
    floor.alert()
    for item in floor.take():
        floor.answer(item, refused("550") if item.tier == "page" else sent("250"))
    floor.tick()
    assert ("night", "pager") in whom(floor.take())


def test_where_nobody_holds_the_first_roles_the_next_step_is_taken_at_once(floor: Floor, tmp_path: Path) -> None:
    at_once = (
        'role,person,days,from,to,first_day,last_day,kind\nnobody,li,"mon",00:00,00:01,2020-01-06,2020-01-06,duty\n'
    )
    write_site(tmp_path / "site", SitePlan(smtp_port=2525, files={"rota.csv": at_once}))
    assert floor.site.refresh()
    alert = floor.alert()
    assert floor.take() == []
    floor.tick()
    assert floor.phase(alert.alert_id) == "escalated", "the last step is reached, and repeats in its time"
    assert [delivery.state for delivery in floor.deliveries()].count("escalated") == 1


def test_the_link_of_somebody_who_has_left_answers_for_nobody(floor: Floor, tmp_path: Path) -> None:
    alert = floor.alert()
    floor.send()
    staff = tuple(member for member in STAFF if member.name != "li")
    write_site(tmp_path / "site", SitePlan(smtp_port=2525, staff=staff))
    assert floor.site.refresh()
    assert isinstance(floor.acknowledge(alert, "li"), Expired)
    assert floor.phase(alert.alert_id) == "told"
    floor.alert(action="withdrawn")
    assert whom(floor.take()) == BOTH, "who was told hears of the end, wherever they are"


def test_after_an_outage_what_was_decided_long_ago_and_has_ended_is_never_said(floor: Floor) -> None:
    long_ago = floor.now - timedelta(hours=5)
    floor.alert(decided_at=long_ago)
    assert floor.take() == []
    floor.alert(action="cleared", decided_at=long_ago)
    floor.now += timedelta(minutes=1)
    assert floor.take() == []


def test_an_unreadable_record_is_a_dead_letter_without_its_content(floor: Floor) -> None:
    floor.record("alerts.v1", b'{"alert_id": "a1", "patient_ref": "K7QF", "name": "secret"}')
    with floor.engine.begin() as db:
        (row,) = outbox.unsaid(db)
    assert row.topic == "alerts.v1.dead"
    assert b"undecodable" in (row.value or b"")
    assert b"secret" not in (row.value or b"")


def test_an_old_or_invented_link_changes_nothing(floor: Floor) -> None:
    alert = floor.alert()
    floor.send()
    assert isinstance(floor.acknowledge(alert, "nobody"), Unknown)
    floor.now += timedelta(days=7)
    assert isinstance(floor.acknowledge(alert, "li"), Expired)


def test_a_channel_that_the_site_gave_up_is_refused_and_the_ladder_goes_on(floor: Floor) -> None:
    floor.alert(roles=["haematology"])
    folder = floor.site._dir
    for name in ("channels.toml", "people.toml"):
        text = (folder / name).read_text("utf-8")
        (folder / name).write_text(text.replace("pager]", "beeper]").replace('"pager"', '"beeper"'), "utf-8")
    assert floor.site.refresh()
    floor.tick()
    with floor.engine.begin() as db:
        assert queue.count_by_state(db) == {"refused": 1, "waiting": 1}


def test_the_auditor_sees_an_alert_without_next_step(floor: Floor) -> None:
    floor.alert()
    with floor.engine.begin() as db:
        assert without_step(db) == 0
        db.execute(update(escalations).values(next_at=None))
        assert without_step(db) == 1


def test_queued_messages_equal_the_sum_of_their_states(floor: Floor) -> None:
    floor.alert()
    floor.send()
    floor.alert(action="escalated", level=4)
    floor.tick(QUARTER)
    floor.take()
    metrics = floor.bench.metrics
    queued = sum(
        sample.value
        for family in metrics.queued.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )
    with floor.engine.begin() as db:
        assert sum(queue.count_by_state(db).values()) == queued


def test_a_transaction_that_fails_leaves_nothing_behind(floor: Floor) -> None:
    floor.alert()
    item = floor.take()[0]

    def killed() -> None:
        with floor.acting() as acting:
            settle(acting, item, sent("250"), 0.1, 0.5, floor.now)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        killed()
    assert floor.deliveries() == []
    assert KEY not in str(floor.bench).encode()
