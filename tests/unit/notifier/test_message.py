"""What a message may say, to whom, in which words: laws over every rule, action, reason and language."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert_v1 import Alert
from services.notifier.adapters.templates import Letters, read_catalogues
from services.notifier.domain.evidence import DigestView, alert_number
from services.notifier.domain.message import IRAE, PAGE_CHARACTERS, SUBJECT_CHARACTERS, View
from services.notifier.domain.words import Language
from services.notifier.store.evidence import alert_view, plan_view
from tests.support.worklist import DRAWN, REF, a_plan, an_alert

LETTERS = Letters(ZoneInfo("Asia/Shanghai"))
ACTIONS = ("raised", "escalated", "revised", "withdrawn", "cleared", "moved")
RULES = tuple(LETTERS.words("en").catalogue["rule"])
REASONS = (*LETTERS.words("en").catalogue["reason"], "closed as irAE by somebody", "an IRAE", "ir-AE")
NOT_IRAE = re.compile(r"ir-?ae|immune-related|免疫相关", re.IGNORECASE)
SERVICES = Path(__file__).parents[3] / "services"


def of_ae_possible(**changed: Any) -> Alert:
    return an_alert(wording="ae-possible", arm="chemotherapy", **changed)


def everything(view: View, language: str) -> str:
    mail = LETTERS.write(view, tier="mail", language=language, ack_url="https://a/ack/t", call_back="5500")
    page = LETTERS.write(view, tier="page", language=language, call_back="5500")
    return f"{mail.subject}\n{mail.text}\n{mail.html}\n{page.text}"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("action", ACTIONS)
def test_the_word_irae_never_reaches_another_arm(language: str, action: str) -> None:
    for rule in RULES:
        view = alert_view(of_ae_possible(action=action, rule_id=rule), before=of_ae_possible(rule_id=rule))
        assert not NOT_IRAE.search(everything(view, language)), rule
    for reason in REASONS:
        changed = {"action": action, "reason": reason, "clears_when": reason, "notes": [reason]}
        view = alert_view(of_ae_possible(**changed), before=of_ae_possible())
        assert not NOT_IRAE.search(everything(view, language)), reason


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_immunotherapy_arm_hears_of_a_suspicion_to_be_judged(language: str) -> None:
    text = LETTERS.write(alert_view(an_alert()), tier="mail", language=language).text
    assert IRAE.search(text)
    assert {"zh": "提示可能", "en": "suggests a possible"}[language] in text
    assert {"zh": "须由医师判断", "en": "to be judged"}[language] in text


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_page_carries_number_urgency_and_call_back_only(language: str, action: str) -> None:
    view = alert_view(an_alert(action=action), before=an_alert())
    page = LETTERS.write(view, tier="page", language=language, ack_url="https://a/ack/t", call_back="021-5500")
    assert "0F1E-2D3C" in page.text
    assert "021-5500" in page.text
    for secret in (REF, "240", "Ferritin", "铁蛋白", "immun", "免疫", "/ack/"):
        assert secret not in page.text + page.subject
    assert page.html == ""


@given(call_back=st.text(max_size=300), alert_id=st.text(min_size=1, max_size=200), organ=st.text(max_size=300))
def test_pages_and_subjects_are_one_short_line(call_back: str, alert_id: str, organ: str) -> None:
    for action in ACTIONS:
        view = alert_view(an_alert(action=action, alert_id=alert_id, organ=organ))
        for language in Language:
            mail = LETTERS.write(view, tier="mail", language=language, call_back=call_back)
            page = LETTERS.write(view, tier="page", language=language, call_back=call_back)
            assert len(page.text) <= PAGE_CHARACTERS
            assert len(mail.subject) <= SUBJECT_CHARACTERS
            assert len((page.text + mail.subject).splitlines()) == 1


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(alert_view(an_alert()), id="alert"),
        pytest.param(plan_view(a_plan()), id="overdue retest"),
        pytest.param(DigestView("daily", (alert_view(an_alert()),)), id="digest"),
    ],
)
def test_a_subject_names_nobody(view: View) -> None:
    for language in Language:
        assert REF not in LETTERS.write(view, tier="mail", language=language).subject


@pytest.mark.parametrize("action", ACTIONS)
def test_only_what_stands_can_be_acknowledged(action: str) -> None:
    view = alert_view(an_alert(action=action), before=an_alert())
    mail = LETTERS.write(view, tier="mail", language="en", ack_url="https://a/ack/t")
    ends = action in ("withdrawn", "cleared", "moved")
    assert ("/ack/" in mail.text, mail.html.count("/ack/")) == (not ends, 0 if ends else 1)


@pytest.mark.parametrize("action", ["withdrawn", "revised"])
def test_a_correction_says_what_was_said_that_it_no_longer_stands_and_why(action: str) -> None:
    later = (DRAWN + timedelta(days=1)).isoformat()
    after = an_alert(action=action, seq=2, level=1, value="106", reason="corrected", decided_at=later)
    text = LETTERS.write(alert_view(after, before=an_alert()), tier="mail", language="en").text
    for said in ("19 Jan 2026 10:00", "level 2, suspect", "240 µg/L", "no longer stands", "a result was corrected"):
        assert said in text


def test_no_html_holds_a_script_or_a_remote_picture() -> None:
    evil = an_alert(reason="<script>", organ="<img src=http://x>", analyte="<b>", missing=["<i>"], clears_when="<u>")
    html = LETTERS.write(alert_view(evil), tier="mail", language="en", ack_url='https://a/"><script>').html
    assert not re.search(r"<(script|img|b|i|u|link|iframe|object)\b", html)
    assert not re.search(r"<[^>]*\b(src|background)=", html)


def test_both_languages_know_every_rule_and_analyte() -> None:
    routed = tomllib.loads((SERVICES / "detector/rules/ctcae_routing.toml").read_text("utf-8"))
    listed = tomllib.loads((SERVICES / "ingest/rules/analytes.toml").read_text("utf-8"))
    assert {f"ctcae.{slug}" for slug in routed} <= set(RULES)
    assert set(listed["analyte"]) <= set(LETTERS.words("zh").catalogue["analyte"])


def test_the_catalogues_have_the_same_places() -> None:
    assert set(read_catalogues()) == set(Language)


@pytest.mark.parametrize(
    ("language", "value", "shown"),
    [
        pytest.param("en", "9999.5", "Ferritin 9999.5 µg/L", id="below ten thousand as it is"),
        pytest.param("en", "12345.60", "Ferritin 12,345.60 µg/L", id="grouped, no digit lost"),
        pytest.param("zh", "12345.60", "铁蛋白 12345.60 µg/L", id="Chinese does not group"),
        pytest.param("en", "0.00001", "Ferritin 0.00001 µg/L", id="no exponent"),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(language: str, value: str, shown: str) -> None:
    assert shown in LETTERS.write(alert_view(an_alert(value=value)), tier="mail", language=language).text


@pytest.mark.parametrize(("comparator", "shown"), [("<", "< 240"), ("<=", "≤ 240"), (">", "> 240"), (">=", "≥ 240")])
def test_a_bound_is_shown_as_a_bound(comparator: str, shown: str) -> None:
    assert shown in LETTERS.write(alert_view(an_alert(comparator=comparator)), tier="mail", language="en").text


@pytest.mark.parametrize(
    ("sentence", "zh"),
    [
        (
            "at least 3 draws, ALT, FERRITIN recovered for 24 h, or a closure by a named person",
            "ALT、铁蛋白 恢复满 24 小时",
        ),
        ("a clear result of FERRITIN, or a closure by a named person", "铁蛋白 再次检测已无异常"),
        ("something new", "something new"),
    ],
)
def test_what_clears_an_alert_is_said_in_the_readers_language(sentence: str, zh: str) -> None:
    assert zh in LETTERS.write(alert_view(an_alert(clears_when=sentence)), tier="mail", language="zh").text


def test_an_unknown_rule_organ_or_language_is_still_told() -> None:
    view = alert_view(an_alert(rule_id="lung.new", organ="spleen", level=7))
    mail = LETTERS.write(view, tier="mail", language="fr")
    assert "lung.new" in mail.text
    assert "spleen" in mail.subject


@given(st.text(max_size=300))
def test_a_number_is_short_and_plain(alert_id: str) -> None:
    assert re.fullmatch(r"[0-9A-Z]{0,4}(-[0-9A-Z]{1,4})?", alert_number(alert_id))
