"""The link of a mail: what it shows, what its button does, and what it never does."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from services.common.database import reading
from services.notifier.store import tables
from tests.support.browser import forms, press
from tests.support.worklist import NOW, REF, Ward, a_ward, an_alert


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    with a_ward(tmp_path) as opened:
        opened.patient()
        yield opened


def acknowledgements(ward: Ward) -> int:
    with reading(ward.engine) as db:
        return db.scalar(select(func.count()).select_from(tables.acknowledgements)) or 0


def push(ward: Ward, path: str) -> httpx.Response:
    browser = ward.browser()
    return press(browser, browser.get(path), containing="/ack/")


def test_looking_never_acknowledges(ward: Ward) -> None:
    path = ward.link(ward.say(an_alert()))
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        ward.browser().request(method, path)
    assert acknowledgements(ward) == 0


def test_the_page_shows_the_evidence_and_nothing_that_names_the_patient(ward: Ward) -> None:
    page = ward.browser().get(ward.link(ward.say(an_alert())))
    for text in ("Ferritin 240 µg/L", "0F1E-2D3C", "P2 today", "as Li"):
        assert text in page.text
    for text in (REF, "测试", "MRN", "Oncology 3"):
        assert text not in page.text


def test_the_button_acknowledges_without_signing_in(ward: Ward) -> None:
    path = ward.link(ward.say(an_alert()))
    assert "Acknowledged by Li" in push(ward, path).text
    assert acknowledgements(ward) == 1


def test_the_button_pressed_twice_is_one_acknowledgement(ward: Ward) -> None:
    path = ward.link(ward.say(an_alert()))
    first = ward.browser().get(path)
    press(ward.browser(), first, containing="/ack/")
    ward.now += timedelta(seconds=1)
    again = press(ward.browser(), first, containing="/ack/")
    assert "Already acknowledged by Li" in again.text
    assert acknowledgements(ward) == 1


def test_a_second_person_sees_who_was_first(ward: Ward) -> None:
    alert = ward.say(an_alert())
    other = ward.link(alert, "wang", "another-token")
    push(ward, ward.link(alert))
    page = ward.browser().get(other)
    assert "Already acknowledged by Li" in page.text
    assert not [form for form in forms(page) if form.method == "post"]


def test_an_expired_link_shows_nothing_of_the_alert(ward: Ward) -> None:
    path = ward.link(ward.say(an_alert()), days=1)
    page = ward.browser().get(path)
    assert page.status_code == 410
    assert "has expired" in page.text
    assert "Ferritin" not in page.text


def test_a_link_of_a_lower_level_does_not_answer_for_a_worse_one(ward: Ward) -> None:
    path = ward.link(ward.say(an_alert()))
    first = ward.browser().get(path)
    ward.say(an_alert(seq=2, action="escalated", level=3, urgency="P1"))
    page = press(ward.browser(), first, containing="/ack/")
    assert page.status_code == 409
    assert "got worse (P1, level 3)" in page.text
    assert acknowledgements(ward) == 0


@pytest.mark.parametrize(("action", "word"), [("withdrawn", "Withdrawn"), ("cleared", "Cleared"), ("moved", "Moved")])
def test_an_alert_that_no_longer_stands_is_said_to(ward: Ward, action: str, word: str) -> None:
    path = ward.link(ward.say(an_alert()))
    first = ward.browser().get(path)
    ward.say(an_alert(seq=2, action=action))
    page = press(ward.browser(), first, containing="/ack/")
    assert page.status_code == 410
    assert f"no longer stands ({word})" in page.text
    assert acknowledgements(ward) == 0


@pytest.mark.parametrize("token", ["unknown", "a" * 5000, "%00", "é"])
def test_an_unknown_link_is_said_in_words(ward: Ward, token: str) -> None:
    ward.link(ward.say(an_alert()))
    for answer in (ward.browser().get(f"/ack/{token}"), ward.browser().post(f"/ack/{token}")):
        assert answer.status_code == 404
        assert "not known" in answer.text
    assert acknowledgements(ward) == 0


def test_the_page_speaks_chinese(ward: Ward) -> None:
    page = ward.browser(language="zh").get(ward.link(ward.say(an_alert())))
    assert "铁蛋白 240 µg/L" in page.text
    assert "我确认" in page.text


def test_what_publishes_is_sent_at_once(ward: Ward) -> None:
    ward.now = NOW
    push(ward, ward.link(ward.say(an_alert())))
    (acting,) = ward.acted
    with reading(ward.engine) as db:
        (row,) = tables.outbox.unsaid(db)
    assert (row.topic, acting.now) == ("deliveries.v1", NOW)
