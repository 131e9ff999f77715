"""A notifier's store with invented patients, and the pages over it, for tests, measurements and pictures."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import Connection, Engine, Table, insert
from sqlalchemy.engine import make_url

from schemas.alert_v1 import Alert
from schemas.retest_v1 import RetestPlan
from services.notifier.adapters.templates import Letters
from services.notifier.rulebook.site import Site, load_site
from services.notifier.store import tables
from services.notifier.store.acting import Acting, Topics, token_hash
from services.notifier.store.alerts import keep
from services.notifier.store.opening import open_store
from services.notifier.web.app import build_web
from services.notifier.web.desk import Desk
from tests.support.browser import press
from tests.support.site import PASSWORD, SitePlan, write_site

NOW = datetime(2026, 1, 22, 2, 30, tzinfo=UTC)
DRAWN = datetime(2026, 1, 19, 0, 0, tzinfo=UTC)
KEY = b"a key of the tests, thirty-two bytes."
TOPICS = Topics("deliveries.v1", "clinical-events.v1")
REF = "K7QF-2M9X-RT4BD"


def an_alert(**changed: Any) -> Alert:
    """Return a ferritin rise of level 2 in the immunotherapy arm; name what is to be different."""
    reading = {"value": "240", "unit": "ug/L", "collected_at": DRAWN.isoformat(), "reference_high": "150"}
    values: dict[str, Any] = {
        "alert_id": "0f1e2d3c4b5a6978",
        "seq": 1,
        "action": "raised",
        "reason": "flag",
        "wording": "irae-suspected",
        "patient_ref": REF,
        "arm": "immunotherapy",
        "episode_id": "e91c04aa7b32",
        "rule_id": "ferritin.rise",
        "rule_version": "1",
        "urgency": "P2",
        "level": 2,
        "organ": "systemic",
        "roles": ["immunology", "rheumatology"],
        "analyte": "FERRITIN",
        **reading,
        "baseline": {"value": "80", "collected_at": (DRAWN - timedelta(days=17)).isoformat(), "kind": "own"},
        "fold": "3.00",
        "inputs": [{"analyte": "FERRITIN", **reading}],
        "series": [
            {"collected_at": (DRAWN - timedelta(days=17)).isoformat(), "value": "80"},
            {"collected_at": DRAWN.isoformat(), "value": "240"},
        ],
        "clears_when": "recovered",
        "sources": ["central-lab"],
        "decided_at": (DRAWN + timedelta(hours=2)).isoformat(),
    }
    return Alert.model_validate_json(json.dumps(values | changed, default=str))


def a_plan(**changed: Any) -> RetestPlan:
    """Return the first retest of the ferritin rise, due 72 h after the draw."""
    due = DRAWN + timedelta(hours=72)
    values: dict[str, Any] = {
        "plan_id": "77aa01c2",
        "seq": 2,
        "patient_ref": REF,
        "episode_id": "e91c04aa7b32",
        "kind": "every-3-days",
        "status": "due",
        "due_at": due,
        "window_from": due - timedelta(hours=24),
        "window_to": due + timedelta(hours=24),
        "overdue_at": due + timedelta(hours=24),
        "draw": 1,
        "minimum_draws": 3,
        "missing": ["CRP"],
        "pending": ["IL6"],
        "reason": "protocol",
        "decided_at": DRAWN + timedelta(hours=2),
    }
    return RetestPlan.model_validate_json(json.dumps(values | changed, default=str))


def add(db: Connection, table: Table, **values: Any) -> None:
    """Insert one row."""
    db.execute(insert(table).values(**values))


@dataclass(slots=True)
class Ward:
    """A store, a site and a clock that tests set by hand."""

    engine: Engine
    site: Site
    now: datetime = NOW
    acted: list[Acting] = field(default_factory=list)
    opened: ExitStack = field(default_factory=ExitStack)
    _address: str = ""

    @property
    def desk(self) -> Desk:
        """Return what the pages work with."""
        letters = Letters(self.site.zone)
        return Desk(self.engine, lambda: self.now, lambda: self.site, TOPICS, KEY, letters, self.acted.append)

    @property
    def address(self) -> str:
        """Return where the pages are served, on a free port of this machine."""
        if not self._address:
            self._address = self.opened.enter_context(served(self.desk))
        return self._address

    def browser(self, language: str = "en") -> httpx.Client:
        """Return somebody's browser, not signed in."""
        headers = {"Accept-Language": language}
        client = httpx.Client(base_url=self.address, headers=headers, follow_redirects=True, trust_env=False)
        return self.opened.enter_context(client)

    def signed_in(self, person: str = "li", language: str = "en") -> httpx.Client:
        """Return the browser of somebody who has signed in."""
        browser = self.browser(language=language)
        page = sign_in(browser, person)
        assert page.url.path == "/", page.text
        return browser

    def say(self, alert: Alert, at: datetime | None = None) -> Alert:
        """Take a message of the detector into the store, with a ladder as the consumer would make it."""
        with self.engine.begin() as db:
            keep(db, alert, applied=True, now=at or alert.decided_at)
            db.execute(tables.escalations.delete().where(tables.escalations.c.alert_id == alert.alert_id))
            stopped = alert.action in ("withdrawn", "cleared", "moved")
            add(
                db,
                tables.escalations,
                alert_id=alert.alert_id,
                phase="stopped" if stopped else "told",
                seq=alert.seq,
                since_seq=1,
                level=alert.level,
                urgency=alert.urgency,
                step=0,
                round=0,
                started_at=alert.decided_at,
                next_at=None if stopped else self.now + timedelta(minutes=10),
                reason="raised",
                interrupts=True,
            )
        return alert

    def plan(self, plan: RetestPlan) -> RetestPlan:
        """Keep a retest plan."""
        with self.engine.begin() as db:
            add_plan(db, plan)
        return plan

    def patient(self, ref: str = REF, name: str = "测试·患者", ward: str = "Oncology 3") -> None:
        """Keep what the registry says of a patient."""
        with self.engine.begin() as db:
            add_patient(db, ref, name, ward)

    def told(self, alert: Alert, person: str, channel: str = "mail", result: str = "sent", **more: Any) -> None:
        """Write down that somebody was told, or not."""
        values = {
            "told_id": f"{alert.alert_id}-{alert.seq}-{person}-{channel}-{result}",
            "alert_id": alert.alert_id,
            "patient_ref": alert.patient_ref,
            "seq": alert.seq,
            "level": alert.level,
            "urgency": alert.urgency,
            "person_id": person,
            "role": "immunology",
            "channel": channel,
            "address": f"{person}@hospital.example",
            "result": result,
            "reason": "duty",
            "at": alert.decided_at + timedelta(seconds=4),
        }
        with self.engine.begin() as db:
            add(db, tables.told, **(values | more))

    def link(self, alert: Alert, person: str = "li", token: str = "a-secret-token", days: int = 7) -> str:
        """Make the link of a mail; returns its path."""
        with self.engine.begin() as db:
            add(
                db,
                tables.ack_tokens,
                token_hash=token_hash(token),
                alert_id=alert.alert_id,
                seq=alert.seq,
                level=alert.level,
                urgency=alert.urgency,
                person_id=person,
                created_at=alert.decided_at,
                expires_at=alert.decided_at + timedelta(days=days),
            )
        return f"/ack/{token}"


def sign_in(browser: httpx.Client, person: str, password: str = PASSWORD) -> httpx.Response:
    """Fill in the sign-in page."""
    return press(browser, browser.get("/sign-in"), person=person, password=password)


def add_plan(db: Connection, plan: RetestPlan) -> None:
    """Insert a retest plan."""
    columns = tables.retest_plans.c.keys()
    values = {key: value for key, value in plan.model_dump().items() if key in columns}
    add(
        db,
        tables.retest_plans,
        **values,
        is_active=plan.status in ("scheduled", "due", "overdue"),
        slot=f"{plan.plan_id}/{plan.draw}",
        received_at=plan.decided_at,
        evidence=plan.model_dump_json(),
    )


def add_patient(db: Connection, ref: str, name: str, ward: str) -> None:
    """Insert a patient."""
    add(db, tables.patients, patient_ref=ref, mrn="MRN-000123", name=name, ward=ward, updated_at=DRAWN, identity="{}")


@contextmanager
def a_ward(folder: Path, url: str | None = None) -> Iterator[Ward]:
    """Open an empty store in this folder (or at `url`), with a site of invented people."""
    site = load_site(write_site(folder / "site", SitePlan(smtp_port=1)))
    engine = open_store(str(make_url(url or f"sqlite:///{folder / 'notifier.db'}")))
    ward = Ward(engine, site)
    try:
        with ward.opened:
            yield ward
    finally:
        engine.dispose()


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """Serve the pages over real HTTP; returns their address. The socket listens before the server runs: no waiting."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(build_web(desk), log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
