import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import create_engine, make_url, text

from deploy.broker import Broker
from schemas.topics import ALERTS, DELIVERIES
from tests.integration.notifier.house import House, link, press
from tests.support.mailbox import Mail
from tests.support.processes import Process, free_port
from tests.support.topics import TopicReader
from tests.support.worklist import a_plan

LI, WANG, NIGHT = "li@hospital.example", "wang@hospital.example", "night@hospital.example"
PAGES = ("li@pager.hospital.example", "wang@pager.hospital.example")


def started(house: House, **env: str) -> Process:
    process = house.notifier(**env)
    process.start()
    process.wait_ready()
    return process


def test_an_alert_becomes_a_page_and_a_mail_until_somebody_presses_the_button(house: House) -> None:
    house.prepare(acknowledge_within="2s")
    started(house)
    house.say(house.alert())
    (mail, *_) = house.mails(LI, count=1)
    page, *_ = house.mails(*PAGES, count=2)
    assert "K7QF-2M9X-RT4BD" in mail
    assert "K7QF" not in page.text + page.subject
    house.mails(NIGHT, count=1)
    assert httpx.get(link(mail), trust_env=False).status_code == 200
    house.mails(NIGHT, count=2)
    assert press(link(mail)).status_code == 200
    reader = TopicReader(house.bootstrap, house.prefix + DELIVERIES.name)
    (acknowledged,) = reader.wait_for(lambda value: value["state"] == "acknowledged", 20)
    assert (acknowledged["recipient"], acknowledged["reason"]) == ("li", "link")
    told = len(house.mailbox.to(NIGHT))
    house.say(house.alert(alert_id="later"))
    house.mailbox.wait_for(lambda mail: "LATE" in mail.subject and NIGHT in mail.recipients, 20)
    assert len([mail for mail in house.mailbox.to(NIGHT) if "LATE" not in mail.subject]) <= told + 1
    reader.close()


def test_a_withdrawal_reaches_exactly_those_who_were_told(house: House) -> None:
    house.prepare()
    house.mailbox.refuses.add(WANG)
    started(house)
    house.say(house.alert())
    house.mails(LI, *PAGES, count=3)
    house.say(house.alert(action="withdrawn", reason="the result was corrected"))
    house.mails(LI, count=2)
    house.mails(*PAGES, count=4)
    assert house.mailbox.to(WANG) == ()
    assert {recipient for mail in house.mailbox.mails for recipient in mail.recipients} == {LI, *PAGES}


def test_an_overdue_draw_is_told_to_the_trial_office_once(house: House) -> None:
    house.prepare()
    started(house)
    for seq in (1, 2):
        house.say(a_plan(seq=seq, status="overdue"))
    house.mails("office@hospital.example", count=1)
    house.say(a_plan(seq=3, status="overdue", draw=2))
    house.mails("office@hospital.example", count=2)
    assert len(house.mailbox.mails) == 2


def test_a_mail_server_that_comes_back_gets_everything_that_waited(house: House) -> None:
    house.prepare()
    house.mailbox.down()
    started(house)
    house.say(*(house.alert(alert_id=f"a{number}") for number in range(5)))
    _until(lambda: house.processes[0].metrics().get('notifier_told_total{channel="mail",result="retry"}', 0) > 0)
    house.mailbox.up()
    house.mails(LI, count=5)
    assert len({mail.message["Message-ID"] for mail in house.mailbox.to(LI)}) == 5


@pytest.mark.slow
def test_killed_in_the_middle_nothing_is_lost_and_duplicates_have_equal_ids(house: House) -> None:
    house.prepare()
    process = started(house)
    alerts = [house.alert(alert_id=f"a{number:03}", roles=["haematology"]) for number in range(150)]

    def speak() -> None:
        for at in range(0, 150, 10):
            house.say(*alerts[at : at + 10])

    speaking = threading.Thread(target=speak)
    speaking.start()
    for survived in (10, 60, 150):
        house.mails(WANG, count=survived, timeout=60)
        process.kill()
        process.start()
    speaking.join()
    process.wait_ready()
    _until(lambda: len(_ids(house.mailbox.to(WANG))) == 150, seconds=60)
    _until(lambda: len(_ids(house.mailbox.to(PAGES[1]))) == 150, seconds=60)
    by_subject = Counter(mail.subject for mail in dict(_by_id(house.mailbox.to(WANG))).values())
    assert set(by_subject.values()) == {1}, "two ids for one alert"


def test_a_database_that_goes_away_is_said_and_waited_for(house: House, postgres_url: str) -> None:
    house.prepare()
    process = started(house, NOTIFIER_DATABASE_URL=postgres_url)
    house.say(house.alert())
    house.mails(LI, count=1)
    database = make_url(postgres_url).database
    server = create_engine(make_url(postgres_url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        db.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false'))
        db.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"))
        house.say(house.alert(alert_id="b1"))
        _until(lambda: "OperationalError" in (process.readiness() or ""))
        db.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true'))
    server.dispose()
    house.mails(LI, count=2)
    process.wait_ready()
    assert process.stop() == 0


@pytest.mark.slow
def test_two_notifiers_on_one_database_share_the_work_and_say_everything_once(house: House, postgres_url: str) -> None:
    house.prepare(acknowledge_within="3s")
    processes = [started(house, NOTIFIER_DATABASE_URL=postgres_url) for _ in range(2)]
    patients = [f"P{number:03}" for number in range(20)]
    alerts = [house.alert(alert_id=f"a{ref}", patient_ref=ref, roles=["haematology"]) for ref in patients]
    house.say(*alerts)
    house.mails(WANG, count=20)
    house.mails(NIGHT, count=20)
    per_id = Counter(str(mail.message["Message-ID"]) for mail in house.mailbox.mails)
    assert max(per_id.values()) == 1
    processes[0].kill()
    house.say(*(house.alert(alert_id=f"b{ref}", patient_ref=ref, roles=["haematology"]) for ref in patients))
    _until(lambda: sum("BP0" in mail.subject for mail in house.mailbox.to(WANG)) >= 20, seconds=60)
    assert processes[1].stop() == 0


def test_records_that_cannot_be_read_are_buried_and_the_next_is_told(house: House) -> None:
    house.prepare()
    started(house)
    bad = [b"", b"{}", b"not json", b"\xff\xfe", b'{"alert_id": 7}', b"[" * 10_000]
    house.put((ALERTS.name, b"K7QF-2M9X-RT4BD", body) for body in bad)
    house.say(house.alert())
    house.mails(LI, count=1)
    reader = TopicReader(house.bootstrap, house.prefix + ALERTS.dead)
    buried = reader.wait_for(lambda _: True, 20, count=len(bad))
    assert {value["reason"] for value in buried} == {"undecodable"}
    reader.close()


def test_sigterm_ends_it_cleanly_within_half_a_minute(house: House) -> None:
    house.prepare()
    process = started(house)
    house.say(house.alert())
    began = time.monotonic()
    assert process.stop(30) == 0
    assert time.monotonic() - began < 30
    process.start()
    house.mails(LI, count=1)


def test_without_a_broker_it_waits_says_so_and_shows_the_worklist(house: House) -> None:
    house.prepare()
    process = house.notifier(KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    process.start()
    _until(lambda: "Kafka is away" in (process.readiness() or ""))
    port = process.env["NOTIFIER_HTTP_PORT"]
    assert httpx.get(f"http://127.0.0.1:{port}/sign-in", trust_env=False).status_code == 200
    assert process.stop() == 0


@pytest.mark.slow
def test_a_broker_that_falls_silent_is_said_and_what_it_then_brings_is_told(own_broker: Broker, house: House) -> None:
    house.bootstrap = own_broker.bootstrap
    house.prepare()
    process = started(house)
    house.say(house.alert())
    (mail, *_) = house.mails(LI, count=1)
    own_broker.freeze()
    try:
        _until(lambda: process.readiness() is not None, seconds=60)
        assert press(link(mail)).status_code == 200
    finally:
        own_broker.thaw()
    house.say(house.alert(alert_id="b1"))
    house.mails(LI, count=2, timeout=60)
    process.wait_ready()
    assert process.is_running


def test_wrong_topics_end_it_with_a_sentence(house: House) -> None:
    house.prepare()
    process = house.notifier(TOPIC_PREFIX=f"{house.prefix}nothing-here.")
    process.start()
    _until(lambda: not process.is_running)
    assert process.exit_code == 2
    assert "does not exist: run `python -m schemas.topics --apply`" in process.tail()


def test_a_second_notifier_on_the_same_file_ends_with_a_sentence(house: House) -> None:
    house.prepare()
    started(house)
    second = house.notifier()
    second.start()
    _until(lambda: not second.is_running)
    assert second.exit_code == 2
    assert "another process" in second.tail()


@pytest.mark.slow
def test_frozen_for_longer_than_its_lease_it_goes_on_where_it_was(house: House) -> None:
    house.prepare()
    process = started(house)
    house.say(house.alert())
    house.mails(LI, count=1)
    process.pause()
    house.say(house.alert(alert_id="b1"))
    time.sleep(8)
    process.resume()
    house.mailbox.wait_for(lambda mail: "B1" in mail.subject and LI in mail.recipients, 40)
    assert process.is_running


def _until(true: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come to be in time"
        time.sleep(0.05)


def _ids(mails: tuple[Mail, ...]) -> set[str]:
    return {str(mail.message["Message-ID"]) for mail in mails}


def _by_id(mails: tuple[Mail, ...]) -> list[tuple[str, Mail]]:
    return [(str(mail.message["Message-ID"]), mail) for mail in mails]
