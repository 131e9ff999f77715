"""The page behind the link of a mail: short evidence and one button. A GET never acknowledges.

Works without signing in: the link is the secret, and the page shows nothing that names the patient.
"""

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from services.common.database import reading
from services.notifier.domain.evidence import AlertView
from services.notifier.store import alerts
from services.notifier.store.acknowledge import (
    Acknowledged,
    AlreadyBy,
    Answer,
    Ended,
    Expired,
    Ready,
    Superseded,
    Unknown,
    acknowledge,
    look,
)
from services.notifier.store.evidence import alert_view
from services.notifier.web.desk import Desk
from services.notifier.web.pages import Pages

TOKEN_CHARACTERS = 200
KEYS: dict[type[Answer], tuple[str, int]] = {
    Ready: ("ready", 200),
    Acknowledged: ("done", 200),
    AlreadyBy: ("already", 200),
    Superseded: ("superseded", 409),
    Ended: ("ended", 410),
    Expired: ("expired", 410),
    Unknown: ("unknown", 404),
}
"""What each answer is called on the page, and its HTTP status."""

log = structlog.get_logger("worklist")


def ack_routes(desk: Desk, pages: Pages) -> APIRouter:
    """Return the routes of the link."""
    router = APIRouter()

    def page(request: Request, answer: Answer, view: AlertView | None) -> Response:
        key, status = KEYS[type(answer)]
        return pages.show(request, "ack.html", status=status, answer=answer, key=key, view=view)

    @router.get("/ack/{token}")
    def show(request: Request, token: str) -> Response:
        with reading(desk.engine) as db:
            answer: Answer = look(db, token[:TOKEN_CHARACTERS], desk.site().directory.names, desk.now())
            view = _view(db, answer)
        return page(request, answer, view)

    @router.post("/ack/{token}")
    def press(request: Request, token: str) -> Response:
        with desk.acting() as acting:
            answer = acknowledge(acting, token[:TOKEN_CHARACTERS])
            view = _view(acting.db, answer)
        log.info("acknowledge", via="link", outcome=type(answer).__name__, alert_id=getattr(answer, "alert_id", None))
        return page(request, answer, view)

    return router


def _view(db: Connection, answer: Answer) -> AlertView | None:
    """Return what may be shown; the holder of an old link sees nothing of the alert."""
    if isinstance(answer, Unknown | Expired):
        return None
    alert = alerts.newest(db, answer.alert_id)
    return None if alert is None else alert_view(alert)
