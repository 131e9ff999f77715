"""Messages as they leave, text and HTML, against files that people have read."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.alert_v1 import Alert
from services.notifier.adapters.templates import Letters
from services.notifier.domain.evidence import DigestView, Told
from services.notifier.domain.message import View
from services.notifier.store.evidence import alert_view, plan_view
from tests.support.worklist import DRAWN, a_plan, an_alert

FOLDER = Path(__file__).parent
LETTERS = Letters(ZoneInfo("Asia/Shanghai"))
LATER = DRAWN + timedelta(days=1)
TOLD = (
    Told("rheumatology", "meyer", "sent"),
    Told("oncology", "okafor", "waiting"),
    Told("neurology", None, "not-told", "nobody holds neurology at that time"),
)
EPISODE = "at least 3 draws, FERRITIN, ALT recovered for 24 h, or a closure by a named person"
WATCH = "a clear result of ALT, or a closure by a named person"


def ferritin(**changed: Any) -> Alert:
    return an_alert(clears_when=EPISODE, **changed)


def alt(**changed: Any) -> Alert:
    """A grade change in the chemotherapy arm, without a baseline, on a bound."""
    reading = {"value": "200", "unit": "U/L", "collected_at": DRAWN.isoformat(), "reference_high": "40"}
    values: dict[str, Any] = {
        "wording": "ae-possible",
        "arm": "chemotherapy",
        "rule_id": "ctcae.alt-increased",
        "level": 2,
        "grade": 2,
        "baseline_grade": 0,
        "ctcae_version": "5.0",
        "urgency": "P3",
        "organ": "liver",
        "analyte": "ALT",
        **reading,
        "comparator": ">",
        "series": [],
        "baseline": {"kind": "none"},
        "fold": None,
        "episode_id": None,
        "missing": ["baseline"],
        "notes": ["haemolysed", "no-baseline"],
        "clears_when": WATCH,
        "collected_precision": "day",
        "inputs": [{"analyte": "ALT", **reading, "comparator": ">", "remarks": ["haemolysed"]}],
    }
    return an_alert(**(values | changed))


def views() -> Mapping[str, View]:
    plan = a_plan()
    late_plan = a_plan(status="overdue", late=True, missing=["ALT", "FERRITIN"], pending=[], reason="single-repeat")
    troponin = ferritin(
        rule_id="heart.troponin",
        urgency="P1",
        organ="heart",
        analyte="TROPONIN_T",
        value="30",
        unit="ng/L",
        reference_low="0",
        reference_high="14",
        series=[],
        late=True,
        known_since=DRAWN.isoformat(),
        notes=["infection"],
    )
    before = ferritin()
    again = {"seq": 2, "decided_at": LATER.isoformat()}
    worse = ferritin(action="escalated", level=3, urgency="P1", value="12345.60", fold="154.32", **again)
    lower = ferritin(action="revised", reason="corrected", level=1, urgency="P3", value="170", fold="2.13", **again)
    return {
        "raised": alert_view(ferritin(), plan=plan, told=TOLD),
        "raised-ae-possible": alert_view(alt()),
        "raised-late-p1": alert_view(troponin),
        "escalated": alert_view(worse, before=before),
        "revised": alert_view(lower, before=before),
        "withdrawn": alert_view(ferritin(action="withdrawn", reason="corrected", **again), before=before),
        "cleared": alert_view(ferritin(action="cleared", reason="recovered", **again), before=before),
        "cleared-ae-possible": alert_view(alt(action="cleared", reason="irAE", **again), before=alt()),
        "moved": alert_view(ferritin(action="moved", reason="merge", **again), before=before),
        "overdue": replace(plan_view(a_plan(status="overdue")), told=TOLD),
        "overdue-late": plan_view(late_plan),
        "digest-daily": DigestView("daily", (alert_view(alt()), alert_view(troponin)), (), "Oncology 3"),
        "digest-weekly": DigestView("weekly", tuple(alert_view(alt(alert_id=f"{n:08x}")) for n in range(42))),
        "digest-retests": DigestView("retests", (), (plan_view(plan), plan_view(late_plan))),
    }


def written(name: str, language: str) -> dict[str, str]:
    link = {"ack_url": "https://alerts.hospital.example/ack/TOKEN", "call_back": "021-5555 5500"}
    mail = LETTERS.write(views()[name], tier="mail", language=language, **link)
    page = LETTERS.write(views()[name], tier="page", language=language, **link)
    text = f"Page: {page.text}\nSubject: {mail.subject}\n\n{mail.text}"
    return {f"{name}.{language}.txt": text, f"{name}.{language}.html": mail.html}


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", list(views()))
def test_a_message_reads_as_agreed(name: str, language: str) -> None:
    for file, text in written(name, language).items():
        path = FOLDER / file
        if os.environ.get("UPDATE_GOLDEN") == "1":
            path.write_text(text, "utf-8")
        assert path.read_text("utf-8") == text


def test_every_file_belongs_to_a_message() -> None:
    wanted = {file for name in views() for language in ("zh", "en") for file in written(name, language)}
    assert {path.name for path in FOLDER.iterdir() if path.suffix in (".txt", ".html")} == wanted
