"""`python -m benchmarks.worklist`: the worklist's pages over real HTTP with 1,500 patients and 10,000 alerts.

Half of the alerts stand, each told to three people; every patient has a retest plan. One signed-in browser asks for
pages in turn. The baseline in the same run is the worklist of an empty store: sign-in, audit line, layout, HTTP.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from sqlalchemy import insert

from benchmarks.report import RUNS, figure, quantile, write
from services.common.clock import utc_now
from services.notifier.store import tables
from services.notifier.store.alerts import keep
from tests.support.worklist import DRAWN, NOW, Ward, a_plan, a_ward, add_patient, add_plan, an_alert

PATIENTS, ALERTS, TOLD_PER_ALERT, REQUESTS = 1_500, 10_000, 3, 60
WARDS = 12
RULES = ("ferritin.rise", "ctcae.alt-increased", "heart.troponin", "kidney.aki", "liver.hys-law")
FLOOR = "p95 <= 200 ms, aim <= 50 ms"


@dataclass(frozen=True, slots=True)
class Page:
    """A page and how its address is made for the n-th request."""

    name: str
    path: Callable[[int], str]


PAGES = (
    Page("worklist, first page", lambda _: "/"),
    Page("worklist, any page", lambda n: f"/?page={1 + n * 37 % 200}&retests={1 + n % 30}"),
    Page("worklist of a ward", lambda n: f"/?ward=Ward+{n % WARDS}"),
    Page("worklist of P1", lambda n: f"/?urgency=P1&page={1 + n % 20}"),
    Page("a patient's page", lambda n: f"/patients/{ref(n * 131 % PATIENTS)}"),
)


def ref(number: int) -> str:
    """Return an invented patient ref."""
    return f"BENC-{number:04d}-00000"


def fill(ward: Ward) -> None:
    """Write patients, alerts, tellings and plans as months of work leave them."""
    chance = random.Random(1)
    with ward.engine.begin() as db:
        for number in range(PATIENTS):
            add_patient(db, ref(number), f"Invented {number}", f"Ward {number % WARDS}")
            add_plan(db, a_plan(plan_id=f"{number:08x}", patient_ref=ref(number)))
        for number in range(ALERTS):
            at = DRAWN - timedelta(minutes=17 * number)
            alert = an_alert(
                alert_id=f"{chance.getrandbits(64):016x}",
                patient_ref=ref(number % PATIENTS),
                rule_id=chance.choice(RULES),
                urgency=chance.choice(("P1", "P2", "P2", "P3", "P3", "P4")),
                action="raised" if number % 2 else "cleared",
                episode_id=f"episode{number % PATIENTS}",
                decided_at=at.isoformat(),
            )
            keep(db, alert, applied=True, now=at)
            db.execute(
                insert(tables.told),
                [told_row(alert.alert_id, ref(number % PATIENTS), n) for n in range(TOLD_PER_ALERT)],
            )
            db.execute(insert(tables.escalations).values(**ladder_row(alert.alert_id)))


def told_row(alert_id: str, patient_ref: str, number: int) -> dict[str, object]:
    """Return the record of one telling."""
    person = ("li", "wang", "meyer")[number]
    return {
        "told_id": f"{alert_id}-{person}",
        "alert_id": alert_id,
        "patient_ref": patient_ref,
        "seq": 1,
        "level": 2,
        "urgency": "P2",
        "person_id": person,
        "role": "immunology",
        "channel": "mail",
        "address": f"{person}@hospital.example",
        "result": "sent",
        "reason": "duty",
        "at": DRAWN,
    }


def ladder_row(alert_id: str) -> dict[str, object]:
    """Return where the ladder stands."""
    return {
        "alert_id": alert_id,
        "phase": "told",
        "seq": 1,
        "since_seq": 1,
        "level": 2,
        "urgency": "P2",
        "step": 0,
        "round": 0,
        "started_at": DRAWN,
        "next_at": NOW + timedelta(hours=1),
        "reason": "raised",
        "interrupts": True,
    }


def timed(browser: httpx.Client, page: Page) -> Sequence[float]:
    """Return the milliseconds of each request."""
    spent = []
    for number in range(REQUESTS):
        begun = time.perf_counter()
        answer = browser.get(page.path(number))
        spent.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.status_code
    return spent


def main() -> None:
    """Fill a store, ask for the pages, write the figures."""
    with (
        tempfile.TemporaryDirectory(prefix="irae-bench-") as name,
        a_ward(Path(name) / "full") as full,
        a_ward(Path(name) / "empty") as empty,
    ):
        fill(full)
        browser, bare = full.signed_in("meyer"), empty.signed_in("meyer")
        runs = [
            ([quantile(timed(browser, page), 0.95) for page in PAGES], quantile(timed(bare, PAGES[0]), 0.95))
            for _ in range(RUNS)
        ]
    conditions = (
        f"SQLite, {PATIENTS:,} patients, {ALERTS:,} alerts, half of them open, {TOLD_PER_ALERT} tellings each, "
        f"one browser over loopback HTTP, {REQUESTS} requests per run, audit line included"
    )
    figures = [
        figure(
            f"{page.name}, p95",
            [pages[number] for pages, _ in runs],
            "ms",
            conditions,
            baseline="the worklist of an empty store",
            baseline_runs=[beside for _, beside in runs],
            floor=FLOOR,
        )
        for number, page in enumerate(PAGES)
    ]
    write("worklist", figures, at=utc_now())


if __name__ == "__main__":
    main()
