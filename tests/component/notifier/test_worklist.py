"""The worklist as people meet it: the real pages over a real store."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from services.common.database import reading
from services.notifier.store import tables
from services.notifier.web.session import LASTS
from tests.support.browser import forms, press
from tests.support.site import PASSWORD
from tests.support.worklist import NOW, REF, Ward, a_plan, a_ward, add, an_alert, sign_in

WRONG = "not the password"


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    with a_ward(tmp_path) as opened:
        yield opened


def audit_of(ward: Ward, what: str) -> list[tuple[str, str | None]]:
    with reading(ward.engine) as db:
        rows = db.execute(select(tables.audit.c.who, tables.audit.c.patient_ref).where(tables.audit.c.what == what))
        return [(who, ref) for who, ref in rows]


def published(ward: Ward) -> list[dict[str, object]]:
    with reading(ward.engine) as db:
        rows = tables.outbox.unsaid(db)
    return [json.loads(row.value or b"") for row in rows if row.topic == "clinical-events.v1"]


@pytest.mark.parametrize("path", ["/", f"/patients/{REF}"])
def test_nobody_sees_a_patient_without_signing_in(ward: Ward, path: str) -> None:
    ward.patient()
    ward.say(an_alert())
    page = ward.browser().get(path)
    assert page.url.path == "/sign-in"
    assert "Ferritin" not in page.text
    assert "患者" not in page.text


def test_signing_in_leads_to_the_page_that_was_asked_for(ward: Ward) -> None:
    ward.patient()
    browser = ward.browser()
    page = press(browser, browser.get(f"/patients/{REF}"), person="li", password=PASSWORD)
    assert page.url.path == f"/patients/{REF}"


@pytest.mark.parametrize("then", ["//evil.example/", "https://evil.example/", "/\\evil.example", "/\t/evil.example"])
def test_signing_in_leads_nowhere_else(ward: Ward, then: str) -> None:
    browser = ward.browser()
    page = press(browser, browser.get("/sign-in", params={"then": then}), person="li", password=PASSWORD, then=then)
    assert str(page.url) == f"{ward.address}/"


def test_an_empty_worklist_says_that_it_is_empty(ward: Ward) -> None:
    page = ward.signed_in("meyer").get("/").text
    assert "No open alerts." in page
    assert "No retest is due or overdue." in page


def test_the_worklist_shows_who_was_told_who_answers_and_what_comes_next(ward: Ward) -> None:
    ward.patient()
    alert = ward.say(an_alert())
    ward.told(alert, "li")
    ward.told(alert, "wang", result="refused", reason="mailbox unknown")
    ward.plan(a_plan())
    page = ward.signed_in("meyer").get("/").text
    for text in (
        "测试·患者",
        "Oncology 3",
        "Ferritin 240 µg/L",
        "3.00 × baseline",
        "P2 today",
        "Li",
        "not reached, refused",
    ):
        assert text in page
    for text in ("Nobody yet.", "If nobody acknowledges by 22 Jan 2026 10:40", "Missing: CRP", "Pending: IL-6"):
        assert text in page
    assert "MRN" not in page


def test_the_most_urgent_comes_first_then_the_oldest(ward: Ward) -> None:
    moments = [NOW - timedelta(hours=hours) for hours in (1, 3, 2)]
    for alert_id, urgency, at in zip(("aaaa", "bbbb", "cccc"), ("P2", "P2", "P1"), moments, strict=True):
        ward.say(an_alert(alert_id=alert_id, urgency=urgency, decided_at=at))
    page = ward.signed_in("meyer").get("/").text
    assert re.findall(r'<h3 id="alert-(\w+)"', page) == ["CCCC", "BBBB", "AAAA"]


@pytest.mark.parametrize("action", ["withdrawn", "cleared", "moved"])
def test_what_no_longer_stands_is_not_on_the_worklist(ward: Ward, action: str) -> None:
    ward.say(an_alert(action=action, seq=2))
    assert "No open alerts." in ward.signed_in("meyer").get("/").text


def test_a_shadow_rule_is_not_on_the_worklist(ward: Ward) -> None:
    ward.say(an_alert(mode="shadow"))
    assert "No open alerts." in ward.signed_in("meyer").get("/").text


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        pytest.param(-25, "No retest is due or overdue.", id="before the window"),
        pytest.param(-24, "Due 22 Jan 2026 08:00", id="exactly when the window opens"),
        pytest.param(24, "Overdue since 23 Jan 2026 08:00", id="exactly when it is overdue"),
    ],
)
def test_a_retest_is_asked_for_from_its_window_on(ward: Ward, hours: int, text: str) -> None:
    plan = ward.plan(a_plan(status="scheduled"))
    ward.now = plan.due_at + timedelta(hours=hours)
    assert text in ward.signed_in("meyer").get("/").text


def test_a_ward_and_an_urgency_can_be_chosen(ward: Ward) -> None:
    ward.patient()
    ward.patient("OTHER-REF", "Somebody", "Oncology 5")
    ward.say(an_alert())
    ward.say(an_alert(alert_id="ffff", patient_ref="OTHER-REF", urgency="P3"))
    browser = ward.signed_in("meyer")
    assert "OTHER-REF" not in browser.get("/", params={"ward": "Oncology 3"}).text
    assert REF not in browser.get("/", params={"urgency": "P3", "ward": ""}).text


def test_long_lists_come_in_pages(ward: Ward) -> None:
    for number in range(30):
        ward.say(an_alert(alert_id=f"{number:04d}", decided_at=NOW - timedelta(hours=number)))
    browser = ward.signed_in("meyer")
    first, second = browser.get("/").text, browser.get("/", params={"page": 2}).text
    assert (first.count("<article"), second.count("<article")) == (25, 5)
    assert "Page 2 of 2" in second


def test_who_looked_at_which_patient_is_written_down(ward: Ward) -> None:
    ward.patient()
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    browser.get(f"/patients/{REF}")
    assert audit_of(ward, "viewed") == [("meyer", REF)]
    assert set(audit_of(ward, "listed")) == {("meyer", REF)}


def test_what_cannot_be_written_down_is_not_shown(ward: Ward) -> None:
    ward.patient()
    browser = ward.signed_in("meyer")
    with ward.engine.begin() as db:
        db.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'full'); END")
    page = browser.get(f"/patients/{REF}")
    assert page.status_code in (500, 503)
    assert "患者" not in page.text


def test_a_store_that_is_away_is_said_in_words(ward: Ward) -> None:
    browser = ward.signed_in("meyer")
    with ward.engine.begin() as db:
        db.exec_driver_sql("DROP TABLE told")
    ward.say(an_alert())
    page = browser.get("/")
    assert page.status_code == 503
    assert "use the telephone" in page.text


def test_acknowledging_on_the_worklist_answers_for_the_alert(ward: Ward) -> None:
    ward.patient()
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    page = press(browser, browser.get("/"), containing="/acknowledge")
    assert "Recorded: acknowledged." in page.text
    assert "Meyer" in browser.get("/").text
    assert "Nobody yet." not in browser.get("/").text
    assert len(ward.acted) == 2


def test_an_acknowledgement_of_a_lower_level_is_shown_as_outlived(ward: Ward) -> None:
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    press(browser, browser.get("/"), containing="/acknowledge")
    ward.say(an_alert(seq=2, action="escalated", level=3, urgency="P1"))
    page = browser.get("/")
    assert "It covered level 2 (P2); the alert has got worse since." in page.text
    assert any("/acknowledge" in form.action for form in forms(page))


def test_closing_an_episode_tells_the_detector_once(ward: Ward) -> None:
    ward.patient()
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    page = browser.get(f"/patients/{REF}")
    assert "as soon as the detector" in press(browser, page, containing="/close", outcome="infection").text
    ward.now += timedelta(seconds=1)
    assert "Nothing was changed" in press(browser, page, containing="/close", outcome="infection").text
    (event,) = published(ward)
    assert (event["kind"], event["episode_id"], event["outcome"]) == ("episode-closed", "e91c04aa7b32", "infection")
    assert (event["by"], event["patient_ref"]) == ("meyer", REF)
    assert "waiting for the detector" in browser.get(f"/patients/{REF}").text


def test_a_closed_episode_that_is_told_anew_can_be_closed_again(ward: Ward) -> None:
    ward.patient()
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    press(browser, browser.get(f"/patients/{REF}"), containing="/close", outcome="infection")
    ward.now += timedelta(hours=1)
    ward.say(an_alert(seq=3), at=ward.now)
    ward.now += timedelta(hours=1)
    press(browser, browser.get(f"/patients/{REF}"), containing="/close", outcome="progression")
    assert [event["outcome"] for event in published(ward)] == ["infection", "progression"]


def test_the_watch_of_a_rule_is_closed_by_its_rule(ward: Ward) -> None:
    ward.say(an_alert(episode_id=None, level=1, urgency="P3"))
    browser = ward.signed_in("meyer")
    page = browser.get(f"/patients/{REF}")
    press(browser, page, containing="/close", outcome="iron", second_reader="li")
    (event,) = published(ward)
    assert (event["episode_id"], event["rule_id"], event["second_reader"]) == (None, "ferritin.rise", "li")


def test_confirming_an_episode_tells_the_detector(ward: Ward) -> None:
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    press(browser, browser.get(f"/patients/{REF}"), containing="/confirm")
    (event,) = published(ward)
    assert (event["kind"], event["episode_id"], event["by"]) == ("episode-confirmed", "e91c04aa7b32", "meyer")


def test_outside_the_immunotherapy_arm_no_irae_can_be_said(ward: Ward) -> None:
    ward.say(an_alert(wording="ae-possible", arm="chemotherapy"))
    browser = ward.signed_in("meyer")
    page = browser.get(f"/patients/{REF}")
    assert "irAE" not in page.text.replace("not-irAE", "")
    assert "Nothing was changed" in press(browser, page, containing="/close", outcome="irAE").text
    assert published(ward) == []


def test_an_account_that_may_only_look_cannot_decide(ward: Ward) -> None:
    ward.say(an_alert())
    browser = ward.signed_in("office")
    page = browser.get(f"/patients/{REF}")
    assert [form.action for form in forms(page) if form.method == "post"] == ["/sign-out"]
    (sign_out,) = (form for form in forms(page) if form.action == "/sign-out")
    answer = browser.post(
        f"/patients/{REF}/confirm", data={"csrf": sign_out.fields["csrf"], "episode_id": "e91c04aa7b32"}
    )
    assert answer.status_code == 403
    assert published(ward) == []


@pytest.mark.parametrize("csrf", ["", "0" * 64, "é"])
def test_a_form_that_is_not_ours_changes_nothing(ward: Ward, csrf: str) -> None:
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    answer = browser.post(f"/patients/{REF}/confirm", data={"csrf": csrf, "episode_id": "e91c04aa7b32"})
    assert answer.status_code == 403
    assert published(ward) == []


def test_the_timeline_tells_the_story(ward: Ward) -> None:
    ward.patient()
    first = ward.say(an_alert())
    ward.told(first, "li")
    browser = ward.signed_in("meyer")
    press(browser, browser.get("/"), containing="/acknowledge")
    ward.now += timedelta(minutes=5)
    ward.say(an_alert(seq=2, action="withdrawn", reason="corrected", decided_at=ward.now), at=ward.now)
    page = browser.get(f"/patients/{REF}").text
    story = page[page.index('id="timeline"') :]
    told = ["Withdrawn: Ferritin rise", "Acknowledged by Meyer", "Li told by mail", "Raised: Ferritin rise"]
    places = [story.index(text) for text in told]
    assert places == sorted(places)
    assert "a result was corrected" in story


def test_an_unknown_patient_is_said_in_words(ward: Ward) -> None:
    page = ward.signed_in("meyer").get("/patients/<script>alert(1)")
    assert page.status_code == 404
    assert "No such patient" in page.text
    assert "<script" not in page.text


def test_text_of_the_feed_is_never_markup(ward: Ward) -> None:
    ward.patient(name="<img src=x onerror=alert(1)>", ward='"><b>')
    ward.say(an_alert(reason="<script>", organ="<i>", analyte="<u>"))
    browser = ward.signed_in("meyer")
    for page in (browser.get("/").text, browser.get(f"/patients/{REF}").text):
        assert not re.search(r"<(img|script|b|i|u)\b", page)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("zh-CN,zh;q=0.9", "zh"), ("en-GB", "en"), ("fr,en;q=0.5,zh;q=0.8", "zh"), ("", "zh"), ("en;q=x,de", "zh")],
)
def test_the_browser_chooses_the_language(ward: Ward, header: str, expected: str) -> None:
    assert f'<html lang="{expected}">' in ward.browser(language=header).get("/sign-in").text


def test_the_language_switch_is_remembered(ward: Ward) -> None:
    browser = ward.signed_in("meyer")
    assert '<html lang="zh">' in browser.get("/?lang=zh").text
    assert '<html lang="zh">' in browser.get("/").text


def test_a_session_ends_after_a_shift(ward: Ward) -> None:
    browser = ward.signed_in("meyer")
    ward.now += LASTS
    assert browser.get("/").url.path == "/sign-in"


def test_signing_out_ends_the_session(ward: Ward) -> None:
    browser = ward.signed_in("meyer")
    press(browser, browser.get("/"), containing="/sign-out")
    assert browser.get("/").url.path == "/sign-in"


def test_a_copy_of_the_cookie_is_worth_nothing_after_signing_out(ward: Ward) -> None:
    browser, other = ward.signed_in("meyer"), ward.signed_in("meyer")
    header = {"Cookie": f"worklist={browser.cookies['worklist']}"}
    assert ward.browser().get("/", headers=header).url.path == "/"
    press(browser, browser.get("/"), containing="/sign-out")
    assert ward.browser().get("/", headers=header).url.path == "/sign-in"
    assert other.get("/").url.path == "/", "another session of the same person goes on"


def test_a_changed_cookie_is_worth_nothing(ward: Ward) -> None:
    browser = ward.signed_in("meyer")
    cookie = browser.cookies["worklist"]
    for changed in (cookie[:-1] + ("0" if cookie[-1] != "0" else "1"), "A" + cookie, cookie.split(".")[0] + ".", "é.é"):
        header = {b"Cookie": f"worklist={changed}".encode()}
        assert (
            ward.browser().get("/", headers=header, follow_redirects=False).headers["location"].startswith("/sign-in")
        )


def test_guessing_is_slowed_down_and_the_right_password_waits_too(ward: Ward) -> None:
    browser = ward.browser()
    answers = [sign_in(browser, "li", WRONG).status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]
    assert sign_in(browser, "li").status_code == 429
    ward.now += timedelta(minutes=1)
    assert sign_in(browser, "li").url.path == "/"


@pytest.mark.parametrize("person", ["nobody", "", "li' OR 1=1"])
def test_an_unknown_person_is_refused_like_a_wrong_password(ward: Ward, person: str) -> None:
    page = sign_in(ward.browser(), person or " ", WRONG)
    assert page.status_code == 401
    assert "Name or password is wrong." in page.text


@pytest.mark.parametrize("path", ["/sign-in", "/ack/unknown", "/nothing", "/static/worklist.css"])
def test_every_answer_carries_the_safety_headers(ward: Ward, path: str) -> None:
    headers = ward.browser().get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


def test_no_page_holds_a_script_or_an_inline_style(ward: Ward) -> None:
    ward.patient()
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    for path in ("/", f"/patients/{REF}", "/sign-in", ward.link(an_alert())):
        page = browser.get(path).text
        assert "<script" not in page
        assert "style=" not in page
        assert " onclick" not in page


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(ward: Ward) -> None:
    browser = ward.browser()
    browser.follow_redirects = False
    cookies = sign_in(browser, "li").headers.get_list("set-cookie")
    assert cookies
    assert all("HttpOnly" in cookie and "SameSite=lax" in cookie for cookie in cookies)


def test_a_large_form_is_refused(ward: Ward) -> None:
    assert ward.browser().post("/sign-in", content=b"a" * 20_000).status_code == 413


def test_messages_that_wait_are_counted(ward: Ward) -> None:
    alert = ward.say(an_alert())
    with ward.engine.begin() as db:
        values = dict.fromkeys(("item_id", "kind", "role", "reason", "channel", "address", "message_id"), "x")
        more = {"alert_id": alert.alert_id, "urgency": "P2", "person_id": "li", "tier": "mail", "language": "zh"}
        add(db, tables.notifications, **values, **more, payload="{}", state="waiting", created_at=NOW, due_at=NOW)
    assert "1 messages waiting to be delivered" in ward.signed_in("meyer").get("/").text


@pytest.mark.parametrize("path", ["/sign-in/", "//evil.example/", "/patients/x/"])
def test_no_answer_leads_to_the_host_that_a_request_names(ward: Ward, path: str) -> None:
    answer = ward.browser().get(f"{ward.address}{path}", headers={"Host": "evil.example"}, follow_redirects=False)
    assert "evil" not in answer.headers.get("location", "")
    assert "//evil" not in answer.text


def test_a_cookie_that_is_deeper_than_any_of_ours_is_nobody(ward: Ward) -> None:
    cookie = base64.urlsafe_b64encode(b"[" * 30_000).decode() + ".x"
    assert ward.browser().get("/", headers={"Cookie": f"worklist={cookie}"}).url.path == "/sign-in"


def test_a_page_loaded_before_the_alert_got_worse_does_not_answer_for_it(ward: Ward) -> None:
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    old = browser.get("/")
    ward.say(an_alert(seq=2, action="escalated", level=3, urgency="P1"))
    assert "Nothing was acknowledged: the alert has got worse" in press(browser, old, containing="/acknowledge").text
    with reading(ward.engine) as db:
        assert db.execute(select(tables.acknowledgements)).all() == []
    assert "Recorded: acknowledged." in press(browser, browser.get("/"), containing="/acknowledge").text


def test_a_second_reader_whom_nobody_knows_closes_nothing(ward: Ward) -> None:
    ward.say(an_alert())
    browser = ward.signed_in("meyer")
    page = browser.get(f"/patients/{REF}")
    answer = press(browser, page, containing="/close", outcome="infection", second_reader="Anna Patient")
    assert "Nothing was changed" in answer.text
    assert published(ward) == []
