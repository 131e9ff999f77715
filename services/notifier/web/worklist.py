"""The worklist and a patient's page: who needs what, who was told, and the forms by which people answer."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from schemas.clinical_event_v1 import Outcome
from services.common.database import reading
from services.notifier.domain.evidence import Wording
from services.notifier.store.acknowledge import Acknowledged, AlreadyBy, Answer, Superseded, acknowledge_as
from services.notifier.store.acts import Scope, close, closing, confirm, open_scopes, record_views
from services.notifier.store.timeline import find_patient, timeline_of
from services.notifier.store.worklist import (
    PAGE_ROWS,
    Filter,
    OpenAlert,
    alerts_of,
    plans_of,
    read_wards,
    read_worklist,
)
from services.notifier.web.desk import Desk
from services.notifier.web.guard import Guard
from services.notifier.web.pages import Pages
from services.notifier.web.session import Session

OUTCOMES: dict[Wording, tuple[Outcome, ...]] = {
    Wording.IRAE_SUSPECTED: ("irAE", "not-irAE", "infection", "progression", "iron", "transfusion", "lab-error"),
    Wording.AE_POSSIBLE: ("not-irAE", "infection", "progression", "iron", "transfusion", "lab-error"),
}
"""What may be said at a closure; outside the immunotherapy arm no irAE is offered (RULES.md 3.7)."""

DONE: dict[type[Answer], str] = {Acknowledged: "acknowledged", AlreadyBy: "acknowledged", Superseded: "superseded"}
"""What the patient's page says of an acknowledgement."""

LARGEST_SEQ = 2**63 - 1
PageNumber = Annotated[int, Query(ge=1, le=10_000)]

log = structlog.get_logger("worklist")


def worklist_routes(desk: Desk, pages: Pages, guard: Guard) -> APIRouter:
    """Return the routes behind the sign-in."""
    router = APIRouter()
    signed_in, deciding = Depends(guard.signed_in), Depends(guard.deciding)

    @router.get("/")
    def show_worklist(
        request: Request,
        ward: Annotated[str | None, Query(max_length=200)] = None,
        urgency: Annotated[str | None, Query(pattern="^(P[1-4])?$")] = None,
        page: PageNumber = 1,
        retests: PageNumber = 1,
        session: Session = signed_in,
    ) -> Response:
        asked, now = Filter(ward or None, urgency or None, page, retests), desk.now()
        with reading(desk.engine) as db:
            found, wards = read_worklist(db, asked, now), read_wards(db)
        shown = [alert.who for alert in found.alerts] + [retest.who for retest in found.retests]
        _looked(desk, session, "listed", [who.patient_ref for who in shown])
        return pages.show(
            request, "worklist.html", session=session, found=found, asked=asked, wards=wards, rows=PAGE_ROWS
        )

    @router.get("/patients/{patient_ref}")
    def show_patient(
        request: Request,
        patient_ref: str,
        done: Annotated[str | None, Query(pattern="^(closed|confirmed|acknowledged|superseded|nothing)$")] = None,
        session: Session = signed_in,
    ) -> Response:
        now = desk.now()
        with reading(desk.engine) as db:
            who = find_patient(db, patient_ref)
            if who is None:
                return pages.problem(request, "no_patient", 404, session)
            open_alerts, plans = alerts_of(db, patient_ref), plans_of(db, patient_ref, now)
            story = timeline_of(db, patient_ref)
            scopes = [(scope, closing(db, scope)) for scope in open_scopes(db, patient_ref)]
        _looked(desk, session, "viewed", [patient_ref])
        return pages.show(
            request,
            "patient.html",
            session=session,
            who=who,
            alerts=open_alerts,
            plans=plans,
            story=story,
            scopes=scopes,
            outcomes=_outcomes(open_alerts),
            done=done,
            people=_others(desk, session),
        )

    @router.post("/alerts/{alert_id}/acknowledge")
    def acknowledge(
        alert_id: str,
        patient_ref: Annotated[str, Form(max_length=64)],
        seq: Annotated[int, Form(ge=0, le=LARGEST_SEQ)],
        session: Session = deciding,
    ) -> Response:
        with desk.acting() as acting:
            answer = acknowledge_as(acting, alert_id, session.account.person_id, seq)
        log.info("acknowledge", via="worklist", outcome=type(answer).__name__, alert_id=alert_id)
        return _back(patient_ref, DONE.get(type(answer), "nothing"))

    @router.post("/patients/{patient_ref}/close")
    def close_scope(
        patient_ref: str,
        outcome: Annotated[Outcome, Form()],
        episode_id: Annotated[str, Form(max_length=200)] = "",
        rule_id: Annotated[str, Form(max_length=200)] = "",
        second_reader: Annotated[str, Form(max_length=64)] = "",
        session: Session = deciding,
    ) -> Response:
        scope = Scope(patient_ref, episode_id or None, None if episode_id else rule_id or None)
        by, reader = session.account.person_id, second_reader.strip() or None
        with desk.acting() as acting:
            allowed = outcome in _outcomes(alerts_of(acting.db, patient_ref))
            allowed = allowed and (reader is None or reader in dict(_others(desk, session)))
            is_done = allowed and close(acting, scope, outcome, by=by, second_reader=reader)
        log.info("close", outcome="closed" if is_done else "nothing", patient_ref=patient_ref)
        return _back(patient_ref, "closed" if is_done else "nothing")

    @router.post("/patients/{patient_ref}/confirm")
    def confirm_scope(
        patient_ref: str, episode_id: Annotated[str, Form(max_length=200)], session: Session = deciding
    ) -> Response:
        with desk.acting() as acting:
            is_done = confirm(acting, Scope(patient_ref, episode_id), by=session.account.person_id)
        log.info("confirm", outcome="confirmed" if is_done else "nothing", patient_ref=patient_ref)
        return _back(patient_ref, "confirmed" if is_done else "nothing")

    return router


def _outcomes(alerts: tuple[OpenAlert, ...]) -> tuple[Outcome, ...]:
    """Offer an irAE only where the patient's arm allows the word."""
    wordings = {one.view.wording for one in alerts}
    return OUTCOMES[Wording.AE_POSSIBLE if Wording.AE_POSSIBLE in wordings else Wording.IRAE_SUSPECTED]


def _looked(desk: Desk, session: Session, what: str, patient_refs: list[str]) -> None:
    """Write down who looked, before anything is shown: what cannot be recorded is not shown."""
    with desk.engine.begin() as db:
        record_views(db, session.account.person_id, what, desk.now(), patient_refs)


def _back(patient_ref: str, done: str) -> Response:
    return RedirectResponse(f"/patients/{patient_ref}?done={done}", 303)


def _others(desk: Desk, session: Session) -> list[tuple[str, str]]:
    """Return who may be the second reader: everybody else, by name."""
    names = desk.site().directory.names
    return sorted((person, name) for person, name in names.items() if person != session.account.person_id)
